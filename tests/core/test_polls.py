"""What a batch is filled with where more waits than fits."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer

from shared.messaging.polls import Polls
from tests.core.notes import Note
from tests.core.workbench import event, raw

EACH = 300


@pytest.fixture
async def waiting(
    kafka: dict[str, Any], new_topics: Callable[..., Awaitable[list[str]]], produce: Any
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[str]]]:
    """A consumer of three topics, all of whose records it has fetched."""
    topics = await new_topics("ends", "answers", "beginnings")
    for topic in topics:
        await produce([raw(topic, event(Note(request_id=uuid4(), number=number))) for number in range(EACH)])
    consumer = AIOKafkaConsumer(
        *topics, **kafka, group_id=f"polls-{uuid4().hex}", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            while consumer._fetcher._records.keys() != consumer.assignment() or not consumer.assignment():  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
        yield consumer, topics
    finally:
        await consumer.stop()


async def taken(polls: Polls, consumer: AIOKafkaConsumer) -> Counter[str]:
    return Counter(record.topic for record in await polls.poll(consumer))


async def test_what_comes_first_leaves_the_others_a_least_share(
    waiting: tuple[AIOKafkaConsumer, list[str]],
) -> None:
    consumer, (ends, answers, beginnings) = waiting
    batch = await taken(Polls([[ends], [answers]], 100), consumer)
    assert batch.total() == 100
    assert batch[ends] >= 94
    assert 2 <= batch[answers] <= 4
    assert 2 <= batch[beginnings] <= 4


async def test_what_is_left_of_a_batch_goes_to_those_behind_and_everything_is_taken_once(
    waiting: tuple[AIOKafkaConsumer, list[str]],
) -> None:
    consumer, (ends, answers, beginnings) = waiting
    polls, batches = Polls([[ends], [answers]], 400), []
    async with asyncio.timeout(30):
        while sum(batch.total() for batch in batches) < 3 * EACH:
            batches.append(await taken(polls, consumer))
    assert batches[0][ends] == EACH
    assert batches[0][answers] > batches[0][beginnings] >= 8
    assert sum(batches, Counter()) == {ends: EACH, answers: EACH, beginnings: EACH}


async def test_without_an_order_all_partitions_have_fair_shares(
    waiting: tuple[AIOKafkaConsumer, list[str]],
) -> None:
    consumer, topics = waiting
    batch = await taken(Polls([], 120), consumer)
    assert batch.total() == 120
    assert all(30 <= batch[topic] <= 50 for topic in topics)
