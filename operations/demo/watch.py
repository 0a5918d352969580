"""What is to be seen in Kafka: what the portal hears, and what operators may read of results and dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer

from habeas.contracts import ContractError, Keyring, Place
from habeas.contracts.catalogue import read, read_personal
from habeas.contracts.cloudevents import decode
from habeas.contracts.dead_letter import DeadLetter, RawRecord
from habeas.contracts.result import SummaryItem, TaskFinished
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS, results
from habeas.portal import News, Portal

PATIENCE = 60.0
"""Seconds that a step may take on a slow machine."""


class StalledError(Exception):
    """Something that had to happen did not, within `PATIENCE`."""

    def __init__(self, awaited: str) -> None:
        self.awaited = awaited
        super().__init__(f"waited {PATIENCE:.0f} s in vain: {awaited}")


@dataclass(frozen=True, slots=True)
class OpenedLetter:
    letter: DeadLetter
    record: RawRecord | None = field(repr=False)
    """The refused record; None where the operators' key does not open it."""


@dataclass(slots=True)
class Board:
    """Everything seen so far."""

    statuses: dict[UUID, StatusChanged] = field(default_factory=dict)
    """The latest of each request."""
    passed: dict[UUID, list[str]] = field(default_factory=dict)
    """The states that each request was seen in, with their reasons: `triage: child_reported`."""
    rejected: dict[UUID, SubmissionRejected] = field(default_factory=dict)
    """By the refused message's ce_id."""
    letters: list[OpenedLetter] = field(default_factory=list)
    summaries: dict[tuple[UUID, str], dict[UUID, tuple[SummaryItem, ...]]] = field(default_factory=dict)
    """By request, system and task: what it says it did. Stands in clear; the records are sealed for others."""
    since: datetime | None = None
    """Dead letters refused before are of no concern."""
    on_status: Callable[[StatusChanged], None] = lambda _: None
    on_refused: Callable[[SubmissionRejected], None] = lambda _: None
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _fault: Exception | None = None

    def status(self, request_id: UUID | None) -> StatusChanged | None:
        return self.statuses.get(request_id) if request_id else None

    def hear(self, news: News) -> None:
        """Note what the portal is told. A lower version changes nothing."""
        if isinstance(news, StatusChanged):
            known = self.statuses.get(news.request_id)
            if known is None or known.version < news.version:
                self.statuses[news.request_id] = news
                self.passed.setdefault(news.request_id, []).append(standing(news))
                self.on_status(news)
        elif isinstance(news, SubmissionRejected):
            self.rejected[news.ce_id] = news
            self.on_refused(news)

    def take(self, record: Any, operators: Keyring) -> None:
        """Note what a record says that operators may read."""
        event = decode(record.key, record.value, record.headers, limit=DEAD_LETTER_LIMIT)
        if event.type == TaskFinished.TYPE:
            finished = read(event, TaskFinished)
            tasks = self.summaries.setdefault((finished.request_id, finished.system), {})
            tasks[finished.task_id] = finished.summary
        elif event.type == DeadLetter.TYPE:
            letter = read(event, DeadLetter)
            if self.since is None or letter.refused_at >= self.since:
                self.letters.append(OpenedLetter(letter, _opened(letter, operators)))

    async def follow_portal(self, portal: Portal) -> None:
        """Hear what `portal` does, until cancelled. What goes wrong is raised by `until`."""

        async def hear() -> None:
            async for news in portal.statuses():
                async with self._news:
                    self.hear(news)
                    self._news.notify_all()

        await self._guarded(hear())

    async def follow(self, consumer: AIOKafkaConsumer, operators: Keyring) -> None:
        """Take what `consumer` gets, until cancelled. What goes wrong is raised by `until`."""

        async def take() -> None:
            async for record in consumer:
                async with self._news:
                    self.take(record, operators)
                    self._news.notify_all()

        await self._guarded(take())

    async def _guarded(self, following: Coroutine[Any, Any, None]) -> None:
        try:
            await following
        except Exception as error:
            async with self._news:
                self._fault = error
                self._news.notify_all()

    async def until(self, condition: Callable[[], bool], awaited: str) -> None:
        """Return once `condition()` holds. Raises StalledError, or what went wrong while following."""
        try:
            async with asyncio.timeout(PATIENCE), self._news:
                await self._news.wait_for(lambda: self._fault is not None or condition())
        except TimeoutError:
            raise StalledError(awaited) from None
        if self._fault is not None:
            raise self._fault


def _opened(letter: DeadLetter, operators: Keyring) -> RawRecord | None:
    try:
        place = Place("operators", DeadLetter.TYPE, letter.dead_letter_id)
        return read_personal(operators, place, letter.personal, RawRecord)
    except ContractError:
        return None


def standing(status: StatusChanged) -> str:
    """The state, and the reason where one is given."""
    return f"{status.state}: {status.reason.code}" if status.reason else str(status.state)


@asynccontextmanager
async def following(
    board: Board, *, portal: Portal, systems: Sequence[str], operators_kafka: dict[str, Any], operators: Keyring
) -> AsyncIterator[None]:
    """Keep `board` up to date: the statuses heard by the portal, the rest read as `operators`."""
    consumer = AIOKafkaConsumer(
        *(DEAD_LETTERS, *(results(system) for system in systems)),
        **operators_kafka,
        group_id=None,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=2 * DEAD_LETTER_LIMIT,
    )
    await consumer.start()
    tasks = [
        asyncio.create_task(board.follow_portal(portal), name="follow the portal"),
        asyncio.create_task(board.follow(consumer, operators), name="follow the operators' topics"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await consumer.stop()
