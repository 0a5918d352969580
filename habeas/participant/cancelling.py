"""A task that is cancelled after its answer: the team's function may end what has no reason any more."""

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import structlog

from habeas.contracts.sealing import Keyring
from habeas.contracts.task import TaskCancelled
from habeas.participant.answers import Resource
from habeas.participant.errors import TaskStoppedError
from habeas.participant.inbox import reopened
from habeas.participant.places import where

if TYPE_CHECKING:
    from habeas.participant.desk import Desk

_log = structlog.get_logger("habeas.participant")


async def call_off(desk: "Desk[Resource]", item: TaskCancelled, keyring: Keyring) -> TaskStoppedError | None:
    """Calls the team's function once for each delivery of the cancellation, where it concerns what was answered.

    A failing one is tried again like a task, and given up after as many starts: returns what to stop the process with
    before that. Nobody waits for an answer, so giving up is told to the log alone. Raises what is transient.
    """
    if not desk.hears_of_cancellations:
        return None
    counted = [_counted_as(item.task_id)]
    await desk.store.count(counted)
    deliveries = (await desk.store.deliveries(counted)).get(counted[0], 0)
    try:
        async for attempt in desk.retrying(lambda error: not desk.transient(error)):
            with attempt:
                await _once(desk, item, keyring)
    except Exception as error:
        if desk.transient(error):
            await desk.forgive(counted)
            raise
        cause, place = type(error).__name__, where(error)
        _log.error(
            "cancellation_failed",
            task_id=str(item.task_id),
            request_id=str(item.request_id),
            delivery=deliveries,
            of=desk.limit,
            cause=cause,
            where=place,
        )
        return TaskStoppedError(cause, place) if deliveries < desk.limit else None
    await desk.forgive(counted)
    return None


async def _once(desk: "Desk[Resource]", item: TaskCancelled, keyring: Keyring) -> None:
    async with desk.store.transaction() as session:
        known = await session.known([item.task_id], [item.request_id])
        answer = known.answers.get(item.task_id)
        if answer is None or answer.request_id != item.request_id or not answer.tried or known.repeated(answer):
            return
        task = reopened(answer.asked_type, answer.asked, keyring)
        if task is None:
            _log.warning("cancellation_unreadable", task_id=str(item.task_id), advice="its key is not held any more")
            return
        await desk.call_off(task, session)
        _log.info("task_called_off", task_id=str(item.task_id), request_id=str(item.request_id), action=answer.action)


def _counted_as(task_id: UUID) -> UUID:
    """Beginnings of the cancellation are counted apart from those of its task."""
    return uuid5(task_id, "cancelled")
