"""When an answer is due.

The day on which the clock starts, in the controller's time zone, is not counted. The period ends with the last second
of its last day; where the regime says so and nobody works on that day at the controller's place, of the next working
day. A pause moves the counted last day by the days waited. Only the final date moves to a working day: an extension is
counted from the start again, never from a date that was clamped or moved.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from textwrap import shorten
from typing import Final, NotRequired, TypedDict, Unpack
from zoneinfo import ZoneInfo

from habeas.contracts.status import Due
from habeas.contracts.vocabulary import Right
from shared.law.counting import Ending, counted_day, last_day, last_second
from shared.law.errors import NaiveTimeError, NoExtensionError
from shared.law.pauses import Pause, check_pauses, days_waited
from shared.law.places import working_days
from shared.law.regime import Clock, LastDay, Period, Question, Start, Unit, regime, regimes

_LONGEST_NAME: Final = 48
"""Of a holiday in a rule, which the contract gives one line."""


class Circumstances(TypedDict):
    """What a due date depends on beside the clock and the receipt."""

    place: str
    """Where the controller acts (ISO 3166-1 or -2), not where the person lives: whose working days count."""
    time_zone: ZoneInfo
    """Whose day a day is: the controller's."""
    extended: NotRequired[bool]
    pauses: NotRequired[Collection[Pause]]
    identified_at: NotRequired[datetime | None]
    """When the last proof was there that the request waited for: identity, an agent's authority, a fee.

    What that does is the regime's: it starts the clock (UK); it pauses the clock from receipt on, where proof is asked
    for at once, as a claim (EU); or it does nothing.
    """


@dataclass(frozen=True, slots=True)
class Timing:
    """A due date with what stands beside it. Instants are the last seconds of local days, in UTC."""

    due: Due
    clock: Clock
    clock_only: bool
    """Of its regime nothing but the clocks is known."""
    starts_on: date
    """The local day from which the period is counted, itself not counted."""
    days_paused: int
    alarm_at: datetime
    """As `due.at`, without the pauses that are a mere claim: an answer by then is in time, whatever they are worth."""
    announce_by: datetime | None
    """Until when an extension has to be announced, with its reasons; None where it is not extended."""
    confirm_by: datetime | None
    """Until when the person has to be told that the request has come; None where the regime does not want it."""


def deadline(regulation: str, right: Right, received_at: datetime, **circumstances: Unpack[Circumstances]) -> Due:
    """When the answer is due to a request received at `received_at`, an aware instant. Raises as `timing`."""
    return timing(regulation, right, received_at, **circumstances).due


def timing(regulation: str, right: Right, received_at: datetime, **circumstances: Unpack[Circumstances]) -> Timing:
    """When the answer is due to a request received at `received_at`, an aware instant, and what goes with that date.

    Raises `UnknownRegulationError`, `NoClockError`, `NoExtensionError`, `NoPauseError`, `PauseOrderError`,
    `UnknownPlaceError`, `NaiveTimeError`.
    """
    known = regime(regulation)
    return _time(known.clock(right), received_at, clock_only=known.clock_only, **circumstances)


def strictest_deadline(received_at: datetime, *, regulations: Collection[str], place: str, time_zone: ZoneInfo) -> Due:
    """The earliest date that any clock of these regimes gives: for a wish whose right or regime is not yet known.

    `regulations` are those the controller answers under. Where there are none, all that are known count: too early a
    date harms nobody. Raises `UnknownRegulationError`, `UnknownPlaceError`, `NaiveTimeError`.
    """
    timings = (
        _time(clock, received_at, clock_only=known.clock_only, place=place, time_zone=time_zone)
        for known in map(regime, regulations or regimes())
        for clock in known.clocks
    )
    return min((found.due for found in timings), key=lambda due: due.at)


def due_by(clock: Clock, received_at: datetime, **circumstances: Unpack[Circumstances]) -> Due:
    """As `deadline`, by one clock."""
    return _time(clock, received_at, clock_only=False, **circumstances).due


