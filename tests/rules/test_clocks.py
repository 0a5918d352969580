"""The clocks of every regime: worked examples, and what goes with their dates."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.contracts.vocabulary import Right
from shared.law.deadline import Timing, timing
from shared.law.errors import NoExtensionError
from shared.law.pauses import Pause
from shared.law.regime import regime, regimes

ZONES = {
    "GB": "Europe/London",
    "US": "America/Los_Angeles",
    "BR": "America/Sao_Paulo",
    "KR": "Asia/Seoul",
    "CA": "America/Toronto",
    "CH": "Europe/Zurich",
    "TW": "Asia/Taipei",
}
CLOCKS = [
    (code, right) for code, known in regimes().items() for clock in known.clocks for right in sorted(clock.rights)
]


def timed(regulation: str, right: str, received: str, place: str, *, extended: bool = False) -> Timing:
    zone = ZoneInfo(ZONES[place[:2]])
    received_at = datetime.fromisoformat(f"{received}T12:00:00").replace(tzinfo=zone)
    return timing(regulation, Right(right), received_at, place=place, time_zone=zone, extended=extended)


@pytest.mark.parametrize(
    ("regulation", "right", "received", "place", "on", "extended_on"),
    [
        ("uk-gdpr", "access", "2026-03-02", "GB-ENG", "2026-04-02", "2026-06-02"),
        ("uk-gdpr", "access", "2026-03-03", "GB-ENG", "2026-04-07", "2026-06-03"),  # Good Friday, Easter Monday
        ("uk-gdpr", "access", "2026-03-03", "GB-SCT", "2026-04-06", "2026-06-03"),  # Easter Monday is worked there
        ("uk-gdpr", "erasure", "2026-11-30", "GB-ENG", "2026-12-30", "2027-03-01"),  # 28 February is a Sunday
        ("uk-gdpr", "erasure", "2027-11-30", "GB-ENG", "2027-12-30", "2028-02-29"),  # a leap year
        ("ccpa", "access", "2026-03-04", "US-CA", "2026-04-18", "2026-06-02"),  # a Saturday stands; 90 days
        ("ccpa", "erasure", "2028-01-31", "US-CA", "2028-03-16", "2028-04-30"),  # over 29 February; a Sunday stands
        ("ccpa", "rectification", "2025-11-10", "US-CA", "2025-12-25", "2026-02-08"),  # Christmas stands
        ("vcdpa", "portability", "2026-01-31", "US-VA", "2026-03-17", "2026-05-01"),
        ("pdpa-tw", "access", "2026-02-14", "TW", "2026-03-01", "2026-03-16"),
        ("pdpa-tw", "erasure", "2026-02-14", "TW", "2026-03-16", "2026-04-15"),
    ],
)
def test_first_and_extended_period(
    regulation: str, right: str, received: str, place: str, on: str, extended_on: str
) -> None:
    first = timed(regulation, right, received, place)
    extended = timed(regulation, right, received, place, extended=True)
    assert (first.due.on.isoformat(), extended.due.on.isoformat()) == (on, extended_on)
    assert first.announce_by is None
    assert extended.announce_by == extended.due.original_at == first.due.at


@pytest.mark.parametrize(
    ("regulation", "right", "received", "place", "on"),
    [
        ("ccpa", "opt_out", "2026-06-26", "US-CA", "2026-07-20"),  # 3 July: day off for the 4th
        ("ccpa", "limit_use", "2025-12-17", "US-CA", "2026-01-09"),  # over Christmas and New Year
        ("lgpd", "access", "2026-02-20", "BR", "2026-03-07"),  # a Saturday stands
        ("pipa", "access", "2026-02-20", "KR", "2026-03-02"),
        ("pipa", "restriction", "2024-02-20", "KR", "2024-03-01"),  # a leap year; a holiday stands
        ("law25", "access", "2026-01-31", "CA-QC", "2026-03-02"),
        ("fadp", "access", "2026-02-28", "CH-ZH", "2026-03-30"),
    ],
)
def test_a_period_that_cannot_be_extended(regulation: str, right: str, received: str, place: str, on: str) -> None:
    assert timed(regulation, right, received, place).due.on.isoformat() == on
    with pytest.raises(NoExtensionError, match="ask for the first period"):
        timed(regulation, right, received, place, extended=True)


def test_working_days_are_those_of_the_controllers_place() -> None:
    received_at = datetime(2026, 6, 26, 12, tzinfo=UTC)
    berlin = timing("ccpa", Right.OPT_OUT, received_at, place="DE-BE", time_zone=ZoneInfo("Europe/Berlin"))
    assert berlin.due.on == date(2026, 7, 17)
    assert "15 working days of DE-BE from receipt" in berlin.due.rule


def test_an_extension_of_no_set_length_is_told() -> None:
    with pytest.raises(NoExtensionError, match=r"sets no length for an extension \(for good cause"):
        timed("pipa", "access", "2026-03-02", "KR", extended=True)


def test_the_day_ends_at_midnight_of_the_controller() -> None:
    winter, summer = timed("ccpa", "access", "2026-01-10", "US-CA"), timed("ccpa", "access", "2026-03-01", "US-CA")
    assert (winter.due.on, winter.due.at) == (date(2026, 2, 24), datetime(2026, 2, 25, 7, 59, 59, tzinfo=UTC))
    assert (summer.due.on, summer.due.at) == (date(2026, 4, 15), datetime(2026, 4, 16, 6, 59, 59, tzinfo=UTC))


def test_californias_confirmation_of_receipt() -> None:
    confirm_by = timed("ccpa", "access", "2026-03-04", "US-CA", extended=True).confirm_by
    assert confirm_by == datetime(2026, 3, 19, 6, 59, 59, tzinfo=UTC)  # the end of 18 March, 10 working days on
    assert timed("ccpa", "opt_out", "2026-03-04", "US-CA").confirm_by is None


def test_a_last_day_that_stands_says_that_nobody_works_on_it() -> None:
    rule = timed("ccpa", "access", "2026-03-04", "US-CA").due.rule
    assert "2026-04-18 is not worked in US-CA (Saturday), and stands" in rule


@pytest.mark.parametrize(("regulation", "right"), CLOCKS)
def test_what_is_not_certain_stands_in_the_rule(regulation: str, right: Right) -> None:
    found = timing(
        regulation, right, datetime(2026, 3, 2, tzinfo=UTC), place="DE-BE", time_zone=ZoneInfo("Europe/Berlin")
    )
    clock = regime(regulation).clock(right)
    assert found.due.rule.startswith(f"{clock.source}: {clock.first}")
    assert "Computed, not confirmed by a person." in found.due.rule
    assert found.due.rule.endswith("Clock only.") is found.clock_only is (regulation != "eu-gdpr")
    assert ("unverified" in found.due.rule) is bool(clock.unverified)


def test_what_was_written_from_memory() -> None:
    marked = {code for code, known in regimes().items() for clock in known.clocks if clock.unverified}
    assert marked == {"pipa", "law25", "fadp"}


@given(
    st.sampled_from(CLOCKS),
    st.datetimes(datetime(2016, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(["US-CA", "CA-NL", "GB-NIR", "KR", "TW", "AR", "LK"]),
    st.booleans(),
)
def test_every_rule_is_one_line_of_the_contract(
    which: tuple[str, Right], received_at: datetime, place: str, extended: bool
) -> None:
    regulation, right = which
    clock = regime(regulation).clock(right)
    late = received_at.replace(year=received_at.year + 1, day=1)
    found = timing(
        regulation,
        right,
        received_at,
        place=place,
        time_zone=ZoneInfo("America/Argentina/ComodRivadavia"),
        extended=extended and clock.extension is not None,
        pauses=[Pause(received_at, late)] if clock.pauses else [],
        identified_at=late - timedelta(days=3),
    )
    assert len(found.due.rule) <= 320
    assert found.due.rule.startswith(f"{clock.source}: ")
