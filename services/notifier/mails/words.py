"""The words of one language, and how it writes dates, counts and sizes."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from shared.events import Audience

_FOLDER = Path(__file__).parent


_PHRASES = 256
"""Kept: each right for each audience, and as many as may be new to us."""

_DATES = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Phrases:
    """What is said about a right to an audience."""

    right: str
    asked: str
    next: str
    did: str
    did_in_part: str
    fetch: str
    holds: str
    leaves: str
    afterwards: str
    taken_back: str
    copy: str
    copy_title: str
    copy_button: str
    them: str
    they_live: str


@dataclass(frozen=True, slots=True, eq=False)
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

    def phrases(self, right: str, audience: Audience) -> Phrases:
        """`audience` is the one that these words are for."""
        return _phrases(self, right, audience is Audience.REPRESENTATIVE)

    def date(self, day: date) -> str:
        return _date(self, day)

    def count(self, table: str, count: int, number: str) -> str:
        """`number` is what stands for the count."""
        phrases: Mapping[str, str] = self.tables[table]
        return phrases["one" if count == 1 else "many"].format(count=number)


@lru_cache(_DATES)
def _date(words: Words, day: date) -> str:
    return str(words.tables["date"]).format(day=day.day, month=words.tables["months"][day.month - 1], year=day.year)


@lru_cache(_PHRASES)
def _phrases(words: Words, right: str, for_another: bool) -> Phrases:
    return Phrases(
        right=words.of("right", right),
        asked=words.of("asked_for_another" if for_another else "asked", right),
        next=words.of("next", right),
        did=words.of("done", right),
        did_in_part=words.of("done_in_part", right),
        fetch=words.of("fetch", right),
        holds=words.of("holds", right),
        leaves=words.of("leaves", right),
        afterwards=words.of("afterwards", right),
        taken_back=words.of("taken_back", right),
        copy=words.of("copy_for_another" if for_another else "copy", right),
        copy_title=words.of("copy_title", right),
        copy_button=words.of("copy_button", right),
        them=words.reader["them"],
        they_live=words.reader["they_live"],
    )


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
