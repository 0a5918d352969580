"""How a period is counted on the calendar (Reg. 1182/71 Art. 3), for any clock."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from shared.law.places import WorkingDays
from shared.law.regime import Clock, LastDay, Period, Unit


@dataclass(frozen=True, slots=True)
class Ending:
    counted: date
    """The last day by counting alone, with the days waited."""
    on: date
    """The last day after all rules on working days."""
    why: str | None
    """What makes `counted` a day on which nobody works."""


def last_day(clock: Clock, start: date, period: Period, days: WorkingDays, *, waited: int = 0) -> Ending:
    """Where `period` ends that is counted from `start`, itself not counted, and stood still for `waited` days."""
    counted = counted_day(start, period, days) + timedelta(days=waited)
    match clock.last_day:
        case LastDay.NEXT_WORKING_DAY:
            on = days.first_from(counted)
        case LastDay.STANDS:
            on = counted
        case _:
            assert_never(clock.last_day)
    while days.count(start + timedelta(days=1), on) < clock.working_days_within:
        on = days.first_from(on + timedelta(days=1))
    return Ending(counted, on, days.why_not_worked(counted))


def counted_day(start: date, period: Period, days: WorkingDays) -> date:
    """The last day of a period by counting alone."""
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


def last_second(day: date, time_zone: ZoneInfo) -> datetime:
    """In UTC. A day has 23, 24 or 25 hours, so it is taken back from the next midnight, on the line of UTC."""
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=time_zone)
    return midnight.astimezone(UTC) - timedelta(seconds=1)
