"""The answers a system has given, kept together with their effects: what every store offers the library."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias, TypeVar
from uuid import UUID

from habeas.contracts.result import TaskFinished
from habeas.contracts.vocabulary import TaskOutcome
from habeas.participant.effects import READING, UNDONE_BY

Resource = TypeVar("Resource")
Resource_co = TypeVar("Resource_co", covariant=True)

Settled: TypeAlias = tuple[UUID, str, str]
"""Intents: those of a request, for an action, whose names begin so."""

_DONE = frozenset({TaskOutcome.COMPLETED, TaskOutcome.PARTIAL})
_NEVER_BEGUN = frozenset({TaskOutcome.CANCELLED, TaskOutcome.UNSUPPORTED})
_SETTLED = _DONE | {TaskOutcome.NOTHING_HELD, TaskOutcome.NEEDS_INPUT, TaskOutcome.REFUSED}


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer as it was, or is about to be, published: body byte for byte, its personal part sealed."""

    task_id: UUID
    request_id: UUID
    action: str
    outcome: str
    ce_id: UUID
    answered_at: datetime
    body: bytes = field(repr=False)
    asked_type: str
    asked: str = field(repr=False)
    """The task as it came, its `personal` sealed, and the ce_type it came under: to tell a repeated question from
    another one, and to say later what it was that is cancelled."""

    @property
    def done(self) -> bool:
        return self.outcome in _DONE

    @property
    def tried(self) -> bool:
        """Whether there may be effects of it: also of a task that failed, where the store cannot take them back."""
        return self.outcome not in _NEVER_BEGUN

    @property
    def settles(self) -> bool:
        """Whether nothing is half done: what was found for it (see `Task.once`) is out of date from then on."""
        return self.outcome in _SETTLED

    @property
    def undoes(self) -> frozenset[str]:
        """The actions of which nothing stands any more."""
        return frozenset(action for action, by in UNDONE_BY.items() if self.done and self.action in by)

    def message(self) -> TaskFinished:
        return TaskFinished.model_validate_json(self.body)


@dataclass(slots=True)
class Known:
    """What the store knows about a batch of tasks and their requests."""

    answers: dict[UUID, StoredAnswer] = field(default_factory=dict)
    """By task id."""
    cancelled: set[UUID] = field(default_factory=set)
    """Task ids, of the batch and of its requests' other tasks."""
    _changes: dict[UUID, list[StoredAnswer]] = field(default_factory=dict)
    """The answers to each request's tasks that were to change something, in their order."""

    @classmethod
    def of(cls, answers: Sequence[StoredAnswer], cancelled: Sequence[UUID]) -> "Known":
        known = cls(cancelled=set(cancelled))
        for answer in sorted(answers, key=lambda answer: answer.answered_at):
            known._add(answer)
        return known

    def admit(self, answer: StoredAnswer) -> StoredAnswer:
        """The new answer as it is to be kept: later than its request's others, whatever the clocks of two hosts say."""
        before = self._changes.get(answer.request_id, ())
        if before and before[-1].answered_at >= answer.answered_at:
            answer = replace(answer, answered_at=before[-1].answered_at + timedelta(microseconds=1))
        self._add(answer)
        return answer

    def last(self, request_id: UUID) -> StoredAnswer | None:
        """The answer that the request's last task to change something got, if it was done and stands."""
        changes = self._changes.get(request_id)
        if not changes or not changes[-1].done or changes[-1].task_id in self.cancelled:
            return None
        return changes[-1]

    def standing(self, request_id: UUID, action: str) -> list[StoredAnswer]:
        """The answers of that action whose effect nothing has undone, in their order."""
        undone_by = UNDONE_BY.get(action, frozenset())
        found: list[StoredAnswer] = []
        for answer in self._changes.get(request_id, ()):
            if answer.action in undone_by:
                found.clear()
            elif answer.action == action and answer.done and not (undone_by and answer.task_id in self.cancelled):
                found.append(answer)
        return found

    def repeated(self, answer: StoredAnswer) -> bool:
        """Whether a later task of the request asked for the same action, and is not cancelled."""
        return any(
            later.action == answer.action and later.answered_at > answer.answered_at
            for later in self._changes.get(answer.request_id, ())
            if later.task_id not in self.cancelled
        )

    def _add(self, answer: StoredAnswer) -> None:
        self.answers[answer.task_id] = answer
        if answer.tried and answer.action not in READING:
            self._changes.setdefault(answer.request_id, []).append(answer)


class Session(Protocol[Resource_co]):
    """One transaction of the store, or what stands in for it where the store has none."""

    @property
    def resource(self) -> Resource_co:
        """What the team's function gets: a connection inside this transaction, a client, …"""
        ...

    def savepoint(self) -> AbstractAsyncContextManager[object]:
        """What fails inside leaves the rest of the transaction whole."""
        ...

    async def known(self, task_ids: Sequence[UUID], request_ids: Sequence[UUID]) -> Known:
        """Locks these requests against other processes until the end of the transaction, then looks."""
        ...

    async def keep(self, answers: Sequence[StoredAnswer], settled: Sequence[Settled] = ()) -> None:
        """Stores the answers, and drops their delivery counts and the intents that are `settled` by them."""
        ...

    async def intent(self, request_id: UUID, action: str, name: str) -> str | None: ...

    async def keep_intent(self, request_id: UUID, action: str, name: str, sealed: str) -> None:
        """Durable when it returns."""
        ...


class Store(Protocol[Resource_co]):
    """Where a system keeps its answers: with the effects, or in a journal beside them."""

    remembers: bool
    """Whether intents are kept (stores without transactions)."""

    async def open(self) -> None:
        """Connects and creates what is missing. May be called again after it failed."""
        ...

    async def close(self) -> None: ...

    def unavailable(self, error: Exception) -> bool:
        """Whether `error` says that the store is away for now."""
        ...

    def outside(self) -> AbstractAsyncContextManager[Resource_co]:
        """The resource outside of any transaction."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Session[Resource_co]]: ...

    async def cancel(self, cancellations: Sequence[tuple[UUID, UUID]]) -> None:
        """Remembers cancellations (task id, request id), also those that come before their task."""
        ...

    async def deliveries(self, task_ids: Sequence[UUID]) -> dict[UUID, int]:
        """How often unanswered tasks have been begun; absent for never, 0 where no beginning counts against it."""
        ...

    async def count(self, task_ids: Sequence[UUID], step: int = 1) -> None:
        """Adds `step` to how often these tasks have been begun, durably."""
        ...

    async def forget(self, before: datetime) -> None:
        """Drops answers and cancellations from before that instant."""
        ...
