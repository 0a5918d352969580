"""One record in ten that cannot be decoded: the rest keeps its pace, and each becomes a dead letter with its reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import pytest
from stand import Watch

from habeas.contracts import Reason
from tests.core.conftest import Watching, behind, name, notes, pool, produce, start, topics, watching
from tests.core.fixtures import clock, kafka, keys, letters_topic, new_topics
from tests.core.notes import Notes, noted
from tests.core.running import Running, until
from tests.core.workbench import Raw

__all__ = [
    "behind",
    "clock",
    "kafka",
    "keys",
    "letters_topic",
    "name",
    "new_topics",
    "notes",
    "pool",
    "produce",
    "start",
    "topics",
    "watching",
]

GOOD: Final = 2_000
"""Of a round."""
ROUNDS: Final = 3
AT_LEAST: Final = 0.6
"""Of the pace without poison, in the round before it; the best pair counts, since others are at work on the machine."""


def poison(notes: Notes) -> Iterator[Raw]:
    """Undecodable in different ways, for ever."""
    while True:
        fine = notes.record(0)
        without_type = [header for header in fine.headers if header[0] != "ce_type"]
        yield Raw(notes.read, fine.key, b"{", fine.headers)
        yield Raw(notes.read, fine.key, b"{}", fine.headers)
        yield Raw(notes.read, fine.key, fine.value, without_type)
        yield Raw(notes.read, str(uuid4()).encode(), fine.value, fine.headers)


REASONS: Final = (Reason.NOT_JSON, Reason.MEMBER_MISSING, Reason.HEADER_MISSING, Reason.KEY_MISMATCH)


@pytest.mark.timeout(240)
async def test_one_in_ten_undecodable_leaves_the_rest_its_pace(
    start: Any, produce: Any, notes: Notes, name: str, pool: Any, watching: Watching, behind: Any
) -> None:
    watch = await watching(notes.written)
    running: Running = start(name)
    poisons = poison(notes)
    paces: dict[bool, list[float]] = {False: [], True: []}
    numbers = iter(range(10**9))
    for number in range(2 * ROUNDS + 1):  # the first one warms up
        with_poison = number % 2 == 0
        records = notes.records([next(numbers) for _ in range(GOOD)])
        if with_poison:
            for place in range(0, GOOD * 10 // 9, 10):
                records.insert(place, next(poisons))
        pace = await _pace(produce, records, watch)
        if number:
            paces[with_poison].append(pace)
    bad = (ROUNDS + 1) * len(range(0, GOOD * 10 // 9, 10))
    await until(lambda: len(running.outbox.dead_letters()) >= bad)
    letters = running.outbox.dead_letters()
    await running.leave()
    assert await running.stopped() == 0
    assert await behind() == 0
    assert len(await noted(pool)) == GOOD * (2 * ROUNDS + 1)
    assert len({letter.dead_letter_id for letter in letters}) == len(letters) == bad
    assert Counter(letter.reason for letter in letters) == {
        reason: len(range(place, bad, len(REASONS))) for place, reason in enumerate(REASONS)
    }
    pairs = zip(paces[True], paces[False], strict=True)
    assert max(poisoned / plain for poisoned, plain in pairs) >= AT_LEAST, paces


async def _pace(produce: Any, records: list[Raw], watch: Watch) -> float:
    """Good records a second, from the first that is sent to the last that is answered for."""
    wanted = len(watch.records) + GOOD
    began = time.monotonic()
    await produce(records)
    await watch.first(lambda _: len(watch.records) >= wanted)
    return GOOD / (time.monotonic() - began)
