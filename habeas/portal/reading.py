"""Reading the portal's status topic: for all followers at once, or record by record with offsets of one's own."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from time import monotonic
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
)

from habeas.closing import stopped
from habeas.contracts.topics import MESSAGE_LIMIT, status
from habeas.portal.board import Board
from habeas.portal.connecting import AUTHORIZATION, started
from habeas.portal.errors import ClosedError, DeniedError, PortalError
from habeas.portal.news import News, read_news

_log = structlog.get_logger("habeas.portal")
_FETCH = 2 * MESSAGE_LIMIT  # has to cover the largest record, or its partition stands still
_AT_ONCE = 100
"""Records taken from the client at once: between two such batches others get their turn."""
_POLL = 60_000
"""Milliseconds one poll waits; it ends at the first record, and when the consumer is stopped."""
_COMMIT_EVERY = 1.0
"""Seconds at most between commits while records keep coming: as much comes again after a crash."""
_PAUSE = 1.0
"""Seconds before a consumer is replaced that failed while reading."""


class Reader:
    """Opens consumers on the status topic of one portal."""

    def __init__(self, portal: str, kafka: Mapping[str, Any], patience: float) -> None:
        self._portal = portal
        self._kafka = dict(kafka)
        self._patience = patience

    async def consumer(self, group: str | None = None) -> AIOKafkaConsumer:
        """Raises `UnreachableError`, `DeniedError`."""
        topic = status(self._portal)

        def make() -> AIOKafkaConsumer:
            return AIOKafkaConsumer(
                topic,
                **self._kafka,
                group_id=group,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                max_partition_fetch_bytes=_FETCH,
            )

        what = topic if group is None else f"{topic} in the group {group}"
        return await started(make, portal=self._portal, patience=self._patience, verb="read", what=what)

    def denied(self) -> DeniedError:
        return DeniedError(self._portal, "read", status(self._portal))


class Feed:
    """One consumer that tells a board, begun with the first who follows."""

    def __init__(self, reader: Reader, board: Board) -> None:
        self._reader = reader
        self._board = board
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Unless it runs already. After a failure it reads from the beginning again; the board knows what is old."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="habeas.portal: read statuses")

    async def stop(self) -> None:
        """Those who follow hear that the portal is closed."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._board.fail(ClosedError())

    async def _run(self) -> None:
        try:
            while True:
                consumer = await self._reader.consumer()
                try:
                    await self._read(consumer)
                except AUTHORIZATION:
                    raise self._reader.denied() from None
                except (KafkaError, OSError) as error:
                    _log.warning("reading_restarted", cause=type(error).__name__)
                finally:
                    await stopped(consumer)
                await asyncio.sleep(_PAUSE)
        except PortalError as error:
            self._board.fail(error)
        except Exception as error:
            _log.error("reading_failed", cause=type(error).__name__)
            self._board.fail(PortalError(f"reading {type(error).__name__}: follow again, and tell who maintains this"))

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            polled = await consumer.getmany(timeout_ms=_POLL, max_records=_AT_ONCE)
            for records in polled.values():
                for record in records:
                    news = read_news(record)
                    if news is not None:
                        self._board.take(news)
            await asyncio.sleep(0)  # a long history comes without a pause


class Reading:
    """Everything on the topic, one record after the other, as one caller takes it."""

    def __init__(self, reader: Reader, group: str | None) -> None:
        self._reader = reader
        self._group = group
        self._consumer: AIOKafkaConsumer | None = None
        self._done: dict[TopicPartition, int] = {}
        self._committed = monotonic()
        self._closed = False

    async def news(self) -> AsyncGenerator[News, None]:
        """Raises `UnreachableError`, `DeniedError`; `ClosedError` once it was closed from elsewhere."""
        self._consumer = await self._reader.consumer(self._group)
        if self._closed:  # while it was being opened
            await stopped(self._consumer)
            raise ClosedError
        try:
            while not self._closed:
                polled = await self._consumer.getmany(timeout_ms=_POLL, max_records=_AT_ONCE)
                for place, records in polled.items():
                    for record in records:
                        news = read_news(record)
                        if news is not None:
                            yield news
                        if self._closed:
                            raise ClosedError
                        self._done[place] = record.offset + 1
                        if monotonic() - self._committed > _COMMIT_EVERY:
                            await self._commit()
                await self._commit()
        except ConsumerStoppedError:
            pass
        except AUTHORIZATION:
            raise self._reader.denied() from None
        finally:
            await self.close()
        raise ClosedError

    async def close(self) -> None:
        """Commit what the caller is done with, and leave the group."""
        if self._closed:
            return
        self._closed = True
        if self._consumer is None:
            return
        try:
            await self._commit()
        except (KafkaError, OSError) as error:
            _log.warning("commit_lost", cause=type(error).__name__)
        finally:
            await stopped(self._consumer)

    async def _commit(self) -> None:
        self._committed = monotonic()
        if self._group is None or self._consumer is None:
            return
        assigned = self._consumer.assignment()
        offsets = {place: offset for place, offset in self._done.items() if place in assigned}
        self._done.clear()
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # Another member has the partitions now, and meets these records again.
            _log.warning("commit_lost", cause=type(error).__name__)
