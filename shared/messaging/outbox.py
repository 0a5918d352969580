"""The outbox: what a transaction decided to say is committed with it and sent right after.

A crash between commit and send leaves rows; a crash between send and delete leaves rows that were sent. Either way the
sweeper sends them (again), and every reader takes an event twice as once. Rows younger than the send timeout belong to
the process that wrote them, so that two hardly ever send the same row at the same time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import orjson
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from habeas.contracts.cloudevents import CloudEvent, encode
from habeas.contracts.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS, MESSAGE_LIMIT
from shared.database import Connection, Pool, load_queries
from shared.telemetry import METRICS

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_log = structlog.get_logger(__name__)

SEND_TIMEOUT = timedelta(seconds=15)
"""How long a process tries to send what it committed before the sweeper may take over."""

_SWEEP_EVERY = 2.0
_SWEEP_BATCH = 500
_RECORD_OVERHEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record on its way to Kafka."""

    topic: str
    id: UUID
    key: UUID
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = field(repr=False)

    @classmethod
    def of(cls, topic: str, event: CloudEvent) -> Self:
        """Raises `ContractError` (`too_large`) for what the broker would refuse."""
        _, value, headers = encode(event, DEAD_LETTER_LIMIT if topic == DEAD_LETTERS else MESSAGE_LIMIT)
        return cls(topic, event.id, event.subject, value, tuple(headers))


Repair = Callable[[Connection, Sequence[Outgoing]], Awaitable[Sequence[Outgoing]]]
"""Given records that were sent late: what must be said again, so that a compacted topic ends with the newest word."""


async def nothing_to_repair(_connection: Connection, _sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
    return ()


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
        self._renewing = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._producer = await self._new_producer()
        self._sweeper = asyncio.create_task(self._sweep_forever(), name="outbox-sweeper")

    async def stop(self) -> None:
        """Idempotent. What was not sent stays in the table for the next process."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def write(self, connection: Connection, records: Sequence[Outgoing]) -> None:
        """Inside the caller's transaction."""
        if records:
            await connection.execute(
                _SQL["insert"],
                [record.id for record in records],
                [record.topic for record in records],
                [record.key for record in records],
                [record.value for record in records],
                [_pack(record.headers) for record in records],
            )

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Right after the commit. Never raises on Kafka's account: what fails stays for the sweeper."""
        if not records:
            return
        sent = await self._send(records)
        if not sent:
            return
        async with self._pool.acquire() as connection:
            deleted = await connection.execute(_SQL["delete"], [record.id for record in sent])
            if int(deleted.rpartition(" ")[2]) < len(sent):
                # We were away longer than the send timeout, and a sweeper has sent some of these before us.
                await self._say_again(connection, sent)

    async def sweep(self) -> int:
        """Sends what others left behind. Returns how many rows."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(_SQL["claim_stale"], self._send_timeout, _SWEEP_BATCH)
            if not rows:
                return 0
            records = [
                Outgoing(row["topic"], row["id"], row["key"], row["value"], _unpack(row["headers"])) for row in rows
            ]
            sent = await self._send(records)
            await connection.execute(_SQL["delete"], [record.id for record in sent])
            await self._say_again(connection, sent)
            METRICS.outbox_swept.inc(len(sent))
            _log.info("outbox_swept", found=len(rows), sent=len(sent))
            return len(sent)

    async def stale(self) -> int:
        """How many rows wait for a sweeper: more than none for long means that Kafka refuses them."""
        return int(await self._pool.fetchval(_SQL["count_stale"], self._send_timeout))

    async def _say_again(self, connection: Connection, sent: Sequence[Outgoing]) -> None:
        await self.write(connection, await self._repair(connection, sent))

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
        confirmed: set[UUID] = set()
        tasks = {
            asyncio.create_task(_send_in_order(producer, batch, confirmed)): topic for topic, batch in by_topic.items()
        }
        done, late = await asyncio.wait(tasks, timeout=self._send_timeout.total_seconds() * 0.6)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task in (*done, *late):
            error = TimeoutError() if task.cancelled() else task.exception()
            if error is not None:
                METRICS.outbox_failures.inc()
                _log.warning("outbox_send_failed", topic=tasks[task], error=type(error).__name__)
        if len(confirmed) < len(records):
            # An idempotent producer never expires its batches (aiokafka #1017): only a new one gets past them.
            await self._renew(producer)
        return [record for record in records if record.id in confirmed]

    async def _renew(self, broken: AIOKafkaProducer) -> None:
        async with self._renewing:
            current = self._producer
            if current is None or current is not broken:
                return
            self._producer = None
            try:
                async with asyncio.timeout(5):
                    await current.stop()
            except (KafkaError, TimeoutError):
                _log.debug("outbox_producer_abandoned")
            try:
                self._producer = await self._new_producer()
            except KafkaError as error:
                _log.warning("outbox_producer_unavailable", error=type(error).__name__)

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._client,
            enable_idempotence=True,
            acks="all",
            linger_ms=1,
            max_batch_size=256 * 1024,
            max_request_size=DEAD_LETTER_LIMIT + _RECORD_OVERHEAD,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            try:
                if self._producer is None:
                    async with self._renewing:
                        self._producer = await self._new_producer()
                while await self.sweep() == _SWEEP_BATCH:
                    pass
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the sweeper must outlive whatever happens to Kafka and PostgreSQL
                _log.warning("outbox_sweep_failed", error=type(error).__name__)


async def _send_in_order(producer: AIOKafkaProducer, records: Sequence[Outgoing], confirmed: set[UUID]) -> None:
    """One topic's records. Those that the broker has are noted in `confirmed`; then the last trouble is raised."""
    pending: list[asyncio.Future[Any]] = []
    trouble: BaseException | None = None
    for record in records:
        try:
            future = await producer.send(
                record.topic, record.value, key=str(record.key).encode(), headers=list(record.headers)
            )
        except KafkaError as error:
            trouble = error
        else:
            future.add_done_callback(_noting(record.id, confirmed))
            pending.append(future)
    for result in await asyncio.gather(*pending, return_exceptions=True):
        if isinstance(result, BaseException):
            trouble = result
    if trouble is not None:
        raise trouble


def _noting(record_id: UUID, confirmed: set[UUID]) -> Callable[[asyncio.Future[Any]], None]:
    def note(future: asyncio.Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            confirmed.add(record_id)

    return note


def _pack(headers: tuple[tuple[str, bytes], ...]) -> bytes:
    return orjson.dumps([(name, value.decode()) for name, value in headers])


def _unpack(packed: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode()) for name, value in orjson.loads(packed))
