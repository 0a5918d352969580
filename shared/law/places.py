"""Places: countries, and the working days where a controller acts."""

from datetime import date, timedelta
from functools import lru_cache

import holidays

from shared.law.errors import UnknownPlaceError

EU = frozenset(
    {
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"),
        *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
    }
)
EEA = EU | {"IS", "LI", "NO"}
"""The EU and the EFTA states the GDPR covers (Joint Committee Decision 154/2018): data moves between them freely."""

SATURDAY = 5


def country_of(place: str) -> str:
    """The ISO 3166-1 alpha-2 country of a country or subdivision code."""
    return place.partition("-")[0]


class WorkingDays:
    """Which days are worked at a place: neither Saturday, Sunday nor a public holiday there (Reg. 1182/71 Art. 2(2)).

    `place` is an ISO 3166-1 country or an ISO 3166-2 subdivision; raises `UnknownPlaceError`.
    """

    def __init__(self, place: str) -> None:
        country, _, subdivision = place.partition("-")
        try:
            self._holidays = holidays.country_holidays(country, subdiv=subdivision or None, language="en_US")
        except (NotImplementedError, KeyError) as error:
            raise UnknownPlaceError(place) from error
        self.place = place

    def why_not_worked(self, day: date) -> str | None:
        """What keeps people from work on that day, or None on a working day."""
        name = self._holidays.get(day)
        if name is not None:
            return str(name)
        if day.weekday() >= SATURDAY:
            return f"{day:%A}"
        return None

    def first_from(self, day: date) -> date:
        """That day if it is worked, else the next that is."""
        while self.why_not_worked(day) is not None:
            day += timedelta(days=1)
        return day

    def count(self, first: date, last: date) -> int:
        """Working days from `first` to `last`, both counted."""
        days = (last - first).days + 1
        return sum(self.why_not_worked(first + timedelta(days=n)) is None for n in range(days))


@lru_cache(maxsize=64)
def working_days(place: str) -> WorkingDays:
    """The calendar of a place, made once: building one costs milliseconds, asking it next to nothing."""
    return WorkingDays(place)
