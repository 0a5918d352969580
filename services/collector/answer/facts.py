"""What an answer is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json

from habeas.contracts.result import SummaryItem
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


class HeldRecord(NamedTuple):
    """A record as its system gave it; what its members mean and may hold says `habeas.contracts.result.Record`."""

    id: str
    category: str
    origin: str
    data: Mapping[str, Any]
    source: str | None = None
    third_parties: bool = False
    files: Sequence[str] = ()

    def __repr__(self) -> str:
        return "HeldRecord(…)"


def held(personal: bytes) -> tuple[list[HeldRecord], Mapping[str, str]]:
    """The records and labels of a system's answer, opened.

    Nothing is checked: that was done when the answer came in, and what opens under its key is the same as then.
    """
    given = from_json(personal)
    records = [
        HeldRecord(
            each["id"],
            each["category"],
            each["origin"],
            each["data"],
            each.get("source"),
            each.get("third_parties", False),
            each.get("files", ()),
        )
        for each in given.get("records", ())
    ]
    return records, given.get("labels", {})


@dataclass(frozen=True, slots=True)
class Contribution:
    """How one system of the plan ended, and what it gave."""

    system: str
    state: str
    outcome: str | None = None
    reason: str | None = None
    """Why it was not asked."""
    summary: Sequence[SummaryItem] = ()
    records: Sequence[HeldRecord] = field(default=(), repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`category.member` to a name people can read."""
    left_out: Sequence[LeftOutCategory] = ()
    """Categories that the right does not reach, as the plan has them."""
