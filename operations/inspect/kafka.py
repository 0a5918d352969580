"""Kafka as operators read and write it: bounded reading of a topic, and errors that say what to do."""

from __future__ import annotations

import getpass
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)

from habeas.contracts.topics import DEAD_LETTER_LIMIT
from operations.connection import client_options
from operations.errors import EnvironmentFaultError, OperationsError

# What it has to say comes as exceptions; its log would only repeat that on stderr.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())

_POLL_MS = 500
_MOST = 2_000  # records taken at a time
_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")


@contextmanager
def kafka_errors(doing: str) -> Iterator[None]:
    """Raise what Kafka refuses as an OperationsError, and its absence as an EnvironmentFaultError."""
    try:
        yield
    except (ClusterAuthorizationFailedError, TopicAuthorizationFailedError) as error:
        topics = ", ".join(sorted(map(str, error.args[0]))) if error.args and isinstance(error.args[0], set) else ""
        raise OperationsError(
            f"This principal may not {doing}{f' ({topics})' if topics else ''}. Act as one that may: `operators` may "
            "everything where it is a super user of the cluster, as in the local stack."
        ) from None
    except (SaslAuthenticationFailed, AuthenticationFailedError):
        raise OperationsError(
            "Kafka does not know these credentials: check HABEAS_KAFKA_SASL_USERNAME and HABEAS_KAFKA_SASL_PASSWORD."
        ) from None
    except (KafkaError, OSError) as error:
        raise EnvironmentFaultError(
            f"Kafka did not let us {doing} ({type(error).__name__}). Is the stack up? See `habeas ps`, and "
            "HABEAS_KAFKA_BOOTSTRAP_SERVERS."
        ) from None


@asynccontextmanager
async def reading(environment: Mapping[str, str], topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, with every partition of `topic`. Raises OperationsError, EnvironmentFaultError."""
    consumer = AIOKafkaConsumer(
        **client_options(environment),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2 * DEAD_LETTER_LIMIT,
        fetch_max_bytes=16 * DEAD_LETTER_LIMIT,
    )
    with kafka_errors(f"read {topic}"):
        try:
            await consumer.start()
            if topic not in await consumer.topics():  # subscribing to what is not there would wait for ever
                raise _no_topic(topic)
            await consumer._client.add_topic(topic)
            consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()])
            yield consumer
        finally:
            await consumer.stop()


def _no_topic(topic: str) -> OperationsError:
    return OperationsError(
        f"There is no topic {topic}, or this principal may not read it. `habeas topology show` has the topics and who "
        "may read them, and with --diff what the cluster lacks."
    )


@asynccontextmanager
async def writing(environment: Mapping[str, str]) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that takes records as large as a dead letter."""
    producer = AIOKafkaProducer(
        **client_options(environment), enable_idempotence=True, max_request_size=DEAD_LETTER_LIMIT + 65_536
    )
    with kafka_errors("write"):
        try:
            await producer.start()
            yield producer
        finally:
            await producer.stop()


async def bounds(
    consumer: AIOKafkaConsumer, since: datetime | None = None
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Where to begin and where to end: what is there now, from `since` by Kafka's timestamps."""
    partitions = sorted(consumer.assignment())
    start: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
    end: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    if since is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(0, int(since.timestamp() * 1000))))
        start = {each: max(start[each], found[each].offset if found[each] else end[each]) for each in partitions}
    return start, end


async def records_between(
    consumer: AIOKafkaConsumer, start: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]
) -> AsyncIterator[Any]:
    """Each record from `start` up to but without `end`, in the order of each partition. Ends, also when more come."""
    left = {each for each in start if start[each] < end[each]}
    consumer.pause(*(consumer.assignment() - left))
    for each in left:
        consumer.seek(each, start[each])
    while left:
        polled = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST)
        for records in polled.values():
            for record in records:
                if record.offset < end[TopicPartition(record.topic, record.partition)]:
                    yield record
        for each in [each for each in left if each in polled or not polled]:
            # The position, not the last record: compaction and transactions leave gaps.
            if await consumer.position(each) >= end[each]:
                left.discard(each)
                consumer.pause(each)
    consumer.resume(*consumer.assignment())


def account_name() -> str:
    """The login name as a command's `by` may have it: a role, never a person's address."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = ""
    return _NOT_IN_NAMES.sub("-", login.lower().partition("@")[0]).strip("._-")[:64] or "operator"
