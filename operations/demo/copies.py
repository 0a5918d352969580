"""What copies must hold and must not, looked for in their files. Pure; the strings themselves are not told."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from operations.demo import people
from operations.demo.scenario import ACCESS, BY_KEY, COPIES, FIRST, LATER, PORTABILITY
from systems.sample import Person

Copy = Mapping[str, bytes]
LOOK = "answers/, log/collector.log"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `found` is what was there instead, `look` where to look; both without personal data."""

    what: str
    passed: bool
    found: str = ""
    look: str = ""


def same(what: str, expected: object, found: object, look: str) -> Check:
    """A check that both are equal; both are told."""
    return Check(what, expected == found, f"{_plain(found)}, expected {_plain(expected)}", look)


def counted(what: str, number: int, how: str, look: str) -> Check:
    """A check that `number` is 0."""
    return Check(what, number == 0, f"{number} {how}", look)


def examine_copies(copies: Mapping[str, Copy], today: dt.date) -> Iterator[Check]:
    """Whether each that has to be there is, and holds what it has to and no more."""
    for key in sorted(copies.keys() | COPIES):
        title = BY_KEY[key].title
        if key not in copies:
            yield Check(f"{title}: the copy can be fetched", False, "it was not", "log/notifier.log, log/collector.log")
        elif key not in COPIES:
            yield Check(f"{title}: no copy", False, "there is one", "log/collector.log")
    if copy := copies.get(ACCESS):
        yield from _whole(ACCESS, copy, people.READER)
    if copy := copies.get(FIRST):
        yield from _whole(FIRST, copy, people.BOTH)
    if copy := copies.get(PORTABILITY):
        yield from _portable(copy)
    if copy := copies.get(LATER):
        yield from _what_is_left(copy, today)


def _whole(key: str, copy: Copy, person: Person) -> Iterator[Check]:
    title, names = BY_KEY[key].title, {"index.html", "data.json"}
    yield Check(f"{title}: the copy has a page to read and the data", names <= copy.keys(), str(sorted(copy)), LOOK)
    for what, strings in people.held(person).items():
        for place, name in (("copy", "data.json"), ("copy's page", "index.html")):
            yield counted(f"{title}: the {place} holds their {what}", lacking(copy, name, strings), "missing", LOOK)
    others = people.of_others(person)
    yield counted(f"{title}: the copy holds nothing of others", present(copy, others), "to be seen", LOOK)


def _portable(copy: Copy) -> Iterator[Check]:
    person = people.MOVER
    for what, strings in people.provided_or_observed(person).items():
        yield counted(f"portability: it holds their {what}", lacking(copy, "data.json", strings), "missing", LOOK)
    origins = {record["origin"] for part in _categories(copy) for record in part.get("records", ())}
    yield same("portability: only what was provided or observed", [], sorted(origins - {"provided", "observed"}), LOOK)
    others = people.from_others(person)
    yield counted("portability: nothing that others provided", present(copy, others), "to be seen", LOOK)


def _what_is_left(copy: Copy, today: dt.date) -> Iterator[Check]:
    person = people.LEAVER
    yield same(
        "after the erasure only what is lawfully kept",
        sorted(people.LAWFULLY_KEPT),
        sorted(record_counts(copy)),
        LOOK,
    )
    kept = people.kept(person, today)
    yield counted("after the erasure the kept invoices", lacking(copy, "data.json", kept), "missing", LOOK)
    for what, strings in people.gone(person).items():
        yield counted(f"after the erasure no {what}", present(copy, strings), "still there", LOOK)


def record_counts(copy: Copy) -> dict[str, int]:
    """How many records of each category a copy holds."""
    counts = {part["category"]: len(part.get("records", ())) for part in _categories(copy)}
    return {category: count for category, count in counts.items() if count}


def _categories(copy: Copy) -> list[dict[str, Any]]:
    return list(json.loads(copy.get("data.json", b"{}")).get("categories", ()))


def lacking(copy: Copy, file: str, strings: Iterable[str]) -> int:
    """How many of the strings the file lacks."""
    text = _text(file, copy.get(file, b""))
    return sum(not _stands_in(text, string) for string in strings)


def present(copy: Copy, strings: Iterable[str]) -> int:
    """How many of the strings stand in any of the files."""
    text = "\n".join(_text(name, content) for name, content in copy.items())
    return sum(_stands_in(text, string) for string in strings)


def _text(name: str, content: bytes) -> str:
    text = content.decode(errors="replace")
    return unescape(text) if name.endswith(".html") else text


def _stands_in(text: str, string: str) -> bool:
    return string in text or json.dumps(string, ensure_ascii=False)[1:-1] in text


def _plain(value: object) -> str:
    return ", ".join(str(each) for each in value) or "none" if isinstance(value, list) else str(value)
