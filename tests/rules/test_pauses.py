"""Pauses and proof of identity: worked examples, then a property against counting the days one by one."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.contracts.vocabulary import Right
from shared.law.deadline import Timing, deadline, timing
from shared.law.errors import NaiveTimeError, NoPauseError, PauseOrderError
from shared.law.pauses import Pause, days_waited
from shared.law.regime import Question, regime, regimes

BERLIN, LONDON = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/London")


def instant(text: str) -> datetime:
    """Noon of a date in UTC, the same day in Berlin and London; or an instant."""
    return datetime.fromisoformat(text if "T" in text else f"{text}T12:00:00Z")


def waits(*spans: str) -> tuple[Pause, ...]:
    return tuple(Pause(instant(asked), instant(answered)) for asked, answered in (span.split("..") for span in spans))


def timed(
    regulation: str,
    received: str,
    *spans: str,
    right: Right = Right.ACCESS,
    place: str = "DE-BE",
    extended: bool = False,
    identified: str | None = None,
) -> Timing:
    return timing(
        regulation,
        right,
        instant(received),
        place=place,
        time_zone=LONDON if place.startswith("GB") else BERLIN,
        extended=extended,
        pauses=waits(*spans),
        identified_at=instant(identified) if identified else None,
    )


@pytest.mark.parametrize(
    ("received", "spans", "on", "why"),
    [
        ("2026-01-26", ["2026-02-16..2026-02-24"], "2026-03-06", "8 days after 26 February"),
        ("2026-01-20", ["2026-01-28..2026-02-05"], "2026-03-02", "over a month's end; 28 February is a Saturday"),
        ("2026-01-31", ["2026-02-10..2026-02-12"], "2026-03-02", "from 28 February, not from Monday to which it moved"),
        ("2024-01-31", ["2024-02-10..2024-02-12"], "2024-03-04", "from 29 February in a leap year, to a Saturday"),
        ("2025-12-02", ["2025-12-20..2026-01-05"], "2026-01-19", "over the year's end; 18 January is a Sunday"),
        ("2026-03-03", ["2026-03-10..2026-03-12"], "2026-04-07", "Good Friday and two days: Easter Sunday"),
        ("2026-03-02", ["2026-03-10..2026-03-10"], "2026-04-02", "asked and answered on one day"),
        ("2026-03-02", ["2026-03-02..2026-03-09"], "2026-04-09", "asked on the day of receipt"),
        ("2026-03-02", ["2026-03-05..2026-03-10", "2026-03-08..2026-03-12"], "2026-04-09", "two at once count once"),
        ("2026-03-02", ["2026-03-05..2026-03-12", "2026-03-06..2026-03-07"], "2026-04-09", "one inside the other"),
        ("2026-03-02", ["2026-03-08..2026-03-10", "2026-03-05..2026-03-08"], "2026-04-07", "one after the other"),
        ("2026-03-02", ["2026-04-02..2026-04-09"], "2026-04-09", "asked on the last day"),
        ("2026-03-02", ["2026-04-03..2026-04-09"], "2026-04-02", "asked after the period had ended"),
        ("2026-03-02", ["2026-03-30..2026-04-10", "2026-04-12..2026-04-14"], "2026-04-15", "asked in time only so"),
        ("2026-03-02", ["2026-03-04T23:30:00Z..2026-03-06"], "2026-04-07", "asked on 5 March in Berlin: Good Friday"),
        ("2026-03-10", ["2026-03-28T22:30:00Z..2026-03-29T22:30:00Z"], "2026-04-13", "24 hours, two days in Berlin"),
        ("2026-10-01", ["2026-10-24T22:30:00Z..2026-10-25T22:30:00Z"], "2026-11-02", "24 hours, one day in Berlin"),
    ],
)
def test_a_pause_moves_the_last_day_by_the_days_waited(received: str, spans: list[str], on: str, why: str) -> None:
    assert timed("eu-gdpr", received, *spans).due.on.isoformat() == on, why


@pytest.mark.parametrize(
    ("received", "spans", "on", "why"),
    [
        ("2026-01-31", ["2026-02-10..2026-02-12"], "2026-05-04", "30 April and two days: a Saturday"),
        ("2026-03-03", ["2026-03-10..2026-03-12"], "2026-06-05", "from the receipt, not from 7 April"),
        ("2026-03-02", ["2026-05-01..2026-05-10"], "2026-06-11", "asked during the extension"),
    ],
)
def test_an_extension_with_a_pause(received: str, spans: list[str], on: str, why: str) -> None:
    assert timed("eu-gdpr", received, *spans, extended=True).due.on.isoformat() == on, why


def test_in_the_eu_a_pause_is_a_claim_and_the_alarm_stays() -> None:
    unpaused = timed("eu-gdpr", "2026-01-26").due
    paused = timed("eu-gdpr", "2026-01-26", "2026-02-16..2026-02-24")
    assert paused.due.original_at == paused.alarm_at == unpaused.at < paused.due.at
    assert (paused.days_paused, paused.due.extended) == (8, False)
    assert "paused 8 days for clarification, a claim" in paused.due.rule


def test_in_the_eu_a_claim_moves_neither_the_extended_alarm_nor_its_announcement() -> None:
    plain = timed("eu-gdpr", "2026-01-26", extended=True)
    paused = timed("eu-gdpr", "2026-01-26", "2026-02-16..2026-02-24", extended=True)
    assert paused.alarm_at == plain.due.at < paused.due.at
    assert paused.announce_by == paused.due.original_at == plain.due.original_at


@pytest.mark.parametrize(
    ("identified", "on", "told"),
    [
        ("2026-03-09", "2026-04-09", "paused 7 days for identity, a claim"),
        ("2026-03-03", "2026-04-07", "paused 1 day for identity, a claim"),
        ("2026-03-02", "2026-04-02", "from receipt on 2026-03-02 (Europe/Berlin). Computed"),
        ("2026-02-20", "2026-04-02", "from receipt on 2026-03-02 (Europe/Berlin). Computed"),
    ],
)
def test_in_the_eu_waiting_for_identity_is_a_claim(identified: str, on: str, told: str) -> None:
    found = timed("eu-gdpr", "2026-03-02", identified=identified)
    assert (found.due.on.isoformat(), found.starts_on) == (on, date(2026, 3, 2))
    assert found.alarm_at == timed("eu-gdpr", "2026-03-02").due.at
    assert told in found.due.rule


def test_both_claims_count_once_where_they_overlap() -> None:
    found = timed("eu-gdpr", "2026-03-02", "2026-03-05..2026-03-12", identified="2026-03-09")
    assert (found.days_paused, found.due.on) == (10, date(2026, 4, 13))  # 12 April is a Sunday
    assert "paused 10 days for clarification and identity, a claim" in found.due.rule


@pytest.mark.parametrize("right", [Right.ACCESS, Right.ERASURE])
@pytest.mark.parametrize(
    ("identified", "on"),
    [("2026-03-10", "2026-04-10"), ("2026-03-31", "2026-04-30"), ("2026-02-20", "2026-04-02"), (None, "2026-04-02")],
)
def test_in_the_uk_proof_of_identity_starts_the_clock(right: Right, identified: str | None, on: str) -> None:
    found = timed("uk-gdpr", "2026-03-02", right=right, place="GB-ENG", identified=identified)
    assert found.due.on.isoformat() == on
    assert found.due.at == found.due.original_at == found.alarm_at
    assert ("from proof on" in found.due.rule) is (found.starts_on > date(2026, 3, 2))
    assert found.days_paused == 0


def test_in_the_uk_the_clock_of_an_access_request_stops_for_clarification() -> None:
    found = timed("uk-gdpr", "2026-03-02", "2026-03-05..2026-03-12", place="GB-ENG", identified="2026-03-10")
    assert (found.days_paused, found.due.on) == (2, date(2026, 4, 13))  # 10 April and two days: a Sunday
    assert found.alarm_at == found.due.at > found.due.original_at
    assert "claim" not in found.due.rule


def test_in_the_uk_the_announcement_of_an_extension_moves_with_the_pause() -> None:
    found = timed("uk-gdpr", "2026-03-02", "2026-03-05..2026-03-12", place="GB-ENG", extended=True)
    assert found.due.on == date(2026, 6, 9)
    assert found.announce_by == timed("uk-gdpr", "2026-03-02", "2026-03-05..2026-03-12", place="GB-ENG").due.at
    assert found.due.original_at == timed("uk-gdpr", "2026-03-02", place="GB-ENG").due.at


@pytest.mark.parametrize(
    ("regulation", "right", "about", "why"),
    [
        ("ccpa", Right.ACCESS, Question.CLARIFICATION, "the 45 days run from receipt"),
        ("ccpa", Right.OPT_OUT, Question.IDENTITY, "there is nothing to wait for"),
        ("uk-gdpr", Right.ERASURE, Question.CLARIFICATION, "of access requests only"),
        ("uk-gdpr", Right.ACCESS, Question.IDENTITY, "proof of identity starts the clock"),
        ("lgpd", Right.ACCESS, Question.CLARIFICATION, "no rule that stops it stands here"),
    ],
)
def test_a_clock_that_does_not_stop_says_why(regulation: str, right: Right, about: Question, why: str) -> None:
    pause = Pause(instant("2026-03-05"), instant("2026-03-12"), about)
    with pytest.raises(NoPauseError, match=f"does not pause for {about}: .*{why}"):
        deadline(regulation, right, instant("2026-03-02"), place="US-CA", time_zone=BERLIN, pauses=[pause])


@pytest.mark.parametrize("regulation", sorted(set(regimes()) - {"eu-gdpr", "uk-gdpr"}))
def test_elsewhere_the_clock_runs_whenever_identity_was_proven(regulation: str) -> None:
    proven, plain = timed(regulation, "2026-03-02", identified="2026-03-20"), timed(regulation, "2026-03-02")
    assert proven.due.at == plain.due.at
    assert "whenever identity was proven" in proven.due.rule


def test_times_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(PauseOrderError, match="asked on 2026-03-12 cannot be answered on 2026-03-05"):
        waits("2026-03-12..2026-03-05")
    with pytest.raises(PauseOrderError, match="about a request that was received on 2026-03-02"):
        timed("eu-gdpr", "2026-03-02", "2026-03-01..2026-03-05")
    naive = instant("2026-03-05").replace(tzinfo=None)
    with pytest.raises(NaiveTimeError):
        Pause(naive, naive)
    with pytest.raises(NaiveTimeError):
        deadline("uk-gdpr", Right.ACCESS, instant("2026-03-02"), place="GB", time_zone=LONDON, identified_at=naive)


moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 4, 30), timezones=st.just(UTC))  # noqa: DTZ001
questions = st.lists(st.tuples(moments, st.timedeltas(timedelta(), timedelta(days=20))), max_size=5)


@given(questions)
def test_days_waited_are_the_days_on_which_a_question_is_open(asked: list[tuple[datetime, timedelta]]) -> None:
    """A walk through the calendar: a day that a question leaves open does not use up the period."""
    pauses = [Pause(at, at + wait) for at, wait in asked]
    start, last = date(2026, 2, 10), date(2026, 3, 10)
    spans = [pause.days(BERLIN) for pause in pauses]
    used, day = 0, start
    while used < (last - start).days or any(begun <= day < ended for begun, ended in spans):
        used += not any(begun <= day < ended for begun, ended in spans)
        day += timedelta(days=1)
    assert start + timedelta(days=(last - start).days + days_waited(pauses, start, last, BERLIN)) == day


@given(questions, st.sampled_from(["eu-gdpr", "uk-gdpr"]), st.booleans())
def test_a_pause_never_makes_a_date_earlier(
    asked: list[tuple[datetime, timedelta]], regulation: str, extended: bool
) -> None:
    received_at = datetime(2026, 1, 1, tzinfo=UTC)
    pauses = [Pause(at, at + wait) for at, wait in asked]
    clock = regime(regulation).clock(Right.ACCESS)
    found, plain = (
        timing(
            regulation,
            Right.ACCESS,
            received_at,
            place="DE-BE",
            time_zone=BERLIN,
            extended=extended,
            pauses=counting,
        )
        for counting in (pauses, [])
    )
    assert found.due.at >= plain.due.at
    assert found.due.original_at == plain.due.original_at
    assert clock.pauses is not None
    assert found.alarm_at == (plain.due.at if clock.pauses.claim else found.due.at)
