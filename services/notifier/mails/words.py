"""The words of one language, and how it writes dates, counts and sizes."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Words:
    language: str
    tables: Mapping[str, Any]

    def of(self, table: str, word: str) -> str:
        """The phrase for a word of the contract; that for `other` where the word is new (enums are open)."""
        phrases: Mapping[str, str] = self.tables[table]
        return phrases.get(word, phrases["other"])

    def date(self, day: date) -> str:
        return str(self.tables["date"]).format(day=day.day, month=self.tables["months"][day.month - 1], year=day.year)

    def records(self, count: int) -> str:
        table: Mapping[str, str] = self.tables["records"]
        return table["one" if count == 1 else "many"].format(count=count)


def load_languages() -> dict[str, Words]:
    """Every folder that has a `words.toml` is a language."""
    return {
        file.parent.name: Words(file.parent.name, tomllib.loads(file.read_text(encoding="utf-8")))
        for file in sorted(_FOLDER.glob("*/words.toml"))
    }


def size(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1_000_000:.1f} MB" if count >= 1_000_000 else f"{max(1, round(count / 1000))} kB"
