"""When an answer is due.

The day of receipt, in the controller's time zone, is not counted. The period ends with the last second of its last
day; where the regime says so and nobody works on that day at the controller's place, of the next working day. Only
that final date moves: an extension is counted from the receipt again, never from a date that was clamped or moved.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from habeas.contracts.status import Due
from habeas.contracts.vocabulary import Right
from shared.law.errors import NaiveTimeError, NoExtensionError
from shared.law.places import WorkingDays, working_days
from shared.law.regime import Clock, LastDay, Period, Unit, regime, regimes


def deadline(
    regulation: str,
    right: Right,
    received_at: datetime,
    *,
    place: str,
    time_zone: ZoneInfo,
    extended: bool = False,
) -> Due:
    """When the answer is due to a request received at `received_at`, an aware instant.

    `place` is where the controller acts (ISO 3166-1 or -2), not where the person lives; `time_zone` tells whose day a
    day is. Raises `UnknownRegulationError`, `NoClockError`, `NoExtensionError`, `UnknownPlaceError`, `NaiveTimeError`.
    """
    clock = regime(regulation).clock(right)
    return due_by(clock, received_at, place=place, time_zone=time_zone, extended=extended)


def strictest_deadline(received_at: datetime, *, place: str, time_zone: ZoneInfo) -> Due:
    """The earliest date that any clock of any regime gives: for a wish whose right or regime is not yet known."""
    clocks = (clock for known in regimes().values() for clock in known.clocks)
    return min(
        (due_by(clock, received_at, place=place, time_zone=time_zone) for clock in clocks), key=lambda due: due.at
    )


def due_by(clock: Clock, received_at: datetime, *, place: str, time_zone: ZoneInfo, extended: bool = False) -> Due:
    """As `deadline`, by one clock. Raises `NoExtensionError`, `UnknownPlaceError`, `NaiveTimeError`."""
    if received_at.tzinfo is None:
        raise NaiveTimeError
    start = received_at.astimezone(time_zone).date()
    days = working_days(place)
    first = _ending(clock, start, clock.first, days)
    original_at = _last_second(first.on, time_zone)
    if not extended:
        rule = _rule(clock, start, first, place=place, time_zone=time_zone)
        return Due(at=original_at, on=first.on, rule=rule, original_at=original_at, extended=False)

    if clock.extension is None:
        raise NoExtensionError(clock.source)
    whole = Period.model_validate({clock.first.unit: clock.first.amount + clock.extension.amount})
    ending = _ending(clock, start, whole, days)
    return Due(
        at=_last_second(ending.on, time_zone),
        on=ending.on,
        rule=_rule(clock, start, ending, place=place, time_zone=time_zone, extension=clock.extension),
        original_at=original_at,
        extended=True,
    )


@dataclass(frozen=True, slots=True)
class _Ending:
    counted: date
    """The last day by counting alone."""
    on: date
    """The last day after all rules on working days."""
    why: str | None
    """What makes `counted` a day on which nobody works, where that moved it."""


def _ending(clock: Clock, start: date, period: Period, days: WorkingDays) -> _Ending:
    counted = _counted(start, period, days)
    match clock.last_day:
        case LastDay.NEXT_WORKING_DAY:
            on = days.first_from(counted)
            why = days.why_not_worked(counted)
        case LastDay.STANDS:
            on = counted
            why = None
        case _:
            assert_never(clock.last_day)
    while days.count(start + timedelta(days=1), on) < clock.working_days_within:
        on = days.first_from(on + timedelta(days=1))
    return _Ending(counted, on, why)


def _counted(start: date, period: Period, days: WorkingDays) -> date:
    match period.unit:
        case Unit.MONTHS:
            # relativedelta gives the month's last day where the later month has no such date, as Art. 3(2)(c) wants.
            return start + relativedelta(months=period.amount)
        case Unit.DAYS:
            return start + timedelta(days=period.amount)
        case Unit.WORKING_DAYS:
            day = start
            for _ in range(period.amount):
                day = days.first_from(day + timedelta(days=1))
            return day
        case _:
            assert_never(period.unit)


def _last_second(day: date, time_zone: ZoneInfo) -> datetime:
    """In UTC. A day has 23, 24 or 25 hours, so it is taken back from the next midnight, on the line of UTC."""
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=time_zone)
    return midnight.astimezone(UTC) - timedelta(seconds=1)


def _rule(
    clock: Clock, start: date, ending: _Ending, *, place: str, time_zone: ZoneInfo, extension: Period | None = None
) -> str:
    parts = [f"{clock.source}: {clock.first} from receipt on {start} ({time_zone.key})"]
    if extension is not None:
        parts.append(f", extended by {extension} from the same start")
    if ending.why is not None:
        parts.append(f"; {ending.counted} is not worked in {place} ({ending.why})")
    if ending.on != ending.counted:
        parts.append(f", so the period ends on {ending.on}")
    return "".join((*parts, ". Computed, not confirmed by a person."))
