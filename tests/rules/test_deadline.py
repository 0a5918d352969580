"""Due dates under the GDPR: worked examples, then properties against a second way of counting."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.contracts.status import Due
from habeas.contracts.vocabulary import Right
from shared.law.deadline import deadline, due_by, strictest_deadline
from shared.law.errors import (
    NaiveTimeError,
    NoClockError,
    NoExtensionError,
    UnknownPlaceError,
    UnknownRegulationError,
)
from shared.law.regime import Clock, LastDay, Period

BERLIN = ZoneInfo("Europe/Berlin")
PLACES = ("DE-BE", "DE-BY", "IE", "FR", "AT", "PL", "ES-CT", "SE")
ZONES = ("Europe/Berlin", "Europe/Dublin", "Asia/Beirut", "America/Havana", "America/Los_Angeles", "Pacific/Auckland")


def due_on(received: str, *, place: str = "DE-BE", extended: bool = False) -> str:
    instant = datetime.fromisoformat(received)
    due = deadline("eu-gdpr", Right.ACCESS, instant, place=place, time_zone=BERLIN, extended=extended)
    return due.on.isoformat()


@pytest.mark.parametrize(
    ("received", "on", "why"),
    [
        ("2026-03-02T09:16:10Z", "2026-04-02", "the same date in the later month"),
        ("2026-03-03T09:00:00Z", "2026-04-07", "Good Friday, a weekend and Easter Monday in a row"),
        ("2026-03-04T09:00:00Z", "2026-04-07", "Saturday before Easter"),
        ("2026-08-31T09:00:00Z", "2026-09-30", "no 31 September: the month's last day"),
        ("2026-01-30T09:00:00Z", "2026-03-02", "no 30 February, and 28 February is a Saturday"),
        ("2026-01-31T09:00:00Z", "2026-03-02", "the same for 31 January"),
        ("2024-01-31T09:00:00Z", "2024-02-29", "a leap year has a 29 February"),
        ("2024-02-29T09:00:00Z", "2024-04-02", "29 March 2024 is Good Friday"),
        ("2025-12-01T09:00:00Z", "2026-01-02", "New Year's Day"),
        ("2025-11-25T09:00:00Z", "2025-12-29", "both days of Christmas and a weekend"),
        ("2025-12-31T09:00:00Z", "2026-02-02", "over the year's end to a Saturday"),
        ("2026-06-15T21:59:59Z", "2026-07-15", "the last second of 15 June in Berlin"),
        ("2026-06-15T22:00:00Z", "2026-07-16", "the first of 16 June in Berlin, still the 15th in UTC"),
        ("2026-03-02T23:30:00Z", "2026-04-07", "half past midnight on 3 March in Berlin"),
        ("2026-06-16T01:00:00+09:00", "2026-07-15", "an offset is no one's day: 15 June in Berlin"),
    ],
)
def test_first_period(received: str, on: str, why: str) -> None:
    assert due_on(received) == on, why


@pytest.mark.parametrize(
    ("received", "on", "why"),
    [
        ("2026-03-03T09:00:00Z", "2026-06-03", "from the receipt, not from 7 April to which the first period moved"),
        ("2026-01-31T09:00:00Z", "2026-04-30", "from the 31st, not from 28 February to which it was clamped"),
        ("2025-11-30T09:00:00Z", "2026-03-02", "28 February 2026 is a Saturday"),
        ("2026-10-31T09:00:00Z", "2027-02-01", "31 January 2027 is a Sunday"),
    ],
)
def test_extended_period(received: str, on: str, why: str) -> None:
    assert due_on(received, extended=True) == on, why


@pytest.mark.parametrize(
    ("received", "place", "on"),
    [
        ("2025-12-06T09:00:00Z", "DE-BE", "2026-01-06"),
        ("2025-12-06T09:00:00Z", "DE-BY", "2026-01-07"),  # Epiphany is a holiday in Bavaria
        ("2027-02-08T09:00:00Z", "DE-BE", "2027-03-09"),  # Women's Day is one in Berlin
        ("2027-02-08T09:00:00Z", "DE-BY", "2027-03-08"),
        ("2026-02-17T09:00:00Z", "IE", "2026-03-18"),  # Saint Patrick's Day
    ],
)
def test_holidays_are_those_of_the_controllers_place(received: str, place: str, on: str) -> None:
    assert due_on(received, place=place) == on


@pytest.mark.parametrize(
    ("received", "at"),
    [
        ("2026-03-02T09:00:00Z", "2026-04-02T21:59:59Z"),  # received in winter, due in summer time
        ("2026-10-02T09:00:00Z", "2026-11-02T22:59:59Z"),
    ],
)
def test_due_at_is_the_last_second_of_the_local_day(received: str, at: str) -> None:
    due = deadline("eu-gdpr", Right.ERASURE, datetime.fromisoformat(received), place="DE-BE", time_zone=BERLIN)
    assert due.at == due.original_at == datetime.fromisoformat(at)
    assert due.at.tzinfo is UTC


def test_the_rule_says_how_the_date_came_about() -> None:
    received_at = datetime(2026, 3, 3, 9, tzinfo=UTC)
    first = deadline("eu-gdpr", Right.ACCESS, received_at, place="DE-BE", time_zone=BERLIN)
    for part in ("GDPR Art. 12(3)", "1182/71", "1 month", "2026-03-03", "Good Friday", "2026-04-07", "Computed"):
        assert part in first.rule
    extended = deadline("eu-gdpr", Right.ACCESS, received_at, place="DE-BE", time_zone=BERLIN, extended=True)
    assert "extended by 2 months from the same start" in extended.rule
    assert "Good Friday" not in extended.rule


def test_what_cannot_be_computed_is_refused() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    with pytest.raises(UnknownRegulationError, match="write one of ccpa, eu-gdpr, "):
        deadline("gdpr", Right.ACCESS, now, place="DE-BE", time_zone=BERLIN)
    with pytest.raises(NoClockError, match="it does for access"):
        deadline("eu-gdpr", Right.OPT_OUT, now, place="DE-BE", time_zone=BERLIN)
    with pytest.raises(UnknownPlaceError, match="DE-BE"):
        deadline("eu-gdpr", Right.ACCESS, now, place="DE-XX", time_zone=BERLIN)
    with pytest.raises(NaiveTimeError):
        deadline("eu-gdpr", Right.ACCESS, now.replace(tzinfo=None), place="DE-BE", time_zone=BERLIN)


def clock(first: Period, last_day: LastDay, working_days_within: int = 0) -> Clock:
    return Clock(
        rights=frozenset({Right.ACCESS}),
        first=first,
        last_day=last_day,
        working_days_within=working_days_within,
        source="a test's rule",
    )


@pytest.mark.parametrize(
    ("rule", "received", "on"),
    [
        (clock(Period(days=45), LastDay.STANDS), "2026-03-02T20:00:00Z", "2026-04-16"),
        (clock(Period(days=45), LastDay.STANDS), "2026-03-04T20:00:00Z", "2026-04-18"),  # a Saturday
        (clock(Period(days=45), LastDay.NEXT_WORKING_DAY), "2026-03-04T20:00:00Z", "2026-04-20"),
        (
            clock(Period(working_days=15), LastDay.STANDS),
            "2026-06-26T20:00:00Z",
            "2026-07-20",
        ),  # 3 July: day off for the 4th
        (
            clock(Period(days=3), LastDay.NEXT_WORKING_DAY),
            "2026-09-03T20:00:00Z",
            "2026-09-08",
        ),  # 7 September: Labor Day
        (clock(Period(days=3), LastDay.NEXT_WORKING_DAY, 2), "2026-09-04T20:00:00Z", "2026-09-09"),  # two working days
    ],
)
def test_clocks_of_other_units_are_data(rule: Clock, received: str, on: str) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    due = due_by(rule, datetime.fromisoformat(received), place="US-CA", time_zone=zone)
    assert due.on.isoformat() == on


def test_a_day_of_23_or_25_hours_ends_at_its_own_midnight() -> None:
    stands = clock(Period(days=1), LastDay.STANDS)
    spring = due_by(stands, datetime(2026, 3, 28, 12, tzinfo=UTC), place="DE-BE", time_zone=BERLIN)
    autumn = due_by(stands, datetime(2026, 10, 24, 12, tzinfo=UTC), place="DE-BE", time_zone=BERLIN)
    assert spring.at == datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC)
    assert autumn.at == datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC)


def test_where_the_clock_goes_back_at_midnight_the_hour_that_comes_twice_counts() -> None:
    stands = clock(Period(days=1), LastDay.STANDS)
    beirut = due_by(stands, datetime(2026, 10, 23, 12, tzinfo=UTC), place="DE-BE", time_zone=ZoneInfo("Asia/Beirut"))
    assert beirut.at == datetime(2026, 10, 24, 21, 59, 59, tzinfo=UTC)


def test_a_clock_without_extension_is_not_extended() -> None:
    with pytest.raises(NoExtensionError, match="a test's rule"):
        due_by(
            clock(Period(days=15), LastDay.STANDS),
            datetime(2026, 3, 2, tzinfo=UTC),
            place="DE-BE",
            time_zone=BERLIN,
            extended=True,
        )


received_times = st.datetimes(datetime(2016, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
places = st.sampled_from(PLACES)
zones = st.sampled_from(ZONES).map(ZoneInfo)


def worked(day: date, place: str) -> bool:
    country, _, subdivision = place.partition("-")
    off = holidays.country_holidays(country, subdiv=subdivision or None, years=day.year)
    return day.weekday() < 5 and day not in off


def counted_by_hand(start: date, months: int, place: str) -> date:
    """Reg. 1182/71 Art. 3 once more, without dateutil and without the code under test."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))
    while not worked(day, place):
        day += timedelta(days=1)
    return day


