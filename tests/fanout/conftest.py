"""Fan-out as it is wired, on real PostgreSQL and Kafka."""

from typing import Any

import pytest

from services.fanout.app import assemble
from shared.database import Pool
from shared.messaging.consumer import Consumer, Patience
from shared.messaging.service import Context
from tests.core.fixtures import MakeOutbox, clock, kafka, keys, letters_topic, make_outbox, new_topics, quiet
from tests.core.workbench import REGISTRY, Clock, Keys, PrivateOutbox
from tests.stack_database import Database, database, databases

__all__ = ["clock", "database", "databases", "kafka", "keys", "letters_topic", "make_outbox", "new_topics", "quiet"]


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("fanout")


@pytest.fixture
async def outbox(pool: Pool, make_outbox: MakeOutbox) -> PrivateOutbox:
    return await make_outbox(pool)


@pytest.fixture
def fanout(pool: Pool, outbox: PrivateOutbox, keys: Keys, clock: Clock) -> Consumer:
    context: Context[Any] = Context(None, REGISTRY, keys.file, pool, clock)
    parts = assemble(context)
    return Consumer(
        "fanout", parts.routes, pool, outbox, keys.file, clock, parts.settle, patience=Patience(unknown_key=0.0)
    )
