"""What the clock has done without any message coming: each timer of the services, one turn after the other."""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psutil  # type: ignore[import-untyped]

from bench.house import House
from bench.offline import WithoutKafka
from habeas.contracts import KeyFile
from operations.programs import SERVICES
from services.collector.handlers import Handlers as Collecting
from services.fanout.handlers import Handlers as FanningOut
from services.intake.later import Later
from services.notifier import store as notices
from shared.clock import system_clock
from shared.database import Pool, create_pool
from shared.messaging.consumer import Consumer
from shared.registry import load_registry

_TURNS: Final = 200
"""Of each timer: enough for the clock by which a process's CPU time is counted, in hundredths of a second."""

Timer = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Turn:
    name: str
    milliseconds: float
    """The median, from its first statement to its last."""
    cpu_us: float
    """The mean, of the service and its PostgreSQL backend."""


async def turns_of(house: House, turns: int = _TURNS) -> list[Turn]:
    """The services must not run."""
    found = []
    for service in SERVICES:
        async with _pool(house, service) as pool:
            backend = psutil.Process(await pool.fetchval("SELECT pg_backend_pid()"))
            for name, timer in (await _timers(house, service, pool)).items():
                found.append(await _measured(f"{service}: {name}", timer, turns, backend))
    return found


async def _measured(name: str, timer: Timer, turns: int, backend: psutil.Process) -> Turn:
    await timer()
    taken = []
    before, ours = _cpu(backend), time.process_time()
    for _ in range(turns):
        began = time.perf_counter()
        await timer()
        taken.append(time.perf_counter() - began)
    spent = _cpu(backend) - before + time.process_time() - ours
    return Turn(name, statistics.median(taken) * 1e3, spent / turns * 1e6)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def _pool(house: House, service: str) -> AsyncIterator[Pool]:
    url = house.processes[service].program.environment["HABEAS_DATABASE_URL"]
    pool = await create_pool(url, schema=service, size=1)
    try:
        yield pool
    finally:
        await pool.close()


async def _timers(house: House, service: str, pool: Pool) -> dict[str, Timer]:
    env = house.stack.env(service)
    outbox = WithoutKafka(pool)  # what a timer says is about requests that nobody made
    consumer = Consumer(service, (), pool, outbox, KeyFile(Path(env["HABEAS_KEYS"])), system_clock)
    return {
        "sweep the outbox": outbox.sweep,
        "count what is stale in it": outbox.stale,
        **_own(service, Path(env["HABEAS_REGISTRY"]), pool, consumer),
    }


def _own(service: str, registry_file: Path, pool: Pool, consumer: Consumer) -> dict[str, Timer]:
    registry = load_registry(registry_file)
    match service:
        case "intake":
            return {"tidy early messages": lambda: consumer.transact(Later(registry).tidy)}
        case "fanout":
            return {"miss predecessors": lambda: consumer.transact(FanningOut(registry).miss_predecessors)}
        case "collector":
            collecting = Collecting(registry, system_clock, lambda: None)
            return {"expire orphans": lambda: consumer.transact(collecting.expire_orphans)}
        case "notifier":
            return {
                "claim mails": lambda: _claim(pool),
                "look for leases of the dead": lambda: _on(pool, notices.absent),
                "look for lost leases": lambda: _on(
                    pool, lambda connection: notices.end_lost_leases(connection, 1, (), timedelta(seconds=50))
                ),
            }
    raise ValueError(f"no timers are known of {service}")


async def _claim(pool: Pool) -> None:
    lease = notices.Lease(uuid4(), timedelta(seconds=60), 1)
    await _on(pool, lambda connection: notices.claim(connection, 100, system_clock(), lease))


async def _on(pool: Pool, look: Callable[[Any], Awaitable[object]]) -> None:
    async with pool.acquire() as connection:
        await look(connection)
