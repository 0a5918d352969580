"""The words of one language, and how it writes dates, counts and sizes."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

from shared.events import Audience

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Words:
    language: str
    tables: Mapping[str, Any]
    reader: Mapping[str, str] = field(default_factory=dict)
    """What phrases say in place of {their} and its like: whose data it is, as the reader knows it."""

    def to(self, audience: Audience) -> Self:
        """The same words for another reader. A bystander's letters hold no phrase that speaks of the person."""
        readers: Mapping[str, Mapping[str, str]] = self.tables["audience"]
        return replace(self, reader=readers.get(audience, readers[Audience.PERSON]))

    def of(self, table: str, word: str, **members: str) -> str:
        """The phrase for a word of the contract; that for `other` where the word is new (enums are open)."""
        phrases: Mapping[str, str] = self.tables[table]
        return (phrases.get(word) or phrases["other"]).format(**self.reader, **members)

    def date(self, day: date) -> str:
        return str(self.tables["date"]).format(day=day.day, month=self.tables["months"][day.month - 1], year=day.year)

    def count(self, table: str, count: int, number: str) -> str:
        """`number` is what stands for the count."""
        phrases: Mapping[str, str] = self.tables[table]
        return phrases["one" if count == 1 else "many"].format(count=number)


def load_languages() -> dict[str, Words]:
    """Every folder that has a `words.toml` is a language; its other TOML files hold further tables."""
    return {
        folder.name: Words(folder.name, _tables(folder)).to(Audience.PERSON)
        for folder in sorted(file.parent for file in _FOLDER.glob("*/words.toml"))
    }


def _tables(folder: Path) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for file in sorted(folder.glob("*.toml")):
        tables |= tomllib.loads(file.read_text(encoding="utf-8"))
    return tables


def size(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1_000_000:.1f} MB" if count >= 1_000_000 else f"{max(1, round(count / 1000))} kB"
