"""A run of undecodable records pauses its partition: what came before is buried, what comes after waits."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from shared.database import Pool
from shared.messaging.consumer import Consumer
from shared.messaging.pauses import Pauses
from tests.core.notes import Notes, noted
from tests.core.workbench import Clock, PrivateOutbox, Raw

LIMIT = 10


@pytest.fixture
def consumer(consumer: Consumer) -> Consumer:
    consumer.pauses = Pauses(LIMIT)
    return consumer


def poison(notes: Notes, offset: int, partition: int = 0) -> Raw:
    return Raw(notes.read, b"x", b"{", (), partition, offset)


def poisons(notes: Notes, first: int, many: int, partition: int = 0) -> list[Raw]:
    return [poison(notes, offset, partition) for offset in range(first, first + many)]


def good(notes: Notes, offset: int, partition: int = 0) -> Raw:
    """Its number is its offset."""
    return replace(notes.record(offset), partition=partition, offset=offset)


def after_restart(consumer: Consumer, pool: Pool, clock: Clock) -> Consumer:
    """Another process of the service: it remembers nothing."""
    return Consumer(
        consumer.service,
        consumer.routes,
        pool,
        consumer.outbox,
        consumer.keys,
        clock,
        consumer.settle,
        patience=consumer.patience,
        pauses=Pauses(LIMIT),
    )


async def resume(pool: Pool, through: int, partition: int = 0) -> None:
    """As an operator does."""
    await pool.execute(
        """
        UPDATE paused_partitions SET resumed_at = now(), resumed_by = 'ops', resumed_through = $1 WHERE partition = $2
        """,
        through,
        partition,
    )


def buried(outbox: PrivateOutbox) -> list[int]:
    return sorted(letter.offset for letter in outbox.dead_letters())


async def test_past_the_limit_the_partition_stands_and_others_go_on(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox, clock: Clock
) -> None:
    batch = [
        *[good(notes, offset) for offset in range(5)],
        *poisons(notes, 5, 30),
        good(notes, 35),
        *[good(notes, offset, partition=1) for offset in range(100, 105)],
    ]
    with capture_logs() as logs:
        held = await consumer.handle(batch)
    assert held == {(notes.read, 0): 15}
    assert await noted(pool) == [*range(5), *range(100, 105)]
    assert buried(outbox) == list(range(5, 15))
    (row,) = await pool.fetch("SELECT * FROM paused_partitions")
    assert dict(row) == {
        "topic": notes.read,
        "partition": 0,
        "at_offset": 15,
        "paused_at": clock(),
        "resumed_at": None,
        "resumed_through": None,
        "resumed_by": None,
    }
    (told,) = [entry for entry in logs if entry["event"] == "partition_paused"]
    assert (told["topic"], told["partition"], told["offset"]) == (notes.read, 0, 15)
    assert notes.read in told["until"]
    assert told["log_level"] == "error"


async def test_a_run_is_counted_over_batches(consumer: Consumer, notes: Notes, outbox: PrivateOutbox) -> None:
    for first in range(0, LIMIT, 5):
        assert await consumer.handle(poisons(notes, first, 5)) == {}
    assert await consumer.handle([poison(notes, LIMIT), good(notes, LIMIT + 1)]) == {(notes.read, 0): LIMIT}
    assert buried(outbox) == list(range(LIMIT))


async def test_just_the_limit_is_no_flood(consumer: Consumer, notes: Notes, pool: Pool) -> None:
    assert await consumer.handle([*poisons(notes, 0, LIMIT), good(notes, 99)]) == {}
    assert await consumer.handle([*poisons(notes, 100, LIMIT), good(notes, 199)]) == {}
    assert await noted(pool) == [99, 199]


async def test_poison_among_the_good_pauses_nothing(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox
) -> None:
    batch = [poison(notes, n, n % 2) if n % 3 == 0 else good(notes, n, n % 2) for n in range(300)]
    assert await consumer.handle(batch) == {}
    assert await noted(pool) == [n for n in range(300) if n % 3]
    assert len(buried(outbox)) == 100
    assert await pool.fetchval("SELECT count(*) FROM paused_partitions") == 0


async def test_runs_of_two_partitions_are_two(consumer: Consumer, notes: Notes, outbox: PrivateOutbox) -> None:
    mixed = [poison(notes, n // 2, n % 2) for n in range(2 * LIMIT)]
    assert await consumer.handle(mixed) == {}
    assert await consumer.handle([poison(notes, 50, 1)]) == {(notes.read, 1): 50}


async def test_a_batch_that_is_tried_again_counts_once(consumer: Consumer, notes: Notes, pool: Pool) -> None:
    tried: list[int] = []

    async def fail_once(numbers: Sequence[int]) -> None:
        tried.extend(numbers)
        if len(tried) == 1:
            raise ConnectionResetError

    notes.before = fail_once
    assert await consumer.handle([good(notes, 0), *poisons(notes, 1, LIMIT - 2)]) == {}
    assert tried == [0, 0]
    assert await consumer.handle([*poisons(notes, 20, 2), good(notes, 30)]) == {}
    assert await noted(pool) == [0, 30]


async def test_a_pause_is_written_with_what_was_buried_before_it(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox
) -> None:
    """Also where the batch has to be tried again, and where one of its records has to be found alone."""

    async def fail(numbers: Sequence[int]) -> None:
        if 3 in numbers:
            raise ZeroDivisionError

    notes.before = fail
    batch = [*[good(notes, offset) for offset in range(8)], *poisons(notes, 8, 20)]
    assert await consumer.handle(batch) == {(notes.read, 0): 18}
    assert await noted(pool) == [0, 1, 2, 4, 5, 6, 7]
    assert buried(outbox) == [3, *range(8, 18)]
    assert await pool.fetchval("SELECT at_offset FROM paused_partitions") == 18


async def test_a_restart_finds_the_pause(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox, clock: Clock
) -> None:
    await consumer.handle(poisons(notes, 0, 30))
    outbox.take()
    fine = good(notes, 7, partition=1)
    for _ in range(3):
        consumer = after_restart(consumer, pool, clock)
        # Offsets were not committed: what was buried comes again, what stands is left where it is.
        again = [*poisons(notes, 5, 20), good(notes, 30), fine]
        assert await consumer.handle(again) == {(notes.read, 0): LIMIT}
    assert await noted(pool) == [7]
    assert set(buried(outbox)) == set(range(5, LIMIT))


async def test_a_batch_that_stands_whole_is_no_transaction(consumer: Consumer, notes: Notes, pool: Pool) -> None:
    await consumer.handle(poisons(notes, 0, 30))

    async def nothing(_work: Any) -> None:
        raise AssertionError

    consumer.settle = nothing
    assert await consumer.handle([poison(notes, 30), good(notes, 31)]) == {(notes.read, 0): 30}


async def test_resumed_it_buries_what_was_let_through_and_pauses_at_new_floods(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox, clock: Clock
) -> None:
    await consumer.handle(poisons(notes, 0, 30))
    await resume(pool, 60)
    assert await consumer.handle(poisons(notes, LIMIT, 5)) == {(notes.read, 0): LIMIT}, "until it is told"
    with capture_logs() as logs:
        await consumer.pauses.load(pool)
    assert [entry["event"] for entry in logs] == ["partition_resumed"]
    assert await consumer.handle([*poisons(notes, LIMIT, 50), good(notes, 60)]) == {}
    assert buried(outbox) == list(range(60))
    assert await noted(pool) == [60]
    # A restart does not meet the same wall again; a new flood does pause.
    consumer = after_restart(consumer, pool, clock)
    assert await consumer.handle([*poisons(notes, 30, 30), good(notes, 60)]) == {}
    assert await consumer.handle([*poisons(notes, 61, 30), good(notes, 91)]) == {(notes.read, 0): 71}
    (row,) = await pool.fetch("SELECT at_offset, resumed_at FROM paused_partitions")
    assert tuple(row) == (71, None)


async def test_resumed_by_a_step_it_pauses_after_as_many_again(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox
) -> None:
    await consumer.handle(poisons(notes, 0, 50))
    for first in (LIMIT, 2 * LIMIT):
        await resume(pool, first)
        await consumer.pauses.load(pool)
        assert await consumer.handle(poisons(notes, first, 50 - first)) == {(notes.read, 0): first + LIMIT}
    assert buried(outbox) == list(range(3 * LIMIT))


async def test_what_another_replica_paused_is_seen_after_an_assignment(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox, clock: Clock
) -> None:
    other = after_restart(consumer, pool, clock)
    await other.handle([good(notes, 1, partition=1)])
    await consumer.handle(poisons(notes, 0, 30))
    other.pauses.forget()
    assert await other.handle([*poisons(notes, LIMIT, 20), good(notes, 40)]) == {(notes.read, 0): LIMIT}
    assert buried(outbox) == list(range(LIMIT))


async def test_a_reading_of_the_table_that_a_pause_overtook_is_not_believed(
    consumer: Consumer, notes: Notes, pool: Pool
) -> None:
    async with pool.acquire() as connection, connection.transaction():
        # Whoever reads the table waits; meanwhile a batch pauses, and it too waits, to write.
        await connection.execute("LOCK TABLE paused_partitions IN ACCESS EXCLUSIVE MODE")
        consumer.pauses.known = True
        assert consumer.pauses.refuse(poison(notes, 0)) is False
        reading = asyncio.create_task(consumer.pauses.load(pool))
        await asyncio.sleep(0)
        for offset in range(1, LIMIT + 1):
            consumer.pauses.refuse(poison(notes, offset))
        assert consumer.pauses.standing == {(notes.read, 0): LIMIT}
        consumer.pauses.unwritten.clear()  # written and committed, before the reading comes to an end
    await reading
    assert consumer.pauses.standing == {(notes.read, 0): LIMIT}


async def test_without_its_table_nothing_is_buried(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox
) -> None:
    """A schema that was not migrated is no fault of the records."""
    await pool.execute("DROP TABLE paused_partitions")
    with pytest.raises(asyncpg.UndefinedTableError):
        await consumer.handle([good(notes, 1), poison(notes, 2)])
    assert outbox.dead_letters() == []
    assert await noted(pool) == []
