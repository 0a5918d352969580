"""A service of the tests' own: it notes what it reads in a table, and says so on a topic."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from stand import Stand, Watch

from shared.database import Pool
from shared.messaging.consumer import Consumer, Patience
from tests.core.fixtures import MakeOutbox, clock, kafka, keys, letters_topic, make_outbox, new_topics, quiet
from tests.core.notes import TABLE, Notes
from tests.core.running import behind, name, produce, start
from tests.core.workbench import Clock, Keys, PrivateOutbox
from tests.stack_database import Database, database, databases

__all__ = [
    "behind",
    "clock",
    "database",
    "databases",
    "kafka",
    "keys",
    "letters_topic",
    "make_outbox",
    "name",
    "new_topics",
    "produce",
    "quiet",
    "start",
]

Watching = Callable[[str], Awaitable[Watch]]


@pytest.fixture
async def pool(database: Database) -> Pool:
    pool = await database.pool("intake")
    await pool.execute(TABLE)
    return pool


@pytest.fixture
async def topics(new_topics: Callable[..., Awaitable[list[str]]]) -> tuple[str, str]:
    """One to read, one to write."""
    read, written = await new_topics("notes", "noted")
    return read, written


@pytest.fixture
def notes(topics: tuple[str, str]) -> Notes:
    return Notes(*topics)


@pytest.fixture
async def outbox(pool: Pool, make_outbox: MakeOutbox) -> PrivateOutbox:
    return await make_outbox(pool, everything=False)


@pytest.fixture
def consumer(pool: Pool, outbox: PrivateOutbox, keys: Keys, clock: Clock, notes: Notes) -> Consumer:
    """It has no patience, so that a test need not have it either."""
    patience = Patience(transient=5.0, unknown_key=0.0)
    return Consumer("noter", notes.routes, pool, outbox, keys.file, clock, notes.settle, patience=patience)


@pytest.fixture
async def watching(stand: Stand) -> AsyncIterator[Watching]:
    async with AsyncExitStack() as stack:

        async def watch(topic: str) -> Watch:
            return await stack.enter_async_context(stand.watching("operators", topic))

        yield watch


def said_numbers(watch: Watch) -> list[Any]:
    return [Notes.number_of(record.value) for record in watch.records]
