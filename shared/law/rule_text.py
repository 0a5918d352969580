"""How a due date came about, in one line: what the contract calls the rule of a due date."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import date
from textwrap import shorten
from typing import Final

from shared.law.counting import Ending
from shared.law.regime import Clock, LastDay, Question, Unit

_LONGEST: Final = 320
"""Characters of a line, by the contract."""
_LONGEST_NAME: Final = 48
"""Of a holiday."""


@dataclass(frozen=True, slots=True)
class Computation:
    """What went into a due date and what came out."""

    clock: Clock
    clock_only: bool
    received: date
    start: date
    place: str
    time_zone: str
    extended: bool
    ending: Ending
    waited: int
    questions: Set[Question]
    """What was waited for, all told; of the pauses that the clock knows."""
    proof_is_idle: bool
    """Proof of identity came after the receipt, and the clock does not care."""


def rule_text(done: Computation) -> str:
    """Whatever it takes to stay one line: the name of a holiday goes first, then that of the time zone."""
    name = shorten(done.ending.why, _LONGEST_NAME, placeholder=" …") if done.ending.why else None
    tries = (_written(done, *details) for details in ((name, done.time_zone), (None, done.time_zone), (None, None)))
    return next(text for text in tries if len(text) <= _LONGEST)


def _written(done: Computation, name: str | None, time_zone: str | None) -> str:
    clock = done.clock
    place = f" of {done.place}" if clock.first.unit is Unit.WORKING_DAYS else ""
    parts = (
        f"{clock.source}: {clock.first}{place} ",
        _from(done),
        f" ({time_zone})" if time_zone else "",
        ", whenever identity was proven" if done.proof_is_idle else "",
        f", extended by {clock.extension} from the same start" if done.extended else "",
        _paused(done),
        _moved(done, name),
        ". Computed, not confirmed by a person.",
        " In part unverified." if clock.unverified else "",
        " Clock only." if done.clock_only else "",
    )
    return "".join(parts)


def _from(done: Computation) -> str:
    if done.start == done.received:
        return f"from receipt on {done.received}"
    return f"from proof on {done.start}, received on {done.received}"


def _paused(done: Computation) -> str:
    if not done.questions:
        return ""
    days = f"{done.waited} {'day' if done.waited == 1 else 'days'}"
    claim = ", a claim" if done.clock.pauses and done.clock.pauses.claim else ""
    return f", paused {days} for {' and '.join(sorted(done.questions))}{claim}"


def _moved(done: Computation, name: str | None) -> str:
    ending = done.ending
    parts = []
    if ending.why is not None:
        parts.append(f"; {ending.counted} is not worked in {done.place}{f' ({name})' if name else ''}")
        if done.clock.last_day is LastDay.STANDS:
            parts.append(", and stands")
    if ending.on != ending.counted:
        parts.append(f", so it ends on {ending.on}")
    return "".join(parts)
