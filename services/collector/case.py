"""A case as the rules see it, and what they make of it: values only."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from operator import itemgetter
from typing import Final, NamedTuple, Self
from uuid import UUID

from habeas.contracts.result import SummaryItem
from habeas.contracts.status import StatusChanged
from habeas.contracts.vocabulary import Action
from shared.events import (
    DeliveryResult,
    LeftOutCategory,
    Notice,
    PastTask,
    PlannedSystem,
    Recipient,
    RequestOpened,
)


class ReviewReason(StrEnum):
    """Why a person of the privacy team has to look. Travels in clear."""

    SYSTEM_FAILED = "system_failed"
    NOTICE_BOUNCED = "notice_bounced"
    NO_ADDRESS = "no_address"
    OBJECTION_TO_WEIGH = "objection_to_weigh"
    PREDECESSOR_MISSING = "predecessor_missing"
    LIFTING_NOT_TOLD = "lifting_not_told"
    """A restriction was to be lifted, and the person cannot be told by mail (GDPR Art. 18(3))."""


class ReasonCode(StrEnum):
    """Further reasons of a status. Travel in clear."""

    COMES_AFTER_ANOTHER = "comes_after_another"
    WITHDRAWN = "withdrawn"
    OBJECTION_OVERRIDDEN = "objection_overridden"
    RESTRICTION_LIFTING = "restriction_lifting"
    RESTRICTION_LIFTED = "restriction_lifted"


class OrderKind(StrEnum):
    WEIGH = "weigh"
    LIFT = "lift"
    RETRY = "retry"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Order:
    """What a person has decided about a case, by an accepted command."""

    command_id: UUID
    kind: OrderKind
    argument: str | None = None
    """Of `weigh` the verdict, of `retry` the system, of `release` the reason of the review that it ended."""


class Planned(NamedTuple):
    """A row of the plan: what of a `PlannedSystem` anything here depends on, in a fifth of the memory."""

    system: str
    state: str
    action: str | None
    task_id: UUID | None
    reason: str | None
    earlier: tuple[PastTask, ...]
    left_out: tuple[LeftOutCategory, ...]
    categories: tuple[str, ...]

    @classmethod
    def of(cls, planned: PlannedSystem) -> Self:
        return cls._make(_PLANNED(vars(planned)))


_PLANNED: Final = itemgetter(*Planned._fields)


class Result(NamedTuple):
    """A system's answer, without its records."""

    system: str
    outcome: str
    summary: tuple[SummaryItem, ...]
    error: str | None = None
    """The code of what stood in its way."""
    found: str | None = None
    """Identifiers for other systems, sealed for the services; None where there are none."""


@dataclass(slots=True)
class Done:
    """A line of the statement: members of a `StatementItem`."""

    system: str
    category: str
    did: str
    count: int
    ground: str | None
    until: date | None


@dataclass(slots=True)
class Ended:
    """How a system ended: members of a `SystemNote`."""

    system: str
    state: str
    outcome: str | None
    reason: str | None


@dataclass(slots=True)  # not frozen, since that triples what it costs to make one; nothing changes it all the same
class Case:
    """All that is known about a request, and what was said about it."""

    opened: RequestOpened
    plan: tuple[Planned, ...] | None = None
    results: Mapping[UUID, Result] = field(default_factory=dict)
    working: Set[UUID] = frozenset()
    deliveries: Mapping[str, DeliveryResult] = field(default_factory=dict)
    """By notice, of mails to the requester."""
    answer_object: str | None = None
    """Where the answer lies and what opens it, sealed."""
    answer_expires_at: datetime | None = None
    """Set once the answer lies in the store."""
    status: StatusChanged | None = None
    reported: frozenset[str] = frozenset()
    noticed: frozenset[str] = frozenset()
    """The marks of the notices that were asked for."""
    marketing: Set[tuple[str, str]] = frozenset()
    """System and category of direct marketing: an objection to it is not weighed (GDPR Art. 21(3))."""
    withdrawn: bool = False
    awaited: bool = False
    """Whether another request comes after this one."""
    orders: tuple[Order, ...] = ()
    said: frozenset[str] = frozenset()
    """What fan-out was told: `collected`, `stopped`, the ids of orders."""
    answers: Mapping[str, Result] | None = field(default=None, init=False, compare=False, repr=False)
    """By system the answer that counts, once anybody has asked for it (`results.answers`)."""


class Told(NamedTuple):
    """Somebody is to be told something. A notice is asked for once under its natural key; a further reason for a review
    is a further notice, with an ordinal of its own."""

    notice: Notice
    recipient: Recipient
    ordinal: int = 1

    @property
    def mark(self) -> str:
        """As which a case remembers that it was asked for."""
        return f"{self.notice}.{self.ordinal}"


class Round(NamedTuple):
    """Systems are to be asked once more."""

    order_id: UUID
    systems: tuple[str, ...]
    action: Action | None = None
    """None for the same again."""
    categories: tuple[str, ...] = ()


COLLECTED: Final = "collected"

STOPPED: Final = "stopped"


class Step(NamedTuple):
    """What is to be said and done now."""

    status: StatusChanged | None = None
    """A new one to publish."""
    report: tuple[str, ...] = ()
    """All systems finished so far, for fan-out; empty where there is nothing new to tell."""
    notices: tuple[Told, ...] = ()
    assemble: bool = False
    """Whether the answer can and must be put together."""
    collected: bool = False
    """Those who come after this request may go on."""
    stop: tuple[str, ...] | None = None
    """The request ends before its systems do: those that have finished."""
    rounds: tuple[Round, ...] = ()

    @property
    def said(self) -> frozenset[str]:
        """What fan-out is told with it."""
        if not (self.rounds or self.collected or self.stop is not None):
            return frozenset()
        marks = {str(each.order_id) for each in self.rounds}
        return frozenset(
            {*marks, *([COLLECTED] if self.collected else []), *([STOPPED] if self.stop is not None else [])}
        )
