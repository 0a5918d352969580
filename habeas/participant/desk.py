"""Where the work is done: a batch of tasks in, answers out, each with its effect exactly once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic
from uuid import UUID

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from habeas.contracts.result import TaskError
from habeas.contracts.sealing import Keyring
from habeas.contracts.task import TaskCancelled
from habeas.contracts.vocabulary import Action, CorrectionOp, Instruction, TaskOutcome
from habeas.participant.answers import Resource, Session, Store
from habeas.participant.batch import Batch, Finished
from habeas.participant.composing import Composer
from habeas.participant.errors import Unavailable
from habeas.participant.inbox import Assigned
from habeas.participant.intents import Intents
from habeas.participant.task import Answer, Forgetful, Memory, Task
from habeas.participant.tuning import Tuning

Function = Callable[[Task, Resource], Awaitable[Answer]]
Afterwards = Callable[[Resource], Awaitable[None]]
Cancelled = Callable[[Task, Resource], Awaitable[None]]


class Desk(Generic[Resource]):
    def __init__(
        self,
        system: str,
        *,
        store: Store[Resource],
        actions: Mapping[str, Function[Resource]],
        afterwards: Mapping[str, Sequence[Afterwards[Resource]]],
        cancelled: Mapping[str, Cancelled[Resource]],
        now: Callable[[], datetime],
        tuning: Tuning,
    ) -> None:
        self._system = system
        self._store = store
        self._actions = actions
        self._afterwards = afterwards
        self._cancelled = cancelled
        self._now = now
        self._tuning = tuning

    async def work(self, tasks: Sequence[Assigned], cancelled: Sequence[TaskCancelled], keyring: Keyring) -> Finished:
        """Does the tasks that are new, and repeats the answers of the others.

        All in one transaction; those that fail are taken out and done one by one. Raises `Unavailable` when the store
        stays away through all retries.
        """
        batch = Batch(self, Composer(self._system, keyring, self._now), keyring)
        await self._patiently(lambda: batch.run(tasks, cancelled))
        return batch.finished

    async def tidy(self) -> None:
        """What has to follow effects outside their transaction; at each start, in case the process died before it."""
        for action in self._afterwards:
            await self._patiently(lambda action=action: self.follow_up({action}))  # type: ignore[misc]

    async def follow_up(self, actions: set[str]) -> None:
        for action in sorted(actions & self._afterwards.keys()):
            for function in self._afterwards[action]:
                async with self._store.outside() as resource:
                    await function(resource)

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        async for attempt in self.retrying(lambda error: isinstance(error, Unavailable)):
            with attempt:
                try:
                    await work()
                except Exception as error:
                    if isinstance(error, Unavailable) or not self._store.unavailable(error):
                        raise
                    raise Unavailable(f"the store is away: {type(error).__name__}") from error

    def retrying(self, when: Callable[[Exception], bool]) -> AsyncRetrying:
        return AsyncRetrying(
            stop=stop_after_attempt(self._tuning.tries) | stop_after_delay(self._tuning.longest_retrying),
            wait=wait_random_exponential(self._tuning.first_pause, self._tuning.longest_pause),
            retry=retry_if_exception(lambda error: isinstance(error, Exception) and when(error)),
            reraise=True,
        )

    async def forgive(self, task_ids: Sequence[UUID]) -> None:
        """Takes back what was counted: it was not the tasks' fault. Where the store is away, the count stays."""
        try:
            await self._store.count(task_ids, -1)
        except Exception as error:
            if not self.transient(error):
                raise

    @property
    def hears_of_cancellations(self) -> bool:
        return bool(self._cancelled)

    @property
    def store(self) -> Store[Resource]:
        return self._store

    @property
    def limit(self) -> int:
        return self._tuning.deliveries

    def transient(self, error: Exception) -> bool:
        return isinstance(error, Unavailable) or self._store.unavailable(error)

    async def call(self, task: Assigned, session: Session[Resource], keyring: Keyring) -> Answer:
        """The team's function, or what there is to say without it."""
        function = self._actions.get(task.body.action)
        if function is None:
            return Answer(outcome=TaskOutcome.UNSUPPORTED, error=TaskError(code="action_unsupported"))
        beyond = _beyond(task)
        if beyond is not None:
            return Answer(outcome=TaskOutcome.UNSUPPORTED, error=TaskError(code=beyond))
        memory: Memory = Intents(session, task, keyring) if self._store.remembers else Forgetful()
        return await function(_task(task, memory), session.resource)

    async def call_off(self, task: Assigned, session: Session[Resource]) -> None:
        """The team's function for a task that is cancelled when there may be effects of it."""
        function = self._cancelled.get(task.body.action)
        if function is not None:
            await function(_task(task, Forgetful()), session.resource)


def _beyond(task: Assigned) -> str | None:
    """The code of what is asked for in words of a later version: it is left undone rather than guessed."""
    instructions = [item.instruction for item in task.body.scope if item.instruction is not None]
    if task.body.action == Action.ERASE and not all(isinstance(word, Instruction) for word in instructions):
        return "instruction_unsupported"
    if not all(isinstance(correction.op, CorrectionOp) for correction in task.personal.details.corrections):
        return "correction_unsupported"
    return None


def _task(task: Assigned, memory: Memory) -> Task:
    body = task.body
    return Task(
        id=body.task_id,
        request_id=body.request_id,
        action=body.action,
        right=body.right,
        regulation=body.regulation,
        attempt=body.attempt,
        scope=body.scope,
        period=body.period,
        due_at=body.due_at,
        identities=task.personal.subject.identities,
        details=task.personal.details,
        memory=memory,
    )
