"""What an answer is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from habeas.contracts.result import Record, SummaryItem
from habeas.contracts.submission import Period
from shared.events import LeftOutCategory


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """The request. `answered_at` is a recorded instant (that of the last result), never the time of the assembling:
    else the same answer, assembled again after a crash, would be another."""

    request_id: UUID
    reference: str
    right: str
    regulation: str | None
    jurisdiction: str | None
    received_at: datetime
    answered_at: datetime
    name: str | None = field(default=None, repr=False)
    """Of the person the data is about."""
    categories: Sequence[str] = ()
    """What the request was limited to; none named means everything."""
    period: Period | None = None
    """What dated records the request was limited to; its end is not included."""
    for_another: bool = False
    """Whether somebody who acts for the person reads it."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """How one system of the plan ended, and what it gave."""

    system: str
    state: str
    outcome: str | None = None
    reason: str | None = None
    """Why it was not asked."""
    summary: Sequence[SummaryItem] = ()
    records: Sequence[Record] = field(default=(), repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`category.member` to a name people can read."""
    left_out: Sequence[LeftOutCategory] = ()
    """Categories that the right does not reach, as the plan has them."""
