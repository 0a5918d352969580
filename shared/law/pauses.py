"""Pauses: the days a clock stands still while the person is asked something."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.law.errors import NaiveTimeError, NoPauseError, PauseOrderError
from shared.law.regime import Clock, Question


@dataclass(frozen=True, slots=True)
class Pause:
    """A question to the person, from when it was asked until it was answered. Aware instants.

    Raises `NaiveTimeError`, and `PauseOrderError` where the answer is before the question.
    """

    asked_at: datetime
    answered_at: datetime
    about: Question = Question.CLARIFICATION

    def __post_init__(self) -> None:
        if self.asked_at.tzinfo is None or self.answered_at.tzinfo is None:
            raise NaiveTimeError
        if self.answered_at < self.asked_at:
            raise PauseOrderError(self.asked_at.date(), self.answered_at.date())

    def days(self, time_zone: ZoneInfo) -> tuple[date, date]:
        """The local days of question and answer."""
        return self.asked_at.astimezone(time_zone).date(), self.answered_at.astimezone(time_zone).date()


def check_pauses(clock: Clock, pauses: Iterable[Pause], received: date, time_zone: ZoneInfo) -> None:
    """Raises `NoPauseError` for a question that does not stop the clock, `PauseOrderError` for one before receipt."""
    for pause in pauses:
        if clock.pauses is None or pause.about not in clock.pauses.questions:
            raise NoPauseError(clock.source, pause.about, clock.no_pause)
        asked, _ = pause.days(time_zone)
        if asked < received:
            raise PauseOrderError(asked, received=received)


def days_waited(pauses: Iterable[Pause], start: date, last: date, time_zone: ZoneInfo) -> int:
    """The days between question and answer, of a period that would run from `start` to `last` without them.

    A day on which two questions are open counts once, and a question that was answered the same day for nothing: the
    law may give the controller that day, we do not take it (UK GDPR Art. 12A counts both days). Days before the start
    do not count, nor does a question that was asked after the period had ended.
    """
    total = 0
    counted_until = start
    for asked, answered in sorted(pause.days(time_zone) for pause in pauses):
        if asked > last + timedelta(days=total):
            continue
        total += max(0, (answered - max(asked, counted_until)).days)
        counted_until = max(counted_until, answered)
    return total
