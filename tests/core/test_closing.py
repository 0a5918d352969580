"""A client that is given up ends, whatever it waits for, and a producer that was given up never sends again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NodeNotReadyError
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest

from habeas import closing
from habeas.closing import stopped
from tests.core.conftest import Watching


async def test_a_consumer_that_waits_for_a_dead_node_is_stopped(
    kafka: dict[str, Any], topics: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself its stop ends with a `CancelledError`, as if whoever waits for it had been cancelled."""
    send, refused = AIOKafkaClient.send, asyncio.Event()

    async def refuse(self: AIOKafkaClient, node: Any, request: Any, **named: Any) -> Any:
        if isinstance(request, FetchRequest):
            refused.set()
            raise NodeNotReadyError
        return await send(self, node, request, **named)

    before = asyncio.all_tasks()
    consumer = AIOKafkaConsumer(topics[0], **kafka, group_id=None, retry_backoff_ms=60_000)
    await consumer.start()
    monkeypatch.setattr(AIOKafkaClient, "send", refuse)
    async with asyncio.timeout(20):
        await refused.wait()
        await stopped(consumer)
    assert asyncio.all_tasks() <= before


class Connecting:
    """Each partition is led by a node of its own, to which the client connects until `open`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = asyncio.Event()
        self.nodes: set[str] = set()
        self.all_wait = asyncio.Event()
        send, drain = AIOKafkaClient.send, MessageAccumulator.drain_by_nodes
        real: dict[str, int] = {}

        def by_partition(accumulator: MessageAccumulator, ignore_nodes: Any, muted_partitions: Any) -> Any:
            batches, unknown = drain(accumulator, (), muted_partitions)
            real.update({str(place): node for node, of_node in batches.items() for place in of_node})
            apart = {str(place): {place: batch} for of_node in batches.values() for place, batch in of_node.items()}
            return apart, unknown

        async def connect(client: AIOKafkaClient, node: Any, request: Any, **named: Any) -> Any:
            if isinstance(request, ProduceRequest):
                self.nodes.add(node)
                if len(self.nodes) == 2:
                    self.all_wait.set()
                await self.open.wait()
            return await send(client, real.get(node, node), request, **named)

        monkeypatch.setattr(MessageAccumulator, "drain_by_nodes", by_partition)
        monkeypatch.setattr(AIOKafkaClient, "send", connect)


@pytest.mark.parametrize("by_cancellation", [False, True])
async def test_a_producer_that_was_given_up_sends_nothing_to_any_node(
    kafka: dict[str, Any],
    new_topics: Callable[..., Awaitable[list[str]]],
    watching: Watching,
    monkeypatch: pytest.MonkeyPatch,
    *,
    by_cancellation: bool,
) -> None:
    monkeypatch.setattr(closing, "CLOSING", 60.0 if by_cancellation else 0.2)
    (topic,) = await new_topics("given-up")
    watch = await watching(topic)
    before = asyncio.all_tasks()
    nodes = Connecting(monkeypatch)
    producer = AIOKafkaProducer(**kafka, enable_idempotence=True)
    await producer.start()
    for partition in range(2):
        await producer.send(topic, b"old", partition=partition)
    async with asyncio.timeout(20):
        await nodes.all_wait.wait()
        stopping = asyncio.create_task(stopped(producer))
        if by_cancellation:
            await asyncio.sleep(0)  # it has begun
            stopping.cancel()
        await asyncio.wait({stopping})
        left = {task for task in asyncio.all_tasks() - before if "Sender." in str(task.get_coro())}
        if by_cancellation and left:
            await asyncio.wait(left)
    assert stopping.cancelled() is by_cancellation
    assert {task for task in left if not task.done()} == set()
    nodes.open.set()
    async with AIOKafkaProducer(**kafka) as other:
        for partition in range(2):
            await other.send_and_wait(topic, b"new", partition=partition)
    await watch.first(lambda _: len(watch.records) >= 2)
    assert [record.value for record in watch.records] == [b"new", b"new"]
    monkeypatch.undo()
    await producer.client.close()
