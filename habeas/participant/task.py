"""What a team's function gets and gives: a task in, an answer out."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from habeas.contracts.result import Record, SummaryItem, TaskError
from habeas.contracts.submission import Identity, Period
from habeas.contracts.task import ScopeItem, TaskDetails
from habeas.contracts.vocabulary import Action, Did, TaskOutcome

Value = TypeVar("Value")


class Memory(Protocol):
    """Keeps what a function found before it acts on it (see `Task.once`)."""

    async def once(self, name: str, kind: type[Value], compute: Callable[[], Awaitable[Value]]) -> Value: ...


class Forgetful:
    """The memory of a store that has transactions: effect and answer come together, so nothing needs remembering."""

    async def once(self, name: str, kind: type[Value], compute: Callable[[], Awaitable[Value]]) -> Value:  # noqa: ARG002
        return await compute()


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do for one request. Its repr shows no personal data."""

    id: UUID
    request_id: UUID
    action: str
    right: str
    regulation: str
    attempt: int
    scope: Sequence[ScopeItem]
    period: Period | None
    due_at: datetime
    """UTC; when the system has to have answered."""
    identities: Sequence[Identity] = field(repr=False)
    details: TaskDetails = field(repr=False)
    memory: Memory = field(default_factory=Forgetful, repr=False, compare=False)

    def identity(self, *types: str) -> tuple[str, ...]:
        """The values of the person's identities of these types."""
        return tuple(item.identity_value for item in self.identities if item.identity_type in types)

    async def once(self, name: str, kind: type[Value], compute: Callable[[], Awaitable[Value]]) -> Value:
        """What `compute` returned the first time, even if the process died since.

        For stores without transactions: find out what there is (and what will be kept) inside `compute`, then act. It
        is stored, sealed under the system's own key, before `once` returns; a run after a crash gets the same value
        back although the data may be half gone. `kind` is anything pydantic can write as JSON and read again.

        The value belongs to what is asked (action, scope, identities, details, …), and is dropped once the task has
        been done, or has ended as `nothing_held`, `needs_input` or `refused`: so find out about these before anything
        is changed. After `failed` it is kept, for the next attempt to go on from.
        """
        return await self.memory.once(name, kind, compute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the system has to say. With nothing in it, it says that nothing is held.

    `summary` travels in clear: categories, counts, grounds and dates only. Where a disclosure leaves it out, it is
    counted from `records`; records that also show other people count as withheld (GDPR Art. 15(4)), since a person
    weighs them first.
    """

    records: Sequence[Record] = field(default=(), repr=False)
    summary: Sequence[SummaryItem] = ()
    identities: Sequence[Identity] = field(default=(), repr=False)
    """Identifiers found, which other systems need."""
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`category.member` to a name people can read."""
    message: str | None = field(default=None, repr=False)
    outcome: TaskOutcome | None = None
    """Left out, it is `nothing_held` without records and summary (and, for a locate, identities), else `completed`."""
    error: TaskError | None = None

    @classmethod
    def nothing_held(cls) -> "Answer":
        return cls(outcome=TaskOutcome.NOTHING_HELD)

    def settled(self, action: str) -> "Answer":
        """The answer with its outcome, and a disclosure's summary, filled in."""
        summary = tuple(self.summary)
        if not summary and self.records:
            summary = _counted(self.records, Did.EXPORTED if action == Action.EXPORT else Did.DISCLOSED)
        held = summary or self.records or (action == Action.LOCATE and self.identities)
        derived = TaskOutcome.COMPLETED if held else TaskOutcome.NOTHING_HELD
        return replace(self, summary=summary, outcome=self.outcome or derived)


def _counted(records: Sequence[Record], did: Did) -> tuple[SummaryItem, ...]:
    counts = Counter((record.category, record.third_parties) for record in records)
    return tuple(
        SummaryItem(category=category, did=Did.WITHHELD, count=count, ground="rights_of_others")
        if third_parties
        else SummaryItem(category=category, did=did, count=count)
        for (category, third_parties), count in counts.items()
    )


def identity(identity_type: str, value: str) -> Identity:
    """An identifier found, for an answer's `identities`."""
    return Identity(identity_type=identity_type, identity_value=value)
