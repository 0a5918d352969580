"""Records sent as batches that are made here: aiokafka's `send` takes a future, a task switch and a hash for each."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

_MOST: Final = 500
"""Records in a batch, so that the broker has work while the next is made."""

Headers = Sequence[tuple[str, bytes]]
Partition = tuple[str, int]


class Ready(NamedTuple):
    """One record, encoded."""

    key: bytes
    value: bytes
    headers: Headers


async def send_batches(producer: AIOKafkaProducer, records: Mapping[Partition, Sequence[Ready]]) -> None:
    """Send each partition's records in their order. Returns when Kafka has them all; raises aiokafka's errors."""
    await asyncio.gather(*(_send(producer, *partition, batch) for partition, batch in records.items()))


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[Ready]) -> None:
    confirmations: list[asyncio.Future[Any]] = []
    batch: BatchBuilder = producer.create_batch()
    for key, value, headers in records:
        if (
            batch.record_count() == _MOST
            or batch.append(timestamp=None, key=key, value=value, headers=headers) is None  # it is full
        ):
            confirmations.append(await _submit(producer, batch, topic, partition))
            batch = producer.create_batch()
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                raise ValueError(f"a record of {len(value)} bytes is larger than a batch")
    if batch.record_count():
        confirmations.append(await _submit(producer, batch, topic, partition))
    await asyncio.gather(*confirmations)


async def _submit(producer: AIOKafkaProducer, batch: BatchBuilder, topic: str, partition: int) -> asyncio.Future[Any]:
    batch.close()  # one that is open waits for more
    future: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
    return future
