"""The answers a system has given, kept together with their effects: what every store offers the library."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from habeas.contracts.result import TaskFinished
from habeas.contracts.vocabulary import TaskOutcome

Resource = TypeVar("Resource")
Resource_co = TypeVar("Resource_co", covariant=True)

_DONE = frozenset({TaskOutcome.COMPLETED, TaskOutcome.PARTIAL})


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
    """The task's own sealed `personal`, and the ce_type it came under: to tell a repeated question from a wider one."""

    @property
    def done(self) -> bool:
        return self.outcome in _DONE

    def message(self) -> TaskFinished:
        return TaskFinished.model_validate_json(self.body)


@dataclass(slots=True)
class Known:
    """What the store knows about a batch of tasks."""

    answers: dict[UUID, StoredAnswer] = field(default_factory=dict)
    """By task id."""
    earlier: dict[tuple[UUID, str], StoredAnswer] = field(default_factory=dict)
    """The last answer that reported something done, by request id and action."""
    cancelled: set[UUID] = field(default_factory=set)

    @classmethod
    def of(cls, answers: Sequence[StoredAnswer], cancelled: Sequence[UUID]) -> "Known":
        known = cls(cancelled=set(cancelled))
        for answer in sorted(answers, key=lambda answer: answer.answered_at):
            known.add(answer)
        return known

    def add(self, answer: StoredAnswer) -> None:
        self.answers[answer.task_id] = answer
        if answer.done:
            self.earlier[answer.request_id, answer.action] = answer


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

    async def keep(self, answers: Sequence[StoredAnswer]) -> None:
        """Stores the answers and drops the delivery counts and intents that they settle."""
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
        """How often unanswered tasks have been begun; absent for never."""
        ...

    async def count(self, task_ids: Sequence[UUID], step: int = 1) -> None:
        """Adds `step` to how often these tasks have been begun, durably."""
        ...

    async def forget(self, before: datetime) -> None:
        """Drops answers and cancellations from before that instant."""
        ...
