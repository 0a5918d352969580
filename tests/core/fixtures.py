"""Fixtures that the tests of the core and of the services share."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import structlog
from confluent_kafka.admin import AdminClient, NewTopic
from stand import Stand

from habeas.contracts.topics import DEAD_LETTERS
from shared.database import Pool
from shared.messaging.outbox import Repair
from tests.core.workbench import Clock, Keys, PrivateOutbox

MakeOutbox = Callable[..., Awaitable[PrivateOutbox]]


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Logs go nowhere; a test that reads them captures them."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def kafka(stand: Stand) -> dict[str, Any]:
    """aiokafka's options to act as the operators, who may do everything."""
    options: dict[str, Any] = stand.kafka("operators")
    return options


@pytest.fixture(scope="session")
def new_topics(stand: Stand) -> Callable[..., Awaitable[list[str]]]:
    """Makes topics of the tests' own, named by `dsr.t<random>.` and what they are for."""
    kafka = stand.kafka("operators")
    admin = AdminClient(
        {
            "bootstrap.servers": kafka["bootstrap_servers"],
            "security.protocol": kafka["security_protocol"],
            "sasl.mechanism": kafka["sasl_mechanism"],
            "sasl.username": kafka["sasl_plain_username"],
            "sasl.password": kafka["sasl_plain_password"],
        }
    )

    async def make(*names: str, partitions: int = 2) -> list[str]:
        prefix = f"dsr.t{secrets.token_hex(5)}"
        topics = [f"{prefix}.{name}.v1" for name in names]
        config = {"max.message.bytes": "2097152"}
        made = admin.create_topics([NewTopic(topic, partitions, 1, config=config) for topic in topics])
        await asyncio.gather(*(asyncio.to_thread(future.result, 30) for future in made.values()))
        return topics

    return make


@pytest.fixture(scope="session")
async def letters_topic(new_topics: Callable[..., Awaitable[list[str]]]) -> str:
    """Where this worker's tests send what would go to the dead letters, or to a real reader."""
    return (await new_topics("aside", partitions=1))[0]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.new(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make_outbox(kafka: dict[str, Any], letters_topic: str) -> AsyncIterator[MakeOutbox]:
    """Makes started outboxes; everything they send goes aside, or the dead letters alone."""
    async with AsyncExitStack() as stack:

        async def make(
            pool: Pool,
            *repair: Repair,
            everything: bool = True,
            kind: type[PrivateOutbox] = PrivateOutbox,
            **options: Any,
        ) -> PrivateOutbox:
            def rename(topic: str) -> str:
                return letters_topic if everything or topic == DEAD_LETTERS else topic

            outbox = kind(pool, kafka, rename, *repair, **options)
            await outbox.start()
            stack.push_async_callback(outbox.stop)
            return outbox

        yield make
