"""`habeas topics`: what stands still is shown, and goes on when told to; on real Kafka and PostgreSQL."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import pytest
from stand import Stand

from tests.core.fixtures import new_topics
from tests.operators.keyboard import Said, habeas
from tests.stack_database import Database

__all__ = ["new_topics"]

SINCE = datetime(2026, 3, 2, 10, tzinfo=UTC)

Ask = Callable[..., Awaitable[Said]]


@pytest.fixture
def ask(stand: Stand, database: Database) -> Ask:
    """As the operators, on a database of the test's own."""
    environment = {**stand.env("operators"), "HABEAS_DATABASE_URL": database.url("operators")}

    async def run(*arguments: str, **more: str) -> Said:
        return await asyncio.to_thread(partial(habeas, "topics", *arguments, **{**environment, **more}))

    return run


@pytest.fixture
async def topic(stand: Stand, new_topics: Callable[..., Awaitable[list[str]]]) -> str:
    """Seven records in its partition 0, none in its partition 1."""
    (made,) = await new_topics("flooded")
    async with stand.producer("operators") as producer:
        for _ in range(7):
            await producer.send_and_wait(made, b"{", partition=0)
    return made


async def pause(database: Database, service: str, topic: str, partition: int, offset: int) -> None:
    """As the service does."""
    pool = await database.pool(service, size=1)
    await pool.execute("INSERT INTO paused_partitions VALUES ($1, $2, $3, $4)", topic, partition, offset, SINCE)


async def rows(database: Database, service: str) -> list[asyncpg.Record]:
    pool = await database.pool(service, size=1)
    return await pool.fetch("SELECT * FROM paused_partitions ORDER BY topic, partition")


def listed(said: Said) -> list[dict[str, Any]]:
    assert said.code == 0, said
    return list(json.loads(said.out)["paused"])


async def test_nothing_is_paused(ask: Ask) -> None:
    said = await ask("list")
    assert (said.code, said.out) == (0, "No partition is paused.\n")
    assert listed(await ask("list", "--json")) == []


async def test_listed_with_where_since_when_and_how_much_waits(ask: Ask, database: Database, topic: str) -> None:
    await pause(database, "intake", topic, 0, 3)
    await pause(database, "collector", topic, 0, 5)
    found = listed(await ask("list", "--json"))
    assert found == [
        {
            "service": service,
            "topic": topic,
            "partition": 0,
            "offset": offset,
            "since": "2026-03-02T10:00:00Z",
            "records_behind": 7 - offset,
        }
        for service, offset in (("intake", 3), ("collector", 5))
    ]
    assert listed(await ask("list", "--json", "--service", "collector")) == found[1:]
    said = await ask("list")
    assert said.code == 0
    assert topic in said.out
    assert "2026-03-02 10:00" in said.out
    assert "2 partitions are paused" in said.words
    assert "habeas topics resume TOPIC" in said.words
    narrow = await ask("list", COLUMNS="80")
    assert topic in narrow.out, "to be copied"


async def test_resumed_through_what_waits_now(ask: Ask, database: Database, topic: str) -> None:
    await pause(database, "intake", topic, 0, 3)
    await pause(database, "intake", topic, 1, 0)
    said = await ask("resume", topic)
    assert said.code == 0
    assert f"intake goes on with {topic}, partition 0, at offset 3: 4 records to read." in said.words
    resumed = await rows(database, "intake")
    assert [(row["partition"], row["at_offset"], row["resumed_through"]) for row in resumed] == [(0, 3, 7), (1, 0, 0)]
    assert all(row["resumed_at"] and row["resumed_by"] for row in resumed)
    assert listed(await ask("list", "--json")) == []


async def test_resumed_one_partition_of_one_service(ask: Ask, database: Database, topic: str) -> None:
    for service in ("intake", "collector"):
        for number in (0, 1):
            await pause(database, service, topic, number, 0)
    said = await ask("resume", topic, "--partition", "1", "--service", "collector", "--json")
    assert said.code == 0
    (resumed,) = json.loads(said.out)["resumed"]
    assert (resumed["service"], resumed["topic"], resumed["partition"]) == ("collector", topic, 1)
    left = [(each["service"], each["partition"]) for each in listed(await ask("list", "--json"))]
    assert left == [("intake", 0), ("intake", 1), ("collector", 0)]


async def test_resumed_by_a_step(ask: Ask, database: Database, topic: str) -> None:
    """Nothing of what waits is let through beyond the limit."""
    await pause(database, "intake", topic, 0, 3)
    assert (await ask("resume", topic, "--step")).code == 0
    assert [row["resumed_through"] for row in await rows(database, "intake")] == [3]


async def test_what_is_not_paused_cannot_be_resumed(ask: Ask, database: Database, topic: str) -> None:
    await pause(database, "intake", topic, 0, 3)
    for arguments in (("dsr.nowhere.v1",), (topic, "--partition", "1"), (topic, "--service", "notifier")):
        said = await ask("resume", *arguments)
        assert said.code == 1
        assert "is not paused by" in said.words
        assert "habeas topics list" in said.words
    assert (await ask("resume", topic)).code == 0
    assert (await ask("resume", topic)).code == 1, "it goes on already"


async def test_mistakes_are_told_with_advice(ask: Ask) -> None:
    assert (await ask("list", "--service", "nobody")).code == 2
    said = await ask("resume", "dsr.x.v1", "--service", "nobody")
    assert said.code == 2
    assert "intake, fanout, collector, notifier" in said.words
    assert (await ask("resume")).code == 2
    assert (await ask("resume", "dsr.x.v1", "--partition", "-1")).code == 2


async def test_who_may_not_is_told(ask: Ask, database: Database) -> None:
    said = await ask("list", HABEAS_DATABASE_URL=database.url("billing"))
    assert said.code == 1
    assert "member of intake" in said.words


async def test_without_postgresql_or_kafka_it_says_what_to_do(ask: Ask, database: Database, topic: str) -> None:
    said = await ask("list", HABEAS_DATABASE_URL="postgresql://x:y@127.0.0.1:1/habeas")
    assert said.code == 3
    assert "habeas ps" in said.words
    await pause(database, "intake", topic, 0, 3)
    said = await ask("list", HABEAS_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert said.code == 3
    assert "habeas ps" in said.words
