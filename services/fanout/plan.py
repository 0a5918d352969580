"""What a plan is made of: one item for each system, and what is known when it is made. Values only."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Literal
from uuid import UUID

from pydantic import PlainSerializer, TypeAdapter

from habeas.contracts.task import ScopeItem
from habeas.contracts.vocabulary import Action, SystemState
from services.fanout.scope import LeftOut


class Reason(StrEnum):
    """Why a system is not asked, now or at all. Travels in clear."""

    WAITING_FOR_IDENTIFIER = "waiting_for_identifier"
    IDENTIFIER_NOT_FOUND = "identifier_not_found"
    RIGHT_DOES_NOT_REACH = "right_does_not_reach"
    NOT_ASKED_FOR = "not_asked_for"
    COMES_AFTER_ANOTHER = "comes_after_another"
    PREDECESSOR_MISSING = "predecessor_missing"
    REQUEST_ENDED = "request_ended"


Blocked = Literal[Reason.COMES_AFTER_ANOTHER, Reason.PREDECESSOR_MISSING]
"""Why nobody may be asked yet."""

IdentityTypes = Annotated[frozenset[str], PlainSerializer(sorted, return_type=list[str])]
"""Sorted where they are stored: equal plans have the same text."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a system does for the request once it is asked."""

    action: Action
    scope: tuple[ScopeItem, ...]
    """Empty for `locate` alone, which hands out identifiers and nothing else."""
    due: timedelta | datetime
    """The system's own due time: so long after the request was received; in a further round, that instant."""
    needs: IdentityTypes
    """Identity types, any one of which finds a person there. A task carries identities of these types alone."""
    provides: IdentityTypes
    """Identity types that its answer may contain."""

    def __post_init__(self) -> None:
        if bool(self.scope) == (self.action is Action.LOCATE):
            raise ValueError("every action but locate has a scope")
        if not self.needs:
            raise ValueError("a system is asked by at least one identity type")

    def due_at(self, received_at: datetime, request_due_at: datetime) -> datetime:
        """For a request of these dates. Its first tasks are due with it at the latest."""
        if isinstance(self.due, datetime):
            return self.due
        return min(request_due_at, received_at + self.due)


@dataclass(frozen=True, slots=True)
class Asked:
    system: str
    assignment: Assignment
    left_out: tuple[LeftOut, ...] = ()
    given: tuple[Action, ...] = ()
    """What each of its tasks so far asked for, by attempt: the last one is the one to be answered."""
    state: Literal[SystemState.ASKED] = SystemState.ASKED
    reason: None = None

    def __post_init__(self) -> None:
        if not self.given or self.given[-1] is not self.assignment.action:
            raise ValueError("what is asked has a task that says so")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not asked yet: an unfinished system may still find what it needs, or another request comes first."""

    system: str
    assignment: Assignment
    left_out: tuple[LeftOut, ...] = ()
    given: tuple[Action, ...] = ()
    """A hold at most: whatever comes first may still need the data."""
    state: Literal[SystemState.WAITING] = SystemState.WAITING
    reason: Literal[Reason.WAITING_FOR_IDENTIFIER] | Blocked = Reason.WAITING_FOR_IDENTIFIER


@dataclass(frozen=True, slots=True)
class NotFound:
    """Excluded: nobody asked finds what it needs, or could. Keeps its assignment, in case the identifier comes late."""

    system: str
    assignment: Assignment
    left_out: tuple[LeftOut, ...] = ()
    given: tuple[Action, ...] = ()
    state: Literal[SystemState.EXCLUDED] = SystemState.EXCLUDED
    reason: Literal[Reason.IDENTIFIER_NOT_FOUND] = Reason.IDENTIFIER_NOT_FOUND


@dataclass(frozen=True, slots=True)
class NotConcerned:
    """Excluded: the right reaches nothing the system holds, or nothing of what it holds is asked for."""

    system: str
    left_out: tuple[LeftOut, ...]
    given: tuple[Action, ...] = ()
    assignment: None = None
    state: Literal[SystemState.EXCLUDED] = SystemState.EXCLUDED
    reason: Literal[Reason.RIGHT_DOES_NOT_REACH, Reason.NOT_ASKED_FOR] = Reason.RIGHT_DOES_NOT_REACH


@dataclass(frozen=True, slots=True)
class Ended:
    """Excluded: the request ended before it was asked."""

    system: str
    assignment: Assignment
    left_out: tuple[LeftOut, ...] = ()
    given: tuple[Action, ...] = ()
    state: Literal[SystemState.EXCLUDED] = SystemState.EXCLUDED
    reason: Literal[Reason.REQUEST_ENDED] = Reason.REQUEST_ENDED


PlanItem = Asked | Waiting | NotFound | NotConcerned | Ended


@dataclass(frozen=True)
class Plan:
    """One item for each system of the registry, in its order.

    Nothing in it is of one request alone until a further round is ordered: those that ask for the same, known by the
    same, share a plan.
    """

    items: tuple[PlanItem, ...]
    orders: tuple[UUID, ...] = ()
    """The further rounds that were carried out."""
    stopped: bool = False
    """Whether the tasks in hand were cancelled."""

    def __post_init__(self) -> None:
        if len({item.system for item in self.items}) != len(self.items):
            raise ValueError("a plan has one item for each system")

    def __getitem__(self, system: str) -> PlanItem:
        return next(item for item in self.items if item.system == system)

    def __hash__(self) -> int:
        return hash(self.plan_id)

    @property
    def asked(self) -> tuple[Asked, ...]:
        return tuple(item for item in self.items if isinstance(item, Asked))

    @cached_property
    def text(self) -> str:
        """As it is stored: JSON, the same for equal plans."""
        return _STORED.dump_json(self).decode()

    @cached_property
    def plan_id(self) -> UUID:
        """Made from what it says, so that whoever makes the same plan finds it stored."""
        return UUID(bytes=hashlib.sha256(self.text.encode()).digest()[:16])

    @staticmethod
    def of(text: str) -> "Plan":
        return _STORED.validate_json(text)


_STORED = TypeAdapter(Plan)


@dataclass(frozen=True, slots=True)
class Order:
    """Systems that were asked are to be asked once more."""

    order_id: UUID
    systems: frozenset[str]
    action: Action | None = None
    """None for what they were asked for before."""
    categories: frozenset[str] = frozenset()
    """The part of the scope it is about; empty means all of it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything recorded so far about a request, not only what is new. Sets: order and repetition do not matter."""

    known: frozenset[str] = field(default_factory=frozenset)
    """Identity types with at least one value, given and proven or found by a system."""
    finished: frozenset[str] = field(default_factory=frozenset)
    """Systems that have given their final answer, whatever it was."""
    blocked: Blocked | None = None
    """Why nobody may be asked yet, if so."""
    ended: bool = False
    """Whether the request is over, its systems finished or not."""
