"""The words of the answer page, one folder a language."""

import tomllib
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Any

from habeas.contracts.submission import Period

FOLDER = Path(__file__).parent


class Words:
    """Phrases for the words of the contract; `other` for one that is new (enums are open)."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.tables: dict[str, Any] = tomllib.loads((FOLDER / language / "words.toml").read_text(encoding="utf-8"))

    def of(self, table: str, word: str) -> str:
        phrases: dict[str, str] = self.tables[table]
        return phrases.get(word) or phrases.get("other") or word

    def date(self, day: date) -> str:
        return str(self.tables["date"]).format(day=day.day, month=self.tables["months"][day.month - 1], year=day.year)

    def records(self, count: int) -> str:
        phrases: dict[str, str] = self.tables["records"]
        return phrases["one" if count == 1 else "many"].format(count=count)

    def period(self, period: Period, zone: tzinfo) -> str | None:
        """Days of the zone, the last one included: `end` is the first instant that is not. None if open at both."""
        first = self.date(period.start.astimezone(zone).date()) if period.start else None
        last = self.date((period.end - timedelta(microseconds=1)).astimezone(zone).date()) if period.end else None
        if first is None and last is None:
            return None
        form: str = self.tables["period"]["between" if first and last else "since" if first else "until"]
        return form.format(first=first, last=last)
