"""What a batch is made of: the order in which it is filled, and how long it gathers."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

_log = structlog.get_logger(__name__)

_POLL_MS = 1_000
"""How long a poll waits for the first record; it returns with whatever there is then."""

_LINGER = 0.025
"""Seconds from one batch to the next, at least: each costs some fifteen round trips however small it is. A record that
comes after a quiet moment does not wait."""

_LEAST_SHARE = 50
"""The part of a batch that each group of topics has, however much waits on those before it: nothing waits for ever."""


_BATCH_BYTES = 1_250_000
"""What a batch holds at most if its records are as large as those of the last one: opened, they take ten times that."""


class Polls:
    """Takes batches from a consumer."""

    def __init__(self, first: Sequence[Sequence[str]], most: int) -> None:
        """`first` are groups of topics that come before all others, in this order, where more than `most` waits."""
        self._first = first
        self._named = frozenset(chain.from_iterable(first))
        self._most = most
        self._begun = 0.0
        self._record_bytes = 0
        """The mean size of the last batch's records."""

    async def poll(self, consumer: AIOKafkaConsumer) -> tuple[Any, ...]:
        """Group by group, and of each partition of a group a fair share.

        The answers to one request lie on as many topics as there are systems: taken together, it is decided about once.
        """
        most = min(self._most, max(_LEAST_SHARE, _BATCH_BYTES // max(1, self._record_bytes)))
        least = max(1, most // _LEAST_SHARE)
        records = _all_of(await consumer.getmany(timeout_ms=_POLL_MS, max_records=least))
        early = self._begun + _LINGER - time.monotonic()
        if records and early > 0:
            await asyncio.sleep(early)
        if records:
            groups = self._groups(consumer)
            for behind, group in zip(reversed(range(len(groups))), groups, strict=True):
                await _fill(records, most - behind * least, consumer, group)
            self._record_bytes = sum([len(record.value or b"") for record in records]) // len(records)
        self._begun = time.monotonic()
        return tuple(records)

    def _groups(self, consumer: AIOKafkaConsumer) -> list[list[TopicPartition]]:
        reading = consumer.assignment() - consumer.paused()
        first = [[each for each in reading if each.topic in group] for group in self._first]
        return [*first, [each for each in reading if each.topic not in self._named]]


async def _fill(
    records: list[Any], most: int, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> None:
    """From all partitions alike, until there are `most` records or no more have come."""
    full = [*partitions]
    while full and len(records) < most:
        share = max(1, (most - len(records)) // len(full))
        asked, full = full, []
        for partition in asked:
            room = min(share, most - len(records))
            if room > 0:
                found = await _rest(consumer, partition, room)
                records += found
                if len(found) == room:
                    full.append(partition)


async def _rest(consumer: AIOKafkaConsumer, partition: TopicPartition, limit: int) -> list[Any]:
    """What has come of a partition. Trouble is for the next poll: raised here, it would lose what was taken before."""
    try:
        return _all_of(await consumer.getmany(partition, timeout_ms=0, max_records=limit))
    except KafkaError as error:
        _log.warning("partition_not_read", topic=partition.topic, error=type(error).__name__)
        return []


def _all_of(found: Mapping[TopicPartition, Sequence[Any]]) -> list[Any]:
    return [*chain.from_iterable(found.values())]