@given(received_times, places, zones, st.booleans())
def test_agrees_with_counting_by_hand(received_at: datetime, place: str, zone: ZoneInfo, extended: bool) -> None:
    start = received_at.astimezone(zone).date()
    due = deadline("eu-gdpr", Right.ACCESS, received_at, place=place, time_zone=zone, extended=extended)
    assert due.on == counted_by_hand(start, 3 if extended else 1, place)
    assert worked(due.on, place)
    assert (due.on - start).days >= 28
    assert due.extended is extended


@given(received_times, places, zones)
def test_an_extension_keeps_the_first_date_as_the_original(received_at: datetime, place: str, zone: ZoneInfo) -> None:
    first = deadline("eu-gdpr", Right.ACCESS, received_at, place=place, time_zone=zone)
    extended = deadline("eu-gdpr", Right.ACCESS, received_at, place=place, time_zone=zone, extended=True)
    assert first.original_at == first.at == extended.original_at < extended.at


@given(received_times, st.timedeltas(timedelta(), timedelta(days=70)), places, zones, st.booleans())
def test_who_asks_later_is_never_due_earlier(
    received_at: datetime, later: timedelta, place: str, zone: ZoneInfo, extended: bool
) -> None:
    first = deadline("eu-gdpr", Right.ACCESS, received_at, place=place, time_zone=zone, extended=extended)
    second = deadline("eu-gdpr", Right.ACCESS, received_at + later, place=place, time_zone=zone, extended=extended)
    assert first.at <= second.at
    if (received_at + later).astimezone(zone).date() == received_at.astimezone(zone).date():
        assert first == second


