"""The outbox: what a transaction decided to say is committed with it and sent right after.

A crash between commit and send leaves rows; a crash between send and delete leaves rows that were sent. Either way the
sweeper sends them (again), and every reader takes an event twice as once. Rows younger than the send timeout belong to
the process that wrote them, so that two hardly ever send the same row at the same time; that they may is no harm.

Between commit and send another process may say something newer, however short the moment is. So what was sent is looked
at once more, and where it is not the newest word, that is said again.
"""

import asyncio
import struct
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import UUID

import asyncpg
import orjson
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from habeas.closing import stopped
from habeas.contracts.base import identifier_text
from habeas.contracts.cloudevents import CloudEvent, encode
from habeas.contracts.randomness import random_id
from habeas.contracts.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS, MESSAGE_LIMIT
from shared.database import Connection, Pool, load_queries
from shared.telemetry import METRICS

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_log = structlog.get_logger(__name__)

SEND_TIMEOUT = timedelta(seconds=15)
"""How long a process tries to send what it committed, and how old a row is when the sweeper takes it over.

Longer than Kafka takes to miss a dead broker (`broker.session.timeout.ms`, nine seconds by default) and its clients to
find the new leader (up to four more, measured): such a send succeeds late. No longer, since what a killed process
leaves waits for it too.
"""

_STARTING = 5.0
"""Seconds in which a new producer finds Kafka, or the sweeper tries again."""

_REFUSED_FOR = 30.0
"""Seconds for which a topic that is missing or denied is not tried again: what is meant for it waits in the table."""

_FAILING_FOR = 10.0
"""Seconds for which the sweeper leaves out a topic that did not confirm, so that others' rows get their turn."""

_FIND_TOPIC = 2.0
"""Seconds to find a topic that was never written to."""

_SWEEP_EVERY = 2.0
_SWEEP_BATCH = 32
_ROW_BYTES = 128 * 1024
"""What a row holds at most; a single larger record has one to itself."""

_HEAD = struct.Struct("!16s16sii")
"""Of a record within a row: id, key, length of the headers in JSON, length of the value. They follow in this order."""

_TOMBSTONE = -1
_RECORD_OVERHEAD = 64 * 1024


@dataclass(slots=True)
class Outgoing:
    """One record on its way to Kafka."""

    topic: str
    id: UUID
    key: UUID
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = field(repr=False)
    row: UUID | None = None
    """The row of the outbox that it was written into, with others of its transaction for the same topic."""

    @classmethod
    def of(cls, topic: str, event: CloudEvent) -> Self:
        """Raises `ContractError` (`too_large`) for what the broker would refuse."""
        _, value, headers = encode(event, DEAD_LETTER_LIMIT if topic == DEAD_LETTERS else MESSAGE_LIMIT)
        return cls(topic, event.id, event.subject, value, tuple(headers))


Repair = Callable[[Connection, Sequence[Outgoing]], Awaitable[Sequence[Outgoing]]]
"""Given records that were sent late: what must be said again, so that a compacted topic ends with the newest word."""


