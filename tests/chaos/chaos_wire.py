"""Kafka for one who never gives up speaking and listening: portal, systems and operator of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from habeas.contracts.cloudevents import CloudEvent, encode
from operations import connection

_TROUBLE: Final = (KafkaError, OSError, TimeoutError, RuntimeError)
_PATIENCE: Final = 10.0
"""Seconds for one attempt: an idempotent producer never gives up by itself."""
_REST: Final = 0.3


def client_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """aiokafka's options for the principal whose `HABEAS_KAFKA_*` these are, impatient with a broker that is away."""
    return {**connection.client_options(environment), "request_timeout_ms": 10_000, "retry_backoff_ms": 200}


Hear = Callable[[Any], None]
"""Takes a record in its order; what takes time is started as a task."""


class Voice(Protocol):
    """One principal's mouth and ears."""

    async def say(self, topic: str, event: CloudEvent) -> None:
        """Returns once it is confirmed."""

    async def send(self, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        """As `say`, for what need not be an event."""

    def hearing(self, topics: Sequence[str], hear: Hear) -> AbstractAsyncContextManager[None]:
        """Hands every record of the topics to `hear`, from the first."""

    async def close(self) -> None: ...


@dataclass
class Speaker:
    """Says each thing until the broker has confirmed it; it may then be there twice."""

    options: Mapping[str, Any] = field(repr=False)
    repeats: int = 0
    """How often something had to be said again."""
    _producer: AIOKafkaProducer | None = None
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def say(self, topic: str, event: CloudEvent) -> None:
        key, value, headers = encode(event)
        await self.send(topic, key, value, headers)

    async def send(self, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        while True:
            producer: AIOKafkaProducer | None = None
            try:
                async with asyncio.timeout(_PATIENCE):
                    producer = await self._current()
                    confirmed = await producer.send(topic, value, key=key, headers=list(headers))
                    await asyncio.shield(confirmed)
            except _TROUBLE:
                self.repeats += 1
                await self._drop(producer)
                await asyncio.sleep(_REST)
            else:
                return

    def hearing(self, topics: Sequence[str], hear: Hear) -> AbstractAsyncContextManager[None]:
        return listening(self.options, topics, hear)

    async def close(self) -> None:
        await self._drop(self._producer)

    async def _current(self) -> AIOKafkaProducer:
        async with self._changing:
            if self._producer is None:
                producer = AIOKafkaProducer(**self.options, enable_idempotence=True, acks="all")
                try:
                    await producer.start()
                except BaseException:
                    await _stopped(producer)
                    raise
                self._producer = producer
            return self._producer

    async def _drop(self, producer: AIOKafkaProducer | None) -> None:
        if producer is not None and producer is self._producer:
            self._producer = None
            await _stopped(producer)


@asynccontextmanager
async def listening(options: Mapping[str, Any], topics: Sequence[str], hear: Hear) -> AsyncIterator[None]:
    """Hands every record of the topics to `hear`, from the first, each once, whatever happens to the broker."""
    task = asyncio.create_task(_listen(options, topics, hear), name=f"listening to {topics[0]}")
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(ended, asyncio.CancelledError):
            raise ended  # who no longer listens would take everything for lost


async def _listen(options: Mapping[str, Any], topics: Sequence[str], hear: Hear) -> NoReturn:
    at: dict[TopicPartition, int] = {}
    while True:
        consumer = _consumer(options)
        try:
            await consumer.start()
            await _go_to(consumer, topics, at)
            async for record in consumer:
                hear(record)
                at[TopicPartition(record.topic, record.partition)] = record.offset + 1
        except _TROUBLE:
            await asyncio.sleep(_REST)
        finally:
            await _stopped(consumer)


async def read_all(options: Mapping[str, Any], topics: Sequence[str]) -> list[Any]:
    """Every record that the topics hold now, in order within each partition. Raises what Kafka raises."""
    consumer = _consumer(options)
    records: list[Any] = []
    try:
        await consumer.start()
        await _go_to(consumer, topics, {})
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=500, max_records=5_000)).values():
                records.extend(batch)
    finally:
        await consumer.stop()
    return records


def _consumer(options: Mapping[str, Any]) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **options,
        group_id=None,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4_500_000,
        fetch_max_wait_ms=250,
    )


async def _go_to(consumer: AIOKafkaConsumer, topics: Sequence[str], at: Mapping[TopicPartition, int]) -> None:
    partitions: list[TopicPartition] = []
    for topic in topics:
        cluster = consumer._client  # the one way to ask about a topic that nobody subscribed to
        await cluster.set_topics([*topics])
        partitions += [TopicPartition(topic, each) for each in cluster.cluster.partitions_for_topic(topic) or ()]
    consumer.assign(partitions)
    for partition in partitions:
        if partition in at:
            consumer.seek(partition, at[partition])
        else:
            await consumer.seek_to_beginning(partition)


async def _stopped(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(3):
            await client.stop()
    except _TROUBLE:
        return
