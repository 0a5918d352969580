"""What handling costs: microseconds of CPU a request, of each service and of PostgreSQL for it, without Kafka.

    python -m bench.handling [--requests 1500] [--right erasure] [--notify-by portal] [--profile collector]

Batches of records as Kafka hands them over, decoded, handled, committed to the outbox: everything but Kafka's client.
All systems answer together; with `--notify-by habeas` mails are taken as sent (`python -m bench.mail` measures those).
It starts a stack of its own, or takes the server of a running one's superuser: `--database postgresql://…`.
"""

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import orjson
import psutil  # type: ignore[import-untyped]

from bench.house import built
from bench.load import Kind
from bench.offline import WithoutKafka
from bench.workflow import ASSEMBLING, STORE, Service, Workflow
from habeas.contracts import KeyFile
from habeas.contracts.sealing import new_key
from habeas.contracts.vocabulary import NotifyBy, Right
from operations.migrate import migrate
from services.collector.app import CollectorSettings
from services.collector.app import assemble as collector
from services.fanout.app import assemble as fanout
from services.intake.app import assemble as intake
from shared.clock import system_clock
from shared.database import Pool, create_pool
from shared.events import OPERATORS, SERVICES
from shared.loop import run_loop
from shared.messaging.consumer import Consumer
from shared.messaging.service import Context, Parts
from shared.registry import Registry, load_registry
from shared.telemetry import configure_logging

_REGISTRY: Final = Path(__file__).parents[1] / "registry" / "ale.toml"
_DATABASE: Final = "bench_handling"
_WARM_UP: Final = 300

_ASSEMBLE: Final[Mapping[str, Callable[[Context[Any]], Parts]]] = {
    "intake": intake,
    "fanout": fanout,
    "collector": collector,
}


@asynccontextmanager
async def _database(server: str) -> AsyncIterator[str]:
    """The URL of an empty database with the services' tables, which is gone afterwards."""
    url = urlunsplit(urlsplit(server)._replace(path=f"/{_DATABASE}"))
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {_DATABASE} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {_DATABASE}")
        await migrate(url)
        yield url
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {_DATABASE} WITH (FORCE)")
        await connection.close()


def _new_keys(folder: Path, registry: Registry) -> KeyFile:
    path = folder / "keys.json"
    names = (*registry.participants, SERVICES, OPERATORS)
    path.write_bytes(orjson.dumps({"keys": [new_key(name) for name in names]}))
    return KeyFile(path)


async def _service(name: str, pool: Pool, registry: Registry, keys: KeyFile) -> Service:
    context = Context(CollectorSettings.model_construct(store_url=STORE), registry, keys, pool, system_clock)
    parts = _ASSEMBLE[name](context)
    outbox = WithoutKafka(pool, parts.repair)
    consumer = Consumer(name, parts.routes, pool, outbox, keys, system_clock, parts.settle, parts.on_refused)
    return Service(name, consumer, outbox)


async def _backends(database: str) -> dict[str, float]:
    """Seconds of CPU that PostgreSQL has spent on each service's connections."""
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(
            "SELECT pid, application_name FROM pg_stat_activity "
            "WHERE datname = $1 AND application_name LIKE 'habeas-%'",
            _DATABASE,
        )
    finally:
        await connection.close()
    spent = dict.fromkeys(_ASSEMBLE, 0.0)
    for row in rows:
        times = psutil.Process(row["pid"]).cpu_times()
        spent[row["application_name"].removeprefix("habeas-")] += times.user + times.system
    return spent


async def _measure(server: str, kind: Kind, requests: int, rounds: int, profiled: str | None) -> None:
    registry = load_registry(_REGISTRY)
    async with AsyncExitStack() as stack:
        keys = _new_keys(Path(stack.enter_context(tempfile.TemporaryDirectory())), registry)
        database = await stack.enter_async_context(_database(server))
        services = {}
        for name in _ASSEMBLE:
            pool = await create_pool(database, schema=name)
            stack.push_async_callback(pool.close)
            services[name] = await _service(name, pool, registry, keys)
        workflow = Workflow(services, keys, registry, profiled)
        await workflow.carry(kind, min(_WARM_UP, requests))
        ours: dict[str, list[float]] = {name: [] for name in workflow.cpu}
        theirs: dict[str, list[float]] = {name: [] for name in services}
        if profiled is not None:
            workflow.profile = cProfile.Profile(time.process_time)
        for service in services.values():
            service.batches = service.said = service.bytes_said = 0
        for _ in range(rounds):
            workflow.cpu = dict.fromkeys(workflow.cpu, 0.0)
            before = await _backends(database)
            await workflow.carry(kind, requests)
            after = await _backends(database)
            for name, seconds in workflow.cpu.items():
                ours[name].append(seconds / requests * 1e6)
            for name in services:
                theirs[name].append((after[name] - before[name]) / requests * 1e6)
        _show(services, ours, theirs, requests * rounds)
        if workflow.profile is not None:
            pstats.Stats(workflow.profile).sort_stats("tottime").print_stats(45).sort_stats("cumtime").print_stats(60)


def _show(
    services: Mapping[str, Service],
    ours: Mapping[str, Sequence[float]],
    theirs: Mapping[str, Sequence[float]],
    requests: int,
) -> None:
    print(f"{'µs of CPU a request':22}{'service':>10}{'PostgreSQL':>12}{'messages':>10}{'bytes':>10}{'a batch':>10}")
    for name, spent in ours.items():
        if not any(spent):
            continue
        line = f"{name:22}{statistics.median(spent):10,.0f}"
        if name in services:
            service = services[name]
            line += f"{statistics.median(theirs[name]):12,.0f}{service.said / requests:10.1f}"
            line += f"{service.bytes_said / requests:10,.0f}{requests / service.batches:10,.0f}"
        print(line)
    whole = sum(statistics.median(spent) for spent in ours.values())
    print(f"{'in all':22}{whole:10,.0f}{sum(statistics.median(spent) for spent in theirs.values()):12,.0f}")


async def _main(given: argparse.Namespace) -> None:
    kind = Kind("handling", Right(given.right), NotifyBy(given.notify_by))
    if given.database:
        await _measure(given.database, kind, given.requests, given.rounds, given.profile)
        return
    with tempfile.TemporaryDirectory(prefix="habeas-bench-", ignore_cleanup_errors=True) as folder:
        async with built(Path(folder) / "stack") as house:
            await _measure(house.stack.superuser_url(), kind, given.requests, given.rounds, given.profile)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1500, help="in a round (1500)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    parser.add_argument("--right", choices=(Right.ERASURE.value, Right.ACCESS.value), default=Right.ERASURE.value)
    parser.add_argument("--notify-by", choices=[each.value for each in NotifyBy], default=NotifyBy.PORTAL.value)
    parser.add_argument("--profile", choices=(*_ASSEMBLE, ASSEMBLING), help="print where its time goes")
    parser.add_argument("--database", help="URL of a superuser on a server with the services' roles")
    configure_logging("bench", level=40)
    run_loop(_main(parser.parse_args()))
