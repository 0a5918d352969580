"""A service in the tests' own process, on real Kafka and PostgreSQL, under a name of its own."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from stand import Stand

from habeas.contracts.topics import DEAD_LETTERS
from habeas.settings import KafkaSettings
from shared.database import Pool
from shared.messaging.consumer import Patience
from shared.messaging.service import Context, Parts, Service
from shared.settings import ServiceSettings
from tests.core.notes import Notes
from tests.core.workbench import REGISTRY, ROOT, Clock, Keys, PrivateOutbox, Raw
from tests.stack_database import Database


@dataclass
class Running:
    """A service in this process, under a name of its own."""

    service: Service
    port: int
    task: asyncio.Task[int]
    started: asyncio.Event

    @property
    def outbox(self) -> PrivateOutbox:
        assert isinstance(self.service.outbox, PrivateOutbox)
        return self.service.outbox

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return answer.status, await answer.text()

    async def leave(self) -> None:
        """As SIGTERM does. FastStream does not close what it is still opening: let it finish."""
        ended = asyncio.create_task(self.started.wait())
        await asyncio.wait([ended, self.task], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        self.service._app.exit()

    async def stopped(self) -> int:
        async with asyncio.timeout(30):
            return await self.task


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def start(
    stand: Stand,
    keys: Keys,
    kafka: dict[str, Any],
    pool: Pool,
    notes: Notes,
    letters_topic: str,
    database: Database,
    clock: Clock,
) -> AsyncIterator[Callable[..., Running]]:
    running: list[Running] = []
    env = stand.env("operators")
    settings = KafkaSettings(
        bootstrap_servers=env["HABEAS_KAFKA_BOOTSTRAP_SERVERS"],
        security_protocol=env["HABEAS_KAFKA_SECURITY_PROTOCOL"],
        sasl_mechanism=env["HABEAS_KAFKA_SASL_MECHANISM"],
        sasl_username=env["HABEAS_KAFKA_SASL_USERNAME"],
        sasl_password=env["HABEAS_KAFKA_SASL_PASSWORD"],
    )

    def begin(name: str, patience: Patience = Patience(transient=0.3), **more: Any) -> Running:  # noqa: B008
        port = free_port()
        service_settings = ServiceSettings(
            database_url=database.url("intake"),
            registry=ROOT / "registry" / "ale.toml",
            keys=keys.path,
            http_port=port,
            **more,
        )
        context = Context(service_settings, REGISTRY, keys.file, pool, clock)
        service = Service(name, context, Parts(notes.routes, settle=notes.settle), settings)
        outbox = PrivateOutbox(pool, kafka, lambda topic: letters_topic if topic == DEAD_LETTERS else topic)
        service.outbox = service.consumer.outbox = outbox
        service.consumer.patience = patience
        started = asyncio.Event()
        service._app.after_startup(started.set)
        made = Running(service, port, asyncio.create_task(service.run()), started)
        running.append(made)
        return made

    yield begin
    for each in running:
        await each.leave()
        await asyncio.gather(each.task, return_exceptions=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.fixture
def name() -> str:
    return f"noter-{uuid4().hex[:8]}"


@pytest.fixture
async def produce(kafka: dict[str, Any]) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(**kafka, linger_ms=20, max_request_size=2_097_152)
        await producer.start()
        stack.push_async_callback(producer.stop)

        async def send(records: Sequence[Raw], *, to_its_partition: bool = False) -> None:
            pending = [
                await producer.send(
                    record.topic,
                    record.value,
                    key=record.key,
                    headers=list(record.headers),
                    partition=record.partition if to_its_partition else None,
                )
                for record in records
            ]
            await asyncio.gather(*pending)

        yield send


@pytest.fixture
def behind(kafka: dict[str, Any], topics: tuple[str, str], name: str) -> Callable[[], Any]:
    """How many records the group has not committed."""

    async def count() -> int:
        consumer = AIOKafkaConsumer(**kafka, group_id=f"habeas.{name}", enable_auto_commit=False)
        await consumer.start()
        try:
            partitions = [TopicPartition(topics[0], number) for number in range(2)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            return sum([ends[each] - (await consumer.committed(each) or 0) for each in partitions])
        finally:
            await consumer.stop()

    return count


async def until(true: Callable[[], object]) -> None:
    """For what a service sets without telling anybody."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.to_thread(time.sleep, 0.01)