async def nothing_to_repair(_connection: Connection, _sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
    return ()


class _Batch(NamedTuple):
    """One partition's records on their way, and their ids."""

    builder: BatchBuilder
    ids: list[UUID]

    def append(self, now: int, key: bytes, record: Outgoing) -> bool:
        """Whether it had room. `now` in milliseconds since 1970 UTC."""
        fits = self.builder.append(timestamp=now, key=key, value=record.value, headers=[*record.headers]) is not None
        if fits:
            self.ids.append(record.id)
        return fits


class _RefusedError(Exception):
    """A topic is missing or denied; nothing of it has entered the producer, which stays as good as it was."""


class Outbox:
    """Writes, sends, sweeps. `client` are aiokafka's connection options."""

    def __init__(
        self,
        pool: Pool,
        client: dict[str, Any],
        repair: Repair = nothing_to_repair,
        send_timeout: timedelta = SEND_TIMEOUT,
    ) -> None:
        self._pool = pool
        self._client = client
        self._repair = repair
        self._send_timeout = send_timeout
        self._producer: AIOKafkaProducer | None = None
        self._refused: dict[str, float] = {}
        self._failing: dict[str, float] = {}
        """By topic, until when: `time.monotonic()`."""
        self._renewing = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None
        self._sent: list[UUID] = []
        """Of rows whose records the broker has: they go with the next transaction, long before a sweeper looks."""
        self._turns = asyncio.Lock()
        self._leaving: asyncio.Task[None] | None = None
        """What `publish_beside` is sending."""
        self._next: Sequence[Outgoing] = ()
        """What waits for that."""

    async def start(self) -> None:
        self._producer = await self._new_producer()
        self._sweeper = asyncio.create_task(self._sweep_forever(), name="outbox-sweeper")

    async def stop(self) -> None:
        """Idempotent. What was not sent stays in the table for the next process."""
        if self._leaving is not None:
            await asyncio.wait([self._leaving])
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await self.tidy()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None
        async with self._renewing:
            producer, self._producer = self._producer, None
            if producer is not None:
                await stopped(producer)

    async def write(self, connection: Connection, records: Sequence[Outgoing]) -> None:
        """Inside the caller's transaction. Rows that were sent before go with it, which spares them one of their own.

        Where the transaction fails, those are sent once more.
        """
        if records:
            sent, self._sent = self._sent, []
            rows = [*_rows(records)]
            await connection.execute(
                _SQL["insert"],
                sent,
                [row.id for row in rows],
                [row.topic for row in rows],
                [row.holds for row in rows],
                [row.records for row in rows],
            )

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Right after the commit. Never raises on Kafka's account: what fails stays for the sweeper.

        Another process may have committed and sent something newer in the meantime, be it milliseconds: what was sent
        is looked at once more, and where it is not the newest, that is said again. Whoever dies before leaves the rows,
        and the sweeper repairs what it sends.
        """
        sent = await self._send(records) if records else []
        if not sent:
            return
        again: Sequence[Outgoing] = ()
        if self._repair is not nothing_to_repair:
            async with self._pool.acquire() as connection, connection.transaction():
                again = await self._say_again(connection, sent)
        self._sent += _done(records, sent)
        if again:
            METRICS.outbox_late.inc(len(again))
            await self.publish(again)

    async def publish_beside(self, records: Sequence[Outgoing]) -> None:
        """As `publish`, beside whatever the caller does next: returns once all that came before has left.

        So one batch is handled while the last one is on its way, and no more than one ever waits in memory.
        """
        if not records:
            return
        async with self._turns:
            self._next = records
            if self._leaving is not None:
                await asyncio.wait([self._leaving])
            self._next = ()
            self._leaving = asyncio.create_task(self._leave(records), name="outbox-leaving")

    async def _leave(self, records: Sequence[Outgoing]) -> None:
        try:
            await self.publish(records)
        except Exception as error:  # the rows are still there, and the sweeper repairs what it sends
            _log.warning("outbox_publish_failed", error=type(error).__name__)

    async def tidy(self) -> None:
        """Takes the rows away that were sent and that no transaction has taken with it since."""
        sent, self._sent = self._sent, []
        if sent:
            await self._pool.execute(_SQL["delete"], sent)

    async def sweep(self) -> int:
        """Sends what others left behind, some rows of it. Returns how many records."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(_SQL["claim_stale"], self._send_timeout, _SWEEP_BATCH, self._left_out())
            if not rows:
                return 0
            records = [record for row in rows for record in _unpacked(row["id"], row["topic"], row["records"])]
            sent = await self._send(records)
            await self._put_aside(connection, records, sent)
            await self._say_again(connection, sent)
            METRICS.outbox_swept.inc(len(sent))
            _log.info("outbox_swept", found=len(records), sent=len(sent))
            return len(sent)

    async def _put_aside(self, connection: Connection, records: Sequence[Outgoing], sent: Sequence[Outgoing]) -> None:
        """Takes the rows away of which anything was sent; what is left of them gets rows of its own, for later."""
        confirmed, begun = {record.id for record in sent}, {record.row for record in sent}
        left = [record for record in records if record.row in begun and record.id not in confirmed]
        await connection.execute(_SQL["delete"], [*begun])
        await self.write(connection, left)

    async def stale(self) -> int:
        """How many records wait for a sweeper: more than none for long means that Kafka refuses them."""
        return int(await self._pool.fetchval(_SQL["count_stale"], self._send_timeout))

    def _left_out(self) -> list[str]:
        """Topics whose rows would only stand in the way of others'."""
        now = time.monotonic()
        for held in (self._refused, self._failing):
            for topic in [topic for topic, until in held.items() if until <= now]:
                del held[topic]
        return [*self._refused, *self._failing]

    async def _say_again(self, connection: Connection, sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """What is about to be sent anyway is the newest word soon enough."""
        coming = {(record.topic, record.key) for record in self._next}
        again = [record for record in await self._repair(connection, sent) if (record.topic, record.key) not in coming]
        await self.write(connection, again)
        return again

    async def _send(self, records: Sequence[Outgoing]) -> list[Outgoing]:
        """Those that the broker has confirmed.

        Topics side by side, each in its order: one that is missing or denied holds up no other.
        """
        producer = self._producer
        if producer is None:
            return []
        by_topic: dict[str, list[Outgoing]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        for topic in [topic for topic in by_topic if self._is_refused(topic)] if self._refused else ():
            del by_topic[topic]
        if not by_topic:
            return []
        confirmed: set[UUID] = set()
        tasks = {
            asyncio.create_task(_send_in_order(producer, topic, batch, confirmed)): topic
            for topic, batch in by_topic.items()
        }
        done, late = await asyncio.wait(tasks, timeout=self._send_timeout.total_seconds())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        broken = False
        for task in (*done, *late):
            error = TimeoutError() if task.cancelled() else task.exception()
            if error is not None:
                broken |= not isinstance(error, _RefusedError)
                self._note_failure(tasks[task], error)
            elif self._failing:
                self._failing.pop(tasks[task], None)
        if broken:
            # An idempotent producer never expires its batches (aiokafka #1017), and one that was refused leaves a gap
            # in their numbers: only a new producer gets past them.
            await self._renew(producer)
        return [record for record in records if record.id in confirmed]

    def _is_refused(self, topic: str) -> bool:
        return self._refused.get(topic, 0.0) > time.monotonic()

    def _note_failure(self, topic: str, error: BaseException) -> None:
        if isinstance(error, (_RefusedError, TopicAuthorizationFailedError)):
            self._refused[topic] = time.monotonic() + _REFUSED_FOR
        else:
            self._failing[topic] = time.monotonic() + _FAILING_FOR
        METRICS.outbox_failures.inc()
        _log.warning("outbox_send_failed", topic=topic, error=type(error.__cause__ or error).__name__)

    async def _renew(self, broken: AIOKafkaProducer) -> None:
        async with self._renewing:
            if self._producer is not broken:
                return
            self._producer = None
            await stopped(broken)  # before there is a new one: what is old must not be sent after what is newer
            try:
                async with asyncio.timeout(_STARTING):
                    self._producer = await self._new_producer()
            except (KafkaError, TimeoutError) as error:
                _log.warning("outbox_producer_unavailable", error=type(error).__name__)

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._client,
            enable_idempotence=True,
            acks="all",
            max_batch_size=256 * 1024,
            max_request_size=DEAD_LETTER_LIMIT + _RECORD_OVERHEAD,
        )
        try:
            await producer.start()
        except BaseException:
            await stopped(producer)
            raise
        return producer

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            try:
                if self._producer is None:
                    async with self._renewing:
                        if self._producer is None:  # nobody made one meanwhile
                            self._producer = await self._new_producer()
                await self.tidy()
                while await self.sweep():
                    await self.tidy()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the sweeper must outlive whatever happens to Kafka and PostgreSQL
                _log.warning("outbox_sweep_failed", error=type(error).__name__)


async def _send_in_order(
    producer: AIOKafkaProducer, topic: str, records: Sequence[Outgoing], confirmed: set[UUID]
) -> None:
    """One topic's records. Those that the broker has are noted in `confirmed`; then the last trouble is raised."""
    partitions = producer.client.cluster.partitions_for_topic(topic)
    if partitions is None:
        try:
            async with asyncio.timeout(_FIND_TOPIC):
                partitions = await producer.partitions_for(topic)
        except (KafkaError, TimeoutError) as error:
            raise _RefusedError from error
    side_by_side = (
        _send_batches(producer, topic, partition, batches, confirmed)
        for partition, batches in _batches(producer, records, len(partitions)).items()
    )
    for trouble in await asyncio.gather(*side_by_side, return_exceptions=True):
        if trouble is not None:
            raise trouble


async def _send_batches(
    producer: AIOKafkaProducer, topic: str, partition: int, batches: Sequence[_Batch], confirmed: set[UUID]
) -> None:
    """One partition's, each after the one before has left: a partition without a leader holds up no other."""
    pending: list[asyncio.Future[Any]] = []
    trouble: BaseException | None = None
    for builder, ids in batches:
        builder.close()
        try:
            future = await producer.send_batch(builder, topic, partition=partition)
        except KafkaError as error:
            trouble = error
        else:
            future.add_done_callback(_noting(ids, confirmed))
            pending.append(future)
    for result in await asyncio.gather(*pending, return_exceptions=True):
        if isinstance(result, BaseException):
            trouble = result
    if trouble is not None:
        raise trouble


def _batches(
    producer: AIOKafkaProducer, records: Sequence[Outgoing], partitions: int
) -> Mapping[int, Sequence[_Batch]]:
    """By partition: a third of the cost of handing each record to the producer by itself."""
    now = int(time.time() * 1000)
    found: dict[int, list[_Batch]] = defaultdict(list)
    for record in records:
        key = identifier_text(record.key)
        batches = found[_partition(key, partitions)]
        fits = batches and batches[-1].append(now, key, record)
        if not fits:
            batches.append(_Batch(producer.create_batch(), []))
            batches[-1].append(now, key, record)  # the first always fits
    return found


@lru_cache(maxsize=8192)
def _partition(key: bytes, partitions: int) -> int:
    """As every Kafka client has it, so that a request's records lie on the same one of each topic."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def _noting(ids: Sequence[UUID], confirmed: set[UUID]) -> Callable[[asyncio.Future[Any]], None]:
    def note(future: asyncio.Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            confirmed.update(ids)

    return note


class _Row(NamedTuple):
    id: UUID
    topic: str
    holds: int
    records: bytes


def _rows(records: Sequence[Outgoing]) -> Iterator[_Row]:
    """`records` in few rows, each of one topic; each record is told its row."""
    topics: dict[str, list[Outgoing]] = {}
    for record in records:
        topics.setdefault(record.topic, []).append(record)
    for topic, of_topic in topics.items():
        row, pieces, size = random_id(), list[bytes](), 0
        for record in of_topic:
            piece = _packed(record)
            if pieces and size + len(piece) > _ROW_BYTES:
                yield _Row(row, topic, len(pieces), b"".join(pieces))
                row, pieces, size = random_id(), [], 0
            pieces.append(piece)
            size += len(piece)
            record.row = row
        yield _Row(row, topic, len(pieces), b"".join(pieces))


def _packed(record: Outgoing) -> bytes:
    headers = orjson.dumps([(name, value.decode()) for name, value in record.headers])
    length = _TOMBSTONE if record.value is None else len(record.value)
    return _HEAD.pack(record.id.bytes, record.key.bytes, len(headers), length) + headers + (record.value or b"")


def _unpacked(row: UUID, topic: str, packed: bytes) -> Iterator[Outgoing]:
    start = 0
    while start < len(packed):
        identifier, key, headers, length = _HEAD.unpack_from(packed, start)
        start += _HEAD.size
        named = tuple((name, text.encode()) for name, text in orjson.loads(packed[start : start + headers]))
        start += headers
        value = None if length == _TOMBSTONE else packed[start : start + length]
        start += len(value or b"")
        yield Outgoing(topic, UUID(bytes=identifier), UUID(bytes=key), value, named, row)


def _done(records: Sequence[Outgoing], sent: Sequence[Outgoing]) -> list[UUID]:
    """The rows all of whose records were sent. Of the others some will be sent twice."""
    rows = {record.row for record in records if record.row is not None}
    if len(sent) < len(records):
        confirmed = {record.id for record in sent}
        rows -= {record.row for record in records if record.id not in confirmed}
    return [*rows]
