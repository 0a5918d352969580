"""A due date and what stands beside it, in words and for programs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from shared.law.deadline import Timing
from shared.law.regime import Clock


def beside(found: Timing) -> dict[str, Any]:
    """What stands beside a due date, for programs."""
    clock = found.clock
    return {
        "starts_on": found.starts_on.isoformat(),
        "days_paused": found.days_paused,
        "alarm_at": utc(found.alarm_at),
        "announce_by": utc(found.announce_by) if found.announce_by else None,
        "confirm_by": utc(found.confirm_by) if found.confirm_by else None,
        "clock_only": found.clock_only,
        "sources": [clock.source, *([clock.pauses.source] if clock.pauses and found.days_paused else [])],
        "notes": _notes(clock),
        "unverified": list(clock.unverified),
    }


def told(found: Timing, regulation: str, zone: ZoneInfo) -> Iterator[str]:
    """A due date and what stands beside it, line by line, for people. Days are those of `zone`."""
    due = found.due
    yield f"Due on {due.on:%A} {due.on}, until the end of the day in {zone.key} ({utc(due.at)})."
    if found.alarm_at != due.at:
        yield f"The alarm stays on {_day(found.alarm_at, zone)}, the date without the pause: the pause is a claim."
    if found.announce_by:
        yield f"The extension has to be announced by {_day(found.announce_by, zone)}."
    if found.confirm_by:
        yield f"Receipt has to be confirmed to the person by {_day(found.confirm_by, zone)}."
    yield due.rule
    if found.days_paused and found.clock.pauses:
        yield f"Pause: {found.clock.pauses.source}."
    yield from _notes(found.clock)
    if found.clock_only:
        yield f"Clock only: of {regulation} nothing else is known here, and a person carries out what is asked."
    if found.clock.unverified:
        yield f"Unverified, from memory of the text: {'; '.join(found.clock.unverified)}."


def _notes(clock: Clock) -> list[str]:
    put_off = f"The law lets the answer be put off without saying by how long: {clock.extension_open}."
    return [*clock.notes, *([put_off] if clock.extension_open else [])]


def _day(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%A %Y-%m-%d} ({utc(instant)})"


def utc(instant: datetime) -> str:
    """To the second, as `habeas` prints every instant."""
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
