"""What is to be seen in Kafka: the portal's status topic, and what operators may read of results and dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer

from habeas.contracts import ContractError, Keyring, Place
from habeas.contracts.catalogue import read, read_personal
from habeas.contracts.cloudevents import decode
from habeas.contracts.dead_letter import DeadLetter, RawRecord
from habeas.contracts.result import SummaryItem, TaskFinished
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS, results, status

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
    rejected: dict[UUID, SubmissionRejected] = field(default_factory=dict)
    """By the refused message's ce_id."""
    letters: list[OpenedLetter] = field(default_factory=list)
    summaries: dict[tuple[UUID, str], tuple[SummaryItem, ...]] = field(default_factory=dict)
    """By request and system: what it says it did. Stands in clear; the records themselves are sealed for others."""
    on_status: Callable[[StatusChanged], None] = lambda _: None
    on_refused: Callable[[SubmissionRejected], None] = lambda _: None
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _fault: Exception | None = None

    def status(self, request_id: UUID | None) -> StatusChanged | None:
        return self.statuses.get(request_id) if request_id else None

    def take(self, record: Any, operators: Keyring) -> None:
        """Note what a record says."""
        ce_type = dict(record.headers).get("ce_type", b"").decode()
        event = decode(record.key, record.value, record.headers, limit=DEAD_LETTER_LIMIT)
        if ce_type == StatusChanged.TYPE:
            changed = read(event, StatusChanged)
            known = self.statuses.get(changed.request_id)
            if known is None or known.version < changed.version:
                self.statuses[changed.request_id] = changed
                self.on_status(changed)
        elif ce_type == SubmissionRejected.TYPE:
            refusal = read(event, SubmissionRejected)
            self.rejected[refusal.ce_id] = refusal
            self.on_refused(refusal)
        elif ce_type == TaskFinished.TYPE:
            finished = read(event, TaskFinished)
            self.summaries[finished.request_id, finished.system] = finished.summary
        elif ce_type == DeadLetter.TYPE:
            letter = read(event, DeadLetter)
            self.letters.append(OpenedLetter(letter, _opened(letter, operators)))

    async def follow(self, consumer: AIOKafkaConsumer, operators: Keyring) -> None:
        """Take what `consumer` gets, until cancelled. What goes wrong is raised by `until`."""
        try:
            async for record in consumer:
                async with self._news:
                    self.take(record, operators)
                    self._news.notify_all()
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


@asynccontextmanager
async def following(
    board: Board,
    *,
    portal: str,
    portal_kafka: dict[str, Any],
    systems: Sequence[str],
    operators_kafka: dict[str, Any],
    operators: Keyring,
) -> AsyncIterator[None]:
    """Keep `board` up to date: the status topic read as the portal, the rest as `operators`."""
    wanted = (
        ((status(portal),), portal_kafka),
        ((DEAD_LETTERS, *(results(system) for system in systems)), operators_kafka),
    )
    async with AsyncExitStack() as exits:
        tasks = []
        for topics, kafka in wanted:
            consumer = AIOKafkaConsumer(
                *topics,
                **kafka,
                group_id=None,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=100,
                max_partition_fetch_bytes=2 * DEAD_LETTER_LIMIT,
            )
            await consumer.start()
            exits.push_async_callback(consumer.stop)
            tasks.append(asyncio.create_task(board.follow(consumer, operators), name=f"follow {topics[0]}"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
