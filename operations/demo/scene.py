"""What there is to be seen now: the requests, the processes, and what has happened. Plain values, no terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from habeas.contracts.status import StatusChanged, SubmissionRejected
from operations.demo.scenario import MALFORMED
from operations.programs import SERVICES, SYSTEMS
from operations.stack.supervisor import State

INFRASTRUCTURE = ("kafka", "postgres", "processor", "smtp")
__all__ = ["INFRASTRUCTURE", "SERVICES", "SYSTEMS", "Event", "Mark", "Row", "Scene", "State"]


class Mark(Enum):
    """What kind of event it is."""

    ACT = "§"
    """Another act begins."""
    NOTE = "·"
    BLOW = "✖"
    """Something was taken away."""
    MEND = "✔"
    """It is back."""
    USE = "▸"
    """A system tries to use somebody's data, and may or may not."""


@dataclass(frozen=True, slots=True)
class Event:
    seconds: float
    """Since the start of the demo."""
    mark: Mark
    text: str


@dataclass(slots=True)
class Row:
    """One submission."""

    key: str
    title: str
    wish: str = ""
    """What is asked for, in a few words."""
    request_id: UUID | None = None
    status: StatusChanged | None = None
    refusal: str | None = None
    """The code of the error for which it was refused."""
    ended: float | None = None
    """When it was closed or refused, in seconds since the start of the demo."""


@dataclass(slots=True)
class Scene:
    clock: Callable[[], float]
    """Seconds since the start of the demo."""
    rows: list[Row]
    processes: dict[str, State] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def row(self, key: str) -> Row:
        return next(row for row in self.rows if row.key == key)

    def by_urgency(self) -> list[Row]:
        """Those under way first, in their order; then what has ended, the latest first; then what is to come."""

        def rank(row: Row) -> tuple[int, float]:
            if row.ended is not None:
                return 1, -row.ended
            return (0 if row.request_id else 2), 0.0

        return sorted(self.rows, key=rank)

    def refuse(self, refusal: SubmissionRejected) -> Row:
        """Note that the submission that makes no request was refused."""
        row = self.row(MALFORMED)
        row.refusal = ", ".join(str(error.code) for error in refusal.errors)
        row.ended = self.clock()
        return row

    def take(self, changed: StatusChanged) -> Row | None:
        """Note a request's new status; returns its row."""
        for row in self.rows:
            if row.request_id == changed.request_id:
                row.status = changed
                if changed.state == "closed" and row.ended is None:
                    row.ended = self.clock()
                return row
        return None

    def happened(self, text: str, mark: Mark = Mark.NOTE) -> Event:
        event = Event(self.clock(), mark, text)
        self.events.append(event)
        return event
