from collections.abc import Callable
from typing import Any

import pytest

from services.intake.app import assemble
from shared.database import Pool
from shared.messaging.consumer import Consumer, Patience
from shared.messaging.service import Context
from tests.core.fixtures import MakeOutbox, clock, kafka, keys, letters_topic, make_outbox, new_topics, quiet
from tests.core.workbench import REGISTRY, Clock, Keys, PrivateOutbox
from tests.stack_database import Database, database, databases

__all__ = ["clock", "database", "databases", "kafka", "keys", "letters_topic", "make_outbox", "new_topics", "quiet"]


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("intake")


@pytest.fixture
async def outbox(pool: Pool, make_outbox: MakeOutbox) -> PrivateOutbox:
    return await make_outbox(pool)


@pytest.fixture
def new_intake(pool: Pool, outbox: PrivateOutbox, keys: Keys, clock: Clock) -> Callable[[], Consumer]:
    """Makes processes of the service, as its `app` wires them."""

    def make() -> Consumer:
        context: Context[Any] = Context(None, REGISTRY, keys.file, pool, clock)
        parts = assemble(context)
        return Consumer(
            "intake",
            parts.routes,
            pool,
            outbox,
            keys.file,
            clock,
            parts.settle,
            parts.on_refused,
            Patience(unknown_key=0.0),
        )

    return make


@pytest.fixture
def intake(new_intake: Callable[[], Consumer]) -> Consumer:
    return new_intake()
