"""One process of a service, with its real consumer, outbox and workers, that dies at a point and leaves what it left.

It is a task, and all tasks that come of it. Death takes its sessions and connections first and then the tasks, so that
nothing that they do while they end reaches anybody.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from crash_kafka import Log
from crash_points import (
    BATCH,
    BEGUN,
    BESIDE,
    COMMITTED,
    DECIDED,
    HANDLED,
    PUT,
    READ,
    REPAIRING,
    SENDING,
    SENT,
    SWEEP,
    WRITTEN,
    Point,
    Strikes,
)
from obstore.store import LocalStore

from habeas.contracts import KeyFile
from services.notifier.mails import MailRenderer
from shared.clock import Clock
from shared.database import Connection, Pool, create_pool
from shared.messaging.consumer import Consumer
from shared.messaging.outbox import Outbox, Outgoing, Repair, nothing_to_repair
from shared.messaging.service import Context, Parts
from shared.registry import Registry

_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
_UNCONFIRMED = 0.2
"""How often Kafka says no yes to a part of what it may have."""


@dataclass(frozen=True)
class Surroundings:
    """What outlives a process."""

    registry: Registry
    keys: KeyFile
    clock: Clock
    database: Callable[[str], str]
    """The URL of a service's role."""
    store: Path
    smtp_url: str
    log: Log
    strikes: Strikes
    random: Random
    renderer: MailRenderer
    """One for all: to compile its templates takes longer than all else that a process does at its start."""


