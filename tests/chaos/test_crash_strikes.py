"""What a run of crashes strikes, and how unkind its Kafka is."""

from __future__ import annotations

from collections import Counter
from random import Random
from uuid import uuid4

from crash_kafka import Kept, Log
from crash_points import POINTS, Strikes

from habeas.contracts.topics import PROGRESS, results

POINT = min(POINTS)


def _kept(log: Log, topic: str, key: bytes) -> Kept:
    return Kept(topic, len(log.topics[topic]), key, b"{}", ())


def test_every_passage_is_struck_by_one_run_of_as_many() -> None:
    struck = Counter(
        number for first in range(4) for number in range(12) if strikes(Strikes(first, 4, 3), number + 1)[number]
    )
    assert struck == dict.fromkeys(range(12), 1)


def test_it_ends_with_the_last_strike() -> None:
    assert sum(strikes(Strikes(1, 4, 3), 100)) == 3


def strikes(chosen: Strikes, passages: int) -> list[bool]:
    return [chosen.fall_on(POINT) for _ in range(passages)]


def test_each_record_comes_twice_and_what_one_says_of_a_request_in_its_order() -> None:
    log = Log(Random(1))
    keys = [str(uuid4()).encode() for _ in range(3)]
    for number in range(60):
        log.topics[results("billing")].append(_kept(log, results("billing"), keys[number % 3]))
        log.topics[PROGRESS].append(_kept(log, PROGRESS, keys[number % 3]))
    seen: dict[str, list[int]] = {PROGRESS: [], results("billing"): []}
    while log.lag("collector", list(seen)):
        batch = log.poll("collector", list(seen))
        counted = Counter((record.topic, record.offset) for record in batch.records)
        assert set(counted.values()) == {2}
        for key in keys:
            own = [each.offset for each in batch.records if each.topic != PROGRESS and each.key == key]
            assert [*dict.fromkeys(own)] == sorted(set(own))
        for record in batch.records:
            seen[record.topic].append(record.offset)
        log.commit(batch)
    assert all(set(offsets) == set(range(60)) for offsets in seen.values())
    assert [*dict.fromkeys(seen[PROGRESS])] != list(range(60))


def test_what_was_not_committed_comes_again() -> None:
    log = Log(Random(2))
    log.topics[PROGRESS].append(_kept(log, PROGRESS, b"key"))
    first = log.poll("fanout", [PROGRESS])
    assert log.poll("fanout", [PROGRESS]).records == first.records
    log.commit(first)
    assert log.lag("fanout", [PROGRESS]) == 0
    assert log.lag("collector", [PROGRESS]) == 1