@given(received_times, places, zones, st.booleans())
def test_the_last_second_is_the_last(received_at: datetime, place: str, zone: ZoneInfo, extended: bool) -> None:
    due = deadline("eu-gdpr", Right.ACCESS, received_at, place=place, time_zone=zone, extended=extended)
    local = due.at.astimezone(zone)
    assert (local.date(), local.time()) == (due.on, time(23, 59, 59))
    assert (due.at + timedelta(seconds=1)).astimezone(zone).date() == due.on + timedelta(days=1)


@given(received_times)
def test_the_strictest_clock_is_no_later_than_any(received_at: datetime) -> None:
    configured = {"eu-gdpr": Right.ACCESS, "ccpa": Right.OPT_OUT, "vcdpa": Right.ACCESS}
    strictest = strictest_deadline(received_at, regulations=configured, place="DE-BE", time_zone=BERLIN)
    dues = [deadline(*each, received_at, place="DE-BE", time_zone=BERLIN) for each in configured.items()]
    assert strictest == min(dues, key=lambda due: due.at)


def test_only_configured_regimes_are_looked_at_for_the_strictest() -> None:
    def strictest(*regulations: str) -> Due:
        received_at = datetime(2026, 3, 2, 9, tzinfo=UTC)
        return strictest_deadline(received_at, regulations=regulations, place="DE-BE", time_zone=BERLIN)

    assert strictest("eu-gdpr").on == date(2026, 4, 2)
    assert strictest("eu-gdpr", "law25").on == date(2026, 4, 1)
    assert strictest("eu-gdpr", "ccpa").rule.endswith(" Clock only.")
    assert strictest().on == strictest("pipa").on == date(2026, 3, 12)
    with pytest.raises(UnknownRegulationError):
        strictest("eu-gdpr", "xx-law")
