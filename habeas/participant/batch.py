"""One batch on its way through: together where that goes well, one by one where it does not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic
from uuid import UUID

import structlog

from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.errors import ContractError, Reason
from habeas.contracts.result import TaskError
from habeas.contracts.sealing import Keyring
from habeas.contracts.task import TaskCancelled
from habeas.contracts.vocabulary import Action, TaskOutcome
from habeas.participant.answers import Known, Resource, Session, StoredAnswer
from habeas.participant.cancelling import call_off
from habeas.participant.composing import Composer
from habeas.participant.errors import Ended, TaskStoppedError
from habeas.participant.inbox import Assigned
from habeas.participant.intents import settled
from habeas.participant.places import where
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
        self._begun: set[UUID] = set()

    async def run(self, tasks: Sequence[Assigned], cancelled: Sequence[TaskCancelled]) -> None:
        self.finished = Finished()
        store = self._desk.store
        if cancelled:
            await store.cancel([(item.task_id, item.request_id) for item in cancelled])
            for item in cancelled:
                self.finished.stopped = await call_off(self._desk, item, self._keyring) or self.finished.stopped
        unique: dict[tuple[UUID, UUID], Assigned] = {}
        for task in tasks:
            unique.setdefault((task.body.task_id, task.body.request_id), task)
        if not unique:
            return
        rest: Sequence[Assigned] = list(unique.values())
        ids = [task.body.task_id for task in rest]
        begun = await store.deliveries(ids)
        self._begun = set(begun)
        careful = any(begun.values())
        if not careful:  # else a process died over one of these: one at a time shows which
            await store.count(ids)
            rest = await self._together(rest)
        stopped: set[UUID] = set()
        for task in rest:
            if task.body.request_id not in stopped and not await self._alone(task, counted=not careful):
                stopped.add(task.body.request_id)  # what comes after it in its request waits for it
        await self._desk.follow_up(self._effects)

    async def _together(self, tasks: Sequence[Assigned]) -> Sequence[Assigned]:
        """All in one transaction; returns those to do alone: what failed, and what comes after it in its request."""
        failed: list[Assigned] = []
        waiting: set[UUID] = set()
        finished = Finished()
        try:
            async with self._desk.store.transaction() as session:
                known = await _known(session, tasks)
                fresh: list[tuple[Assigned, StoredAnswer]] = []
                for task in tasks:
                    if task.body.request_id in waiting:
                        failed.append(task)
                        continue
                    try:
                        answer = await self._answer(task, session, known, finished)
                    except Exception as error:
                        if self._desk.transient(error):
                            raise
                        failed.append(task)
                        waiting.add(task.body.request_id)
                        continue
                    if answer is not None:
                        fresh.append((task, answer))
                if fresh:
                    await self._keep(session, fresh)
        except Exception as error:
            if self._desk.transient(error):
                await self._desk.forgive([task.body.task_id for task in tasks])
                raise
            _log.warning("batch_undone", tasks=len(tasks), cause=type(error).__name__, where=where(error))
            return tasks
        self._take(finished)
        return failed

    async def _alone(self, task: Assigned, *, counted: bool) -> bool:
        """One task in a transaction of its own, tried again within bounds. Whether it is answered."""
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
                await self._desk.forgive(ids)
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
                return False
            await self._give_up(task, finished, deliveries, cause)
        self._take(finished)
        return True

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
                await self._keep(session, [(task, answer)])

    async def _keep(self, session: Session[Resource], fresh: Sequence[tuple[Assigned, StoredAnswer]]) -> None:
        outdated = [each for task, answer in fresh for each in settled(task, answer, self._keyring)]
        await session.keep([answer for _, answer in fresh], outdated)

    async def _give_up(self, task: Assigned, finished: Finished, deliveries: int, cause: str) -> None:
        async with self._desk.store.transaction() as session:
            known = await _known(session, [task])
            stored = known.answers.get(task.body.task_id)
            if stored is None:
                error = TaskError(code="handler_failed", retryable=True)
                stored = known.admit(self._composer.compose(task, Answer(outcome=TaskOutcome.FAILED, error=error)))
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
        try:
            async with session.savepoint():
                answer = await self._made(task, session, known)
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
        answer = known.admit(answer)
        finished.answers.append(self._composer.event(answer))
        self._note(task, answer, finished)
        return answer

    async def _made(self, task: Assigned, session: Session[Resource], known: Known) -> StoredAnswer:
        if task.body.task_id in known.cancelled:
            if task.body.task_id in self._begun:
                await self._desk.call_off(task, session)
            return self._composer.compose(task, Answer(outcome=TaskOutcome.CANCELLED))
        last = known.last(task.body.request_id)
        if last is not None and self._composer.same_question(task, last):
            return self._composer.again(task, last)
        answer = await self._desk.call(task, session, self._keyring)
        return self._composer.compose(task, answer, known.standing(task.body.request_id, task.body.action))

    def _note(self, task: Assigned, answer: StoredAnswer, finished: Finished) -> None:
        finished.outcomes.append((_known_word(task), answer.outcome))
        _log.info(
            "task_answered",
            task_id=str(answer.task_id),
            request_id=str(answer.request_id),
            action=_known_word(task),
            outcome=answer.outcome,
        )


async def _known(session: Session[Any], tasks: Sequence[Assigned]) -> Known:
    return await session.known([task.body.task_id for task in tasks], [task.body.request_id for task in tasks])


def _known_word(task: Assigned) -> str:
    """The action for logs and metrics; a word of the sender's own making is not repeated there."""
    return str(task.body.action) if isinstance(task.body.action, Action) else "unknown"