def _time(
    clock: Clock,
    received_at: datetime,
    *,
    clock_only: bool,
    place: str,
    time_zone: ZoneInfo,
    extended: bool = False,
    pauses: Collection[Pause] = (),
    identified_at: datetime | None = None,
) -> Timing:
    if received_at.tzinfo is None or (identified_at is not None and identified_at.tzinfo is None):
        raise NaiveTimeError
    if extended and clock.extension is None:
        raise NoExtensionError(clock.source, clock.extension_open)
    received = received_at.astimezone(time_zone).date()
    check_pauses(clock, pauses, received, time_zone)
    proven = received if identified_at is None else max(received, identified_at.astimezone(time_zone).date())
    start = proven if clock.starts > {Start.RECEIPT} else received
    idle = start < proven and not _pauses_for_identity(clock)
    if identified_at is not None and start < proven and not idle:
        pauses = (*pauses, Pause(received_at, identified_at, Question.IDENTITY))

    days = working_days(place)
    whole = _whole(clock) if extended else clock.first

    def ending(period: Period, counting: Collection[Pause]) -> tuple[Ending, int]:
        waited = days_waited(counting, start, counted_day(start, period, days), time_zone)
        return last_day(clock, start, period, days, waited=waited), waited

    claimed = clock.pauses is not None and clock.pauses.claim
    safe = () if claimed else pauses
    final, waited = ending(whole, pauses)
    original, _ = ending(clock.first, ())
    announced, _ = ending(clock.first, safe)
    alarm, _ = ending(whole, safe)
    told = "".join(
        (
            f"{clock.source}: {_length(clock, place)} ",
            f"from receipt on {received} ({time_zone.key})"
            if start == received
            else f"from the last proof on {start}, received on {received} ({time_zone.key})",
            ", whenever identity was proven" if idle else "",
            f", extended by {clock.extension} from the same start" if extended else "",
            _paused(waited, pauses, claimed=claimed),
            _moved(clock, final, place),
            ". Computed, not confirmed by a person.",
            " Partly from memory of the text, unverified." if clock.unverified else "",
            " Clock only." if clock_only else "",
        )
    )
    return Timing(
        due=Due(
            at=last_second(final.on, time_zone),
            on=final.on,
            rule=told,
            original_at=last_second(original.on, time_zone),
            extended=extended,
        ),
        clock=clock,
        clock_only=clock_only,
        starts_on=start,
        days_paused=waited,
        alarm_at=last_second(alarm.on, time_zone),
        announce_by=last_second(announced.on, time_zone) if extended else None,
        confirm_by=last_second(counted_day(received, clock.confirmation, days), time_zone)
        if clock.confirmation
        else None,
    )


def _pauses_for_identity(clock: Clock) -> bool:
    return clock.pauses is not None and Question.IDENTITY in clock.pauses.questions


def _whole(clock: Clock) -> Period:
    """The first period and the extension, from one start."""
    more = clock.extension.amount if clock.extension else 0
    return Period.model_validate({clock.first.unit: clock.first.amount + more})


def _length(clock: Clock, place: str) -> str:
    return f"{clock.first} of {place}" if clock.first.unit is Unit.WORKING_DAYS else str(clock.first)


def _paused(waited: int, pauses: Collection[Pause], *, claimed: bool) -> str:
    if not pauses:
        return ""
    about = " and ".join(sorted({pause.about for pause in pauses}))
    claim = ", a claim" if claimed else ""
    return f", paused {waited} {'day' if waited == 1 else 'days'} for {about}{claim}"


def _moved(clock: Clock, ending: Ending, place: str) -> str:
    parts = []
    if ending.why is not None:
        why = shorten(ending.why, _LONGEST_NAME, placeholder=" …")
        parts.append(f"; {ending.counted} is not worked in {place} ({why})")
        if clock.last_day is LastDay.STANDS:
            parts.append(", and stands")
    if ending.on != ending.counted:
        parts.append(f", so the period ends on {ending.on}")
    return "".join(parts)
