"""What Kafka is to a run of crashes: topics, and offsets that a group has committed.

Records reach a group as unkindly as Kafka may hand them over: whatever was read after the last commit comes again after
a crash, each record comes twice in a batch, and the batch is shuffled. What portals, operators and systems have said of
a request keeps its order, since it stands in one partition; what the services say to each other keeps none, since
sweepers say it again at any time.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from chaos_wire import Hear

from habeas.contracts.cloudevents import CloudEvent, encode
from habeas.contracts.topics import OUTCOMES, PROGRESS, REQUESTS

_OWN: Final = frozenset({REQUESTS, PROGRESS, OUTCOMES})
"""The services' own topics."""
_TIMESTAMP: Final = 1_772_445_600_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as aiokafka gives it."""

    topic: str
    offset: int
    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    partition: int = 0
    timestamp: int = _TIMESTAMP


@dataclass
class Log:
    """All topics."""

    random: Random
    topics: dict[str, list[Kept]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """By group and topic."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _listeners: dict[str, list[Hear]] = field(default_factory=lambda: defaultdict(list))
    _context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def append(self, topic: str, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        record = Kept(topic, len(self.topics[topic]), key, value, headers)
        self.topics[topic].append(record)
        self.news.set()
        for hear in self._listeners[topic]:
            # In a context of its own: whoever listens outlives the process that spoke.
            asyncio.get_running_loop().call_soon(hear, record, context=self._context.copy())

    async def read(self, topic: str) -> Sequence[Kept]:
        return tuple(self.topics[topic])

    def hearing(self, topics: Sequence[str], hear: Hear) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def listen() -> AsyncIterator[None]:
            for topic in topics:
                self._listeners[topic].append(hear)
            try:
                yield
            finally:
                for topic in topics:
                    self._listeners[topic].remove(hear)

        return listen()

    def lag(self, group: str, topics: Sequence[str]) -> int:
        return sum(len(self.topics[topic]) - self.committed[group, topic] for topic in topics)

    def poll(self, group: str, topics: Sequence[str]) -> Batch:
        """Some of what the group has not committed, on some of its topics."""
        waiting = [topic for topic in topics if len(self.topics[topic]) > self.committed[group, topic]]
        chosen = self.random.sample(waiting, self.random.randint(1, len(waiting)))
        ends: dict[str, int] = {}
        records: list[Kept] = []
        for topic in chosen:
            begin, end = self.committed[group, topic], len(self.topics[topic])
            ends[topic] = self.random.randint(begin + 1, end)
            records += self.topics[topic][begin : ends[topic]]
        return Batch(group, ends, self._unkindly(records))

    def commit(self, batch: Batch) -> None:
        for topic, end in batch.ends.items():
            self.committed[batch.group, topic] = end

    def _unkindly(self, records: Sequence[Kept]) -> list[Kept]:
        twice = [*records, *records]
        self.random.shuffle(twice)
        places: dict[tuple[str, bytes], list[int]] = defaultdict(list)
        for place, record in enumerate(twice):
            if record.topic not in _OWN:
                places[record.topic, record.key].append(place)
        for taken in places.values():
            in_time = sorted({twice[place].offset: twice[place] for place in taken}.items())
            first_seen = dict.fromkeys(twice[place].offset for place in taken)
            stands_for = {offset: kept for offset, (_, kept) in zip(first_seen, in_time, strict=True)}
            for place in taken:
                twice[place] = stands_for[twice[place].offset]
        return twice


@dataclass(frozen=True, slots=True)
class Batch:
    """Handed to a group; `ends` are the offsets to be committed after it."""

    group: str
    ends: Mapping[str, int]
    records: Sequence[Kept]


@dataclass(frozen=True, slots=True)
class Mouth:
    """A `Voice` that never has to wait."""

    log: Log

    async def say(self, topic: str, event: CloudEvent) -> None:
        await self.send(topic, *encode(event))

    async def send(self, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        self.log.append(topic, key, value, headers)

    def hearing(self, topics: Sequence[str], hear: Hear) -> AbstractAsyncContextManager[None]:
        return self.log.hearing(topics, hear)

    async def close(self) -> None:
        return
