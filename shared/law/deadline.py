"""When an answer is due.

The day on which the clock starts, in the controller's time zone, is not counted. The period ends with the last second
of its last day; where the regime says so and nobody works on that day at the controller's place, of the next working
day. A pause moves the counted last day by the days waited. Only the final date moves to a working day: an extension is
counted from the start again, never from a date that was clamped or moved.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import NotRequired, TypedDict, Unpack
from zoneinfo import ZoneInfo

from habeas.contracts.status import Due
from habeas.contracts.vocabulary import Right
from shared.law.counting import Ending, counted_day, last_day, last_second
from shared.law.errors import NaiveTimeError, NoExtensionError
from shared.law.pauses import Pause, check_pauses, days_waited
from shared.law.places import working_days
from shared.law.regime import Clock, Period, Question, Start, regime, regimes
from shared.law.rule_text import Computation, rule_text


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
    undisturbed = not circumstances.get("pauses") and circumstances.get("identified_at") is None
    if undisturbed and received_at.tzinfo is not None:
        time_zone, place = circumstances["time_zone"], circumstances["place"]
        day = received_at.astimezone(time_zone).date()
        return _of_day(regulation, right, day, place, time_zone, extended=circumstances.get("extended", False))
    known = regime(regulation)
    return _time(known.clock(right), received_at, clock_only=known.clock_only, **circumstances)


@lru_cache(maxsize=1024)  # a day's requests have few different dates
def _of_day(
    regulation: str, right: Right, received: date, place: str, time_zone: ZoneInfo, *, extended: bool
) -> Timing:
    """As `timing` for every request received on that local day, where nothing stops the clock."""
    known = regime(regulation)
    noon = datetime.combine(received, time(12), time_zone)
    return _time(
        known.clock(right),
        noon,
        clock_only=known.clock_only,
        place=place,
        time_zone=time_zone,
        extended=extended,
    )


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
    safe = () if clock.pauses and clock.pauses.claim else pauses

    def ending(period: Period, counting: Collection[Pause]) -> tuple[Ending, int]:
        waited = days_waited(counting, start, counted_day(start, period, days), time_zone)
        return last_day(clock, start, period, days, waited=waited), waited

    def until(period: Period, counting: Collection[Pause]) -> datetime:
        return last_second(ending(period, counting)[0].on, time_zone)

    whole = _whole(clock) if extended else clock.first
    final, waited = ending(whole, pauses)
    computation = Computation(
        clock=clock,
        clock_only=clock_only,
        received=received,
        start=start,
        place=place,
        time_zone=time_zone.key,
        extended=extended,
        ending=final,
        waited=waited,
        questions={pause.about for pause in pauses},
        proof_is_idle=idle,
    )
    confirmation = clock.confirmation and counted_day(received, clock.confirmation, days)
    return Timing(
        due=Due(
            at=last_second(final.on, time_zone),
            on=final.on,
            rule=rule_text(computation),
            original_at=until(clock.first, ()),
            extended=extended,
        ),
        clock=clock,
        clock_only=clock_only,
        starts_on=start,
        days_paused=waited,
        alarm_at=until(whole, safe),
        announce_by=until(clock.first, safe) if extended else None,
        confirm_by=last_second(confirmation, time_zone) if confirmation else None,
    )


def _pauses_for_identity(clock: Clock) -> bool:
    return clock.pauses is not None and Question.IDENTITY in clock.pauses.questions


def _whole(clock: Clock) -> Period:
    """The first period and the extension, from one start."""
    more = clock.extension.amount if clock.extension else 0
    return Period.model_validate({clock.first.unit: clock.first.amount + more})
