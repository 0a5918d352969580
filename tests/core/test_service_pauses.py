"""A flood of poison, met by services whole: one partition stands, the others go on, until an operator resumes it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aiokafka import TopicPartition
from stand import Stand

from shared.database import Pool
from tests.core.conftest import Watching
from tests.core.notes import Notes, noted
from tests.core.running import Running, until
from tests.core.workbench import Raw
from tests.operators.keyboard import habeas
from tests.stack_database import Database

LIMIT = 20

Flood = Callable[[], Awaitable[None]]


@pytest.fixture
async def flood(produce: Any, notes: Notes) -> Flood:
    """Ten good records, 90 undecodable ones and ten good ones in partition 0; fifty good ones in partition 1."""

    async def send() -> None:
        await produce(
            [
                *[replace(record, partition=0) for record in notes.records(range(10))],
                *[Raw(notes.read, b"x", b"{", (), 0)] * 90,
                *[replace(record, partition=0) for record in notes.records(range(10, 20))],
                *[replace(record, partition=1) for record in notes.records(range(100, 150))],
            ],
            to_its_partition=True,
        )

    return send


async def ready(running: Running) -> tuple[int, list[Any]]:
    async with asyncio.timeout(30):
        await running.started.wait()
    status, text = await running.get("/health/ready")
    return status, json.loads(text)["paused"]


async def until_true(asked: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await asked():
            await asyncio.to_thread(time.sleep, 0.05)


async def until_paused(running: Running, notes: Notes) -> None:
    wanted = (503, [{"topic": notes.read, "partition": 0, "offset": 10 + LIMIT}])

    async def stands() -> bool:
        return await ready(running) == wanted

    await until_true(stands)


async def resume(pool: Pool, through: int) -> None:
    await pool.execute(
        "UPDATE paused_partitions SET resumed_at = now(), resumed_by = 'ops', resumed_through = $1", through
    )


async def test_a_flood_stops_its_partition_alone_until_it_is_resumed(
    start: Any,
    flood: Flood,
    behind: Any,
    notes: Notes,
    name: str,
    pool: Pool,
    watching: Watching,
    produce: Any,
    stand: Stand,
    database: Database,
) -> None:
    watch = await watching(notes.written)
    await flood()
    running = start(name, pause_after=LIMIT)
    await until_paused(running, notes)
    await watch.first(lambda _: len(watch.records) == 60)
    assert await noted(pool) == [*range(10), *range(100, 150)]
    await until(lambda: len(running.outbox.dead_letters()) == LIMIT)
    # It keeps its pace elsewhere, and takes what stands for nothing to worry its supervisor about.
    await produce([replace(record, partition=1) for record in notes.records(range(150, 160))], to_its_partition=True)
    await watch.first(lambda _: len(watch.records) == 70)
    assert (await running.get("/health/live"))[0] == 200
    running.service._polled = float("-inf")
    running.service._subscriber.consumer.pause(TopicPartition(notes.read, 1))
    assert (await running.get("/health/live"))[0] == 200
    running.service._subscriber.consumer.resume(TopicPartition(notes.read, 1))
    metrics = (await running.get("/metrics"))[1]
    assert "habeas_paused_partitions" in metrics

    environment = {**stand.env("operators"), "HABEAS_DATABASE_URL": database.url("operators")}
    said = await asyncio.to_thread(partial(habeas, "topics", "resume", notes.read, **environment))
    assert said.code == 0, said
    await watch.first(lambda _: len(watch.records) == 80)
    assert (await ready(running)) == (200, [])
    assert await noted(pool) == [*range(20), *range(100, 160)]
    await running.leave()
    assert await running.stopped() == 0
    assert len(running.outbox.dead_letters()) == 90
    assert await behind() == 0


async def test_restarts_neither_drain_the_topic_nor_lose_their_place(
    start: Any, flood: Flood, behind: Any, notes: Notes, name: str, pool: Pool, watching: Watching
) -> None:
    watch = await watching(notes.written)
    await flood()
    buried = 0
    for _ in range(3):
        running = start(name, pause_after=LIMIT)
        await until_paused(running, notes)
        await watch.first(lambda _: len(watch.records) == 60)
        await running.leave()
        assert await running.stopped() == 0
        buried += len(running.outbox.dead_letters())
        assert await behind() == 110 - 10 - LIMIT
    assert buried == LIMIT
    # Resumed while nobody runs: the next process goes on by itself.
    await resume(pool, 110)
    running = start(name, pause_after=LIMIT)
    await watch.first(lambda _: len(watch.records) == 70)
    await running.leave()
    assert await running.stopped() == 0
    assert await behind() == 0
    assert await noted(pool) == [*range(20), *range(100, 150)]


async def test_a_rebalance_takes_the_pause_along(
    start: Any, flood: Flood, notes: Notes, name: str, pool: Pool, watching: Watching, behind: Any
) -> None:
    watch = await watching(notes.written)
    first = start(name, pause_after=LIMIT)
    await flood()
    await until_paused(first, notes)
    second = start(name, pause_after=LIMIT)

    async def shared() -> bool:
        answers = [await ready(first), await ready(second)]
        return sorted((status, len(paused)) for status, paused in answers) == [(200, 0), (503, 1)]

    await until_true(shared)  # each has one of the two partitions, and only whose is paused is not ready
    await first.leave()
    assert await first.stopped() == 0
    await until_paused(second, notes)
    await until(lambda: len(first.outbox.dead_letters()) + len(second.outbox.dead_letters()) == LIMIT)
    await resume(pool, 110)
    await watch.first(lambda _: len(watch.records) == 70)
    await second.leave()
    assert await second.stopped() == 0
    assert await behind() == 0
    assert await noted(pool) == [*range(20), *range(100, 150)]


async def test_one_in_ten_pauses_nothing(
    start: Any, produce: Any, notes: Notes, name: str, pool: Pool, watching: Watching, behind: Any
) -> None:
    watch = await watching(notes.written)
    records = notes.records(range(900))
    for place in range(0, 1_000, 10):
        records.insert(place, Raw(notes.read, b"x", b"{", ()))
    running = start(name, pause_after=LIMIT)
    await produce(records)
    await watch.first(lambda _: len(watch.records) == 900)
    assert (await ready(running)) == (200, [])
    await running.leave()
    assert await running.stopped() == 0
    assert await noted(pool) == list(range(900))
    assert len(running.outbox.dead_letters()) == 100
    assert await behind() == 0
