"""What an answer is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from habeas.contracts.result import Record, SummaryItem


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