class MarkedOutbox(Outbox):
    """The real one over a `Log` in place of Kafka. Whatever was not deleted is stale at once: its sweeper is early."""

    def __init__(self, pool: Pool, repair: Repair, process: Process) -> None:
        super().__init__(pool, {}, repair, timedelta())
        self._process = process

    async def write(self, connection: Connection, records: Sequence[Outgoing]) -> None:
        counts = records or self._process.is_handling
        if counts:
            await self._process.at(DECIDED)
        await super().write(connection, records)
        if counts:
            await self._process.at(WRITTEN)

    async def publish(self, records: Sequence[Outgoing]) -> None:
        if records or self._process.is_handling:
            await self._process.at(COMMITTED)
        await super().publish(records)

    async def _send(self, records: Sequence[Outgoing]) -> list[Outgoing]:
        surroundings = self._process.surroundings
        half = len(records) // 2
        self._append(records[:half])
        await self._process.at(SENDING)
        if surroundings.random.random() < _UNCONFIRMED:
            return list(records[: half // 2])
        self._append(records[half:])
        await self._process.at(SENT)
        return list(records)

    def _append(self, records: Sequence[Outgoing]) -> None:
        for record in records:
            self._process.surroundings.log.append(
                record.topic, str(record.key).encode(), record.value, list(record.headers)
            )


@dataclass
class Process:
    """Of `service`; `start` it, have it `do` things, and `bury` it once it has died."""

    service: str
    surroundings: Surroundings
    died: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _jobs: asyncio.Queue[tuple[Callable[[], Awaitable[None]], asyncio.Future[None]]] = field(
        default_factory=asyncio.Queue
    )
    _pool: Pool | None = None

    async def start(self) -> None:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        live = asyncio.create_task(self._live(ready), name=BATCH)
        self._tasks.add(live)
        await asyncio.wait(_futures(ready, live), return_when=asyncio.FIRST_COMPLETED)
        if live.done():
            live.result()

    @property
    def topics(self) -> Sequence[str]:
        return self._consumer.topics

    @property
    def is_handling(self) -> bool:
        return _worker() == BATCH

    async def at(self, name: str, worker: str | None = None) -> None:
        """Its life passes a point. Does not return where that was its last."""
        if not self.died.is_set() and not self.surroundings.strikes.fall_on(
            Point(self.service, worker or _worker(), name)
        ):
            return
        self.died.set()
        self.surroundings.log.news.set()
        await self._gone.wait()

    async def take(self) -> None:
        """One batch, as the service's loop does it."""
        log = self.surroundings.log

        async def batch() -> None:
            polled = log.poll(self.service, self.topics)
            await self.at(BEGUN)
            await self._consumer.handle(polled.records)
            await self.at(HANDLED)
            log.commit(polled)
            await self.at(READ)

        await self._do(batch)

    async def sweep(self) -> None:
        async def sweep() -> None:
            await asyncio.create_task(self._sweep(), name=SWEEP)

        await self._do(sweep)

    async def bury(self) -> None:
        """Nothing of it is left but what it has written and said."""
        self.died.set()
        if self._pool is not None:
            self._pool.terminate()
        while alive := [task for task in self._tasks if not task.done()]:
            for task in alive:
                task.cancel()
            await asyncio.wait(alive, timeout=0.01)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._gone.set()

    async def _do(self, job: Callable[[], Awaitable[None]]) -> None:
        """Raises what the job raises; returns early where the process dies of it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((job, done))
        death = asyncio.create_task(self.died.wait())
        await asyncio.wait(_futures(done, death), return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if not self.died.is_set():
            done.result()

    async def _live(self, ready: asyncio.Future[None]) -> None:
        _PROCESS.set(self)
        around = self.surroundings
        async with AsyncExitStack() as stack:
            self._pool = await create_pool(around.database(self.service), schema=self.service, size=3)
            parts = self._parts(self._pool)
            repair = parts.repair if parts.repair is nothing_to_repair else self._marked(parts.repair)
            self._outbox = MarkedOutbox(self._pool, repair, self)
            self._consumer = Consumer(
                self.service,
                parts.routes,
                self._pool,
                self._outbox,
                around.keys,
                around.clock,
                parts.settle,
                parts.on_refused,
            )
            if parts.beside is not None:
                await stack.enter_async_context(parts.beside(self._consumer))
            ready.set_result(None)
            while True:
                job, done = await self._jobs.get()
                try:
                    await job()
                except Exception as error:
                    if self.died.is_set():  # whatever it stumbles over now
                        raise
                    done.set_exception(error)
                else:
                    done.set_result(None)

    def _parts(self, pool: Pool) -> Parts:
        around = self.surroundings
        settings = SimpleNamespace(
            store_url=around.store.as_uri(),
            smtp_url=around.smtp_url,
            smtp_connections=4,
            public_url="https://privacy.chaos.example",
        )
        context: Context[Any] = Context(settings, around.registry, around.keys, pool, around.clock)
        app = importlib.import_module(f"services.{self.service}.app")
        ports: dict[str, dict[str, Callable[[object], object]]] = {
            "collector": {"open_store": lambda _url: _MarkedStore(LocalStore(around.store, mkdir=True), self)},
            "notifier": {"MailRenderer": lambda _registry: around.renderer},
        }
        with ExitStack() as patched:
            for name, port in ports.get(self.service, {}).items():
                patched.enter_context(patch.object(app, name, port))
            parts: Parts = app.assemble(context)
        return parts

    def _marked(self, repair: Repair) -> Repair:
        async def marked(connection: Connection, sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
            await self.at(REPAIRING)
            return await repair(connection, sent)

        return marked

    async def _sweep(self) -> None:
        await self._outbox.tidy()
        await self._outbox.sweep()


class _MarkedStore:
    """The object store, as the assembler uses it."""

    def __init__(self, store: LocalStore, process: Process) -> None:
        self._store = store
        self._process = process

    async def put_async(self, key: str, content: bytes, **options: Any) -> None:
        await self._store.put_async(key, content, **options)
        await self._process.at(PUT, BESIDE)


def _worker() -> str:
    """Whose the running task is."""
    task = asyncio.current_task()
    name = task.get_name() if task else ""
    return name if name in {BATCH, SWEEP} else BESIDE


def _futures(*futures: asyncio.Future[Any]) -> Sequence[asyncio.Future[Any]]:
    return futures


def counted(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Mapping[str, Any]) -> asyncio.Task[Any]:
    """A task factory: each process knows its tasks."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)  # type: ignore[arg-type]
    process = _PROCESS.get()
    if process is not None:
        process._tasks.add(task)
    return task
