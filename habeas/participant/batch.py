"""One batch on its way through: together where that goes well, one by one where it does not."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import structlog

from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.errors import ContractError, Reason
from habeas.contracts.result import TaskError
from habeas.contracts.sealing import Keyring
from habeas.contracts.task import TaskCancelled
from habeas.contracts.vocabulary import Action, TaskOutcome
from habeas.participant.answers import Known, Resource, Session, StoredAnswer
from habeas.participant.composing import Composer
from habeas.participant.errors import Ended, TaskStoppedError
from habeas.participant.inbox import Assigned
from habeas.participant.task import Answer

if TYPE_CHECKING:
    from habeas.participant.desk import Desk

_log = structlog.get_logger("habeas.participant")


@dataclass(slots=True)
class Finished:
    """What came of a batch."""

    answers: list[CloudEvent] = field(default_factory=list)
    conflicts: list[tuple[Assigned, ContractError]] = field(default_factory=list)
    outcomes: list[tuple[str, str]] = field(default_factory=list)
    """Action and outcome of each task done now (not of those answered again)."""
    stopped: TaskStoppedError | None = None
    """A task that could not be done: publish the answers, then stop without moving on."""


class Batch(Generic[Resource]):
    """One batch on its way through; may be run again from the start after the store was away."""

    def __init__(self, desk: "Desk[Resource]", composer: Composer, keyring: Keyring) -> None:
        self._desk = desk
        self._composer = composer
        self._keyring = keyring
        self.finished = Finished()
        self._effects: set[str] = set()

    async def run(self, tasks: Sequence[Assigned], cancelled: Sequence[TaskCancelled]) -> None:
        self.finished = Finished()
        store = self._desk.store
        if cancelled:
            await store.cancel([(item.task_id, item.request_id) for item in cancelled])
        unique = list({(task.body.task_id, task.body.request_id): task for task in reversed(tasks)}.values())[::-1]
        if not unique:
            return
        ids = [task.body.task_id for task in unique]
        begun = await store.deliveries(ids)
        careful = any(begun.values())
        rest: Sequence[Assigned] = unique
        if not careful:  # else a process died over one of these: one at a time shows which
            await store.count(ids)
            rest = await self._together(unique)
        for task in rest:
            await self._alone(task, counted=not careful)
        await self._desk.follow_up(self._effects)

    async def _together(self, tasks: Sequence[Assigned]) -> Sequence[Assigned]:
        """All in one transaction; returns those to do alone."""
        failed: list[Assigned] = []
        finished = Finished()
        try:
            async with self._desk.store.transaction() as session:
                known = await _known(session, tasks)
                fresh: list[StoredAnswer] = []
                for task in tasks:
                    try:
                        answer = await self._answer(task, session, known, finished)
                    except Exception as error:
                        if self._desk.transient(error):
                            raise
                        failed.append(task)
                        continue
                    if answer is not None:
                        fresh.append(answer)
                if fresh:
                    await session.keep(fresh)
        except Exception as error:
            if self._desk.transient(error):
                await self._forgive(tasks)
                raise
            _log.warning("batch_undone", tasks=len(tasks), cause=type(error).__name__, where=where(error))
            return tasks
        self._take(finished)
        return failed

    async def _alone(self, task: Assigned, *, counted: bool) -> None:
        """One task in a transaction of its own, tried again within bounds."""
        store = self._desk.store
        ids = [task.body.task_id]
        if not counted:
            await store.count(ids)
        deliveries = (await store.deliveries(ids)).get(task.body.task_id, 0)
        finished = Finished()
        try:
            if deliveries > self._desk.limit:  # the process died over it each time
                await self._give_up(task, finished, deliveries, "process_died")
            else:
                async for attempt in self._desk.retrying(lambda error: not self._desk.transient(error)):
                    with attempt:
                        finished = Finished()
                        await self._once(task, finished)
        except Exception as error:
            if self._desk.transient(error):
                await self._forgive([task])
                raise
            cause, place = type(error).__name__, where(error)
            _log.error(
                "task_failed",
                task_id=str(task.body.task_id),
                request_id=str(task.body.request_id),
                action=_known_word(task),
                delivery=deliveries,
                of=self._desk.limit,
                cause=cause,
                where=place,
            )
            finished = Finished()
            if deliveries < self._desk.limit:
                self.finished.stopped = TaskStoppedError(cause, place)
                return
            await self._give_up(task, finished, deliveries, cause)
        self._take(finished)

    def _take(self, finished: Finished) -> None:
        """What is committed counts, and is followed up even when a later part of the batch has to be run again."""
        self.finished.answers += finished.answers
        self.finished.conflicts += finished.conflicts
        self.finished.outcomes += finished.outcomes
        self._effects.update(action for action, _ in finished.outcomes)

    async def _once(self, task: Assigned, finished: Finished) -> None:
        async with self._desk.store.transaction() as session:
            known = await _known(session, [task])
            answer = await self._answer(task, session, known, finished)
            if answer is not None:
                await session.keep([answer])

    async def _give_up(self, task: Assigned, finished: Finished, deliveries: int, cause: str) -> None:
        async with self._desk.store.transaction() as session:
            known = await _known(session, [task])
            stored = known.answers.get(task.body.task_id)
            if stored is None:
                error = TaskError(code="handler_failed", retryable=True)
                stored = self._composer.compose(task, Answer(outcome=TaskOutcome.FAILED, error=error))
                await session.keep([stored])
                self._note(task, stored, finished)
                _log.error("task_given_up", task_id=str(task.body.task_id), delivery=deliveries, cause=cause)
            finished.answers.append(self._composer.event(stored))

    async def _answer(
        self, task: Assigned, session: Session[Resource], known: Known, finished: Finished
    ) -> StoredAnswer | None:
        """The answer to store; None where there is one already. Either way it is among the answers to publish."""
        stored = known.answers.get(task.body.task_id)
        if stored is not None:
            if (stored.request_id, stored.action) != (task.body.request_id, task.body.action):
                error = ContractError(Reason.CONFLICT, "/task_id", "this task id has been used for another task")
                finished.conflicts.append((task, error))
            else:
                finished.answers.append(self._composer.event(stored))
            return None
        earlier = known.earlier.get((task.body.request_id, task.body.action))
        try:
            async with session.savepoint():
                answer = await self._made(task, session, known, earlier)
        except Ended as ended:
            _log.warning(
                "task_ended",
                task_id=str(task.body.task_id),
                code=ended.code,
                advice=" ".join(getattr(ended, "__notes__", ())),
            )
            said = Answer(
                outcome=ended.outcome,
                message=ended.message,
                error=TaskError(code=ended.code, retryable=ended.retryable),
            )
            answer = self._composer.compose(task, said)
        known.add(answer)
        finished.answers.append(self._composer.event(answer))
        self._note(task, answer, finished)
        return answer

    async def _made(
        self, task: Assigned, session: Session[Resource], known: Known, earlier: StoredAnswer | None
    ) -> StoredAnswer:
        if task.body.task_id in known.cancelled:
            return self._composer.compose(task, Answer(outcome=TaskOutcome.CANCELLED))
        if earlier is not None and self._composer.same_question(task, earlier):
            return self._composer.again(task, earlier)
        return self._composer.compose(task, await self._desk.call(task, session, self._keyring), earlier)

    def _note(self, task: Assigned, answer: StoredAnswer, finished: Finished) -> None:
        finished.outcomes.append((_known_word(task), answer.outcome))
        _log.info(
            "task_answered",
            task_id=str(answer.task_id),
            request_id=str(answer.request_id),
            action=_known_word(task),
            outcome=answer.outcome,
        )

    async def _forgive(self, tasks: Sequence[Assigned]) -> None:
        """Takes back what was counted: it was not the tasks' fault. Where the store is away, the count stays."""
        try:
            await self._desk.store.count([task.body.task_id for task in tasks], -1)
        except Exception as error:
            if not self._desk.transient(error):
                raise


async def _known(session: Session[Any], tasks: Sequence[Assigned]) -> Known:
    return await session.known([task.body.task_id for task in tasks], [task.body.request_id for task in tasks])


def _known_word(task: Assigned) -> str:
    """The action for logs and metrics; a word of the sender's own making is not repeated there."""
    return str(task.body.action) if isinstance(task.body.action, Action) else "unknown"


def where(error: BaseException) -> str:
    """File and line of the innermost frame. An error's own text may quote data, so it is never logged."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
