"""What is measured: the four services as they are shipped, on a local stack that writes through to the disk.

Kafka with SASL and ACLs, PostgreSQL with fsync and synchronous_commit, the benchmark's own systems and mail server.
The services run only while the workflow is measured, so that the yardstick has the machine to itself.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil  # type: ignore[import-untyped]

from habeas.contracts import KeyFile, Keyring
from operations.connection import client_options
from operations.migrate import REPOSITORY
from operations.programs import SERVICES
from operations.stack import Stack
from operations.stack.environment import plain_environment
from operations.stack.health import answers_ready, speaks_smtp
from operations.stack.ports import choose
from operations.stack.supervisor import Kind, Process, Program

SINK, SYSTEMS = "sink", "systems"
MAKERS = (*SERVICES, "kafka", "postgres", SYSTEMS, SINK)
"""Whose CPU time is told."""

EMPTY = "bench_empty"
"""A database with the services' tables in which nothing was ever done."""


@dataclass
class House:
    stack: Stack
    smtp: int
    """The port of the benchmark's mail server."""
    database: str = "habeas"
    """Of the services."""
    processes: dict[str, Process] = field(init=False)
    """Those that run in `open`, and the second ones of services."""

    def __post_init__(self) -> None:
        programs = (_sink(self.stack, self.smtp), _systems(self.stack), *(self._service(name) for name in SERVICES))
        self.processes = {each.name: _kept_running(each) for each in programs}

    def on(self, database: str) -> "House":
        """The same, with the services on another database of the same server. Open one house at a time."""
        return House(self.stack, self.smtp, database)

    def client(self, name: str = "operators") -> dict[str, Any]:
        """aiokafka's options for a principal; the operators' may do everything in a local stack."""
        return client_options(self.stack.env(name))

    def keyring(self, name: str) -> Keyring:
        return KeyFile(Path(self.stack.env(name)["HABEAS_KEYS"])).keyring()

    async def connect(self, database: str | None = None) -> "asyncpg.Connection[asyncpg.Record]":
        """As PostgreSQL's superuser: for what is loaded and looked up, never in what is measured."""
        return await asyncpg.connect(self.stack.superuser_url(database or self.database))

    def process(self, name: str) -> psutil.Process:
        running = self.processes | self.stack.processes
        return psutil.Process(running[name].as_json()["pid"])

    def second(self, service: str) -> Process:
        """Another process of a service, to be started and stopped by the caller; counted like the others."""
        name = f"{service}-2"
        if name not in self.processes:
            port = choose(name, None, None, frozenset(self.stack.ports.values()))
            self.processes[name] = _kept_running(self._service(service, name, {"HABEAS_HTTP_PORT": str(port)}))
        return self.processes[name]

    def http_port(self, name: str) -> int:
        return int(self.processes[name].program.environment["HABEAS_HTTP_PORT"])

    def cpu_seconds(self) -> dict[str, float]:
        """By part of the workflow, as long as it lives; PostgreSQL's with all its servers."""
        return {name: _cpu_seconds(self.process(name)) for name in (*MAKERS, *self._seconds())}

    def memory(self) -> dict[str, float]:
        """Resident megabytes of each service."""
        return {name: self.process(name).memory_info().rss / 1e6 for name in (*SERVICES, *self._seconds())}

    async def written(self) -> dict[str, int]:
        """What was written so far: rows and bytes of write-ahead log by PostgreSQL, bytes of Kafka's logs."""
        database = await self.connect()
        try:
            row = await database.fetchrow(
                """SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal_bytes,
                          (SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables) AS rows"""
            )
        finally:
            await database.close()
        logs = (self.stack.root / "kafka").rglob("dsr.*/*.log")
        kafka = sum(log.stat().st_size for log in logs)
        return {"rows": int(row["rows"]), "wal_bytes": int(row["wal_bytes"]), "kafka_bytes": kafka} if row else {}

    @asynccontextmanager
    async def open(self, *, without: Collection[str] = ()) -> AsyncIterator[None]:
        """The services, the systems and the mail server run in the block, but for those that are named."""
        names = [name for name in (SINK, SYSTEMS, *SERVICES) if name not in without]
        async with AsyncExitStack() as leaving:
            for name in names:
                process = self.processes[name]
                process.start()
                leaving.push_async_callback(process.stop)
            await asyncio.gather(*(self.processes[name].wait_ready() for name in names))
            yield

    def _seconds(self) -> list[str]:
        known = (*SERVICES, SINK, SYSTEMS)
        return [name for name, process in self.processes.items() if process.pid is not None and name not in known]

    def _service(
        self, service: str, name: str | None = None, other: Mapping[str, str] = MappingProxyType({})
    ) -> Program:
        database = urlsplit(self.stack.env(service)["HABEAS_DATABASE_URL"])._replace(path=f"/{self.database}")
        env = self.stack.env(service) | {"HABEAS_DATABASE_URL": urlunsplit(database), **other}
        if service == "notifier":
            env["HABEAS_SMTP_URL"] = f"smtp://127.0.0.1:{self.smtp}"
        return Program(
            name=name or service,
            kind=Kind.SERVICE,
            command=[sys.executable, "-m", "operations.programs", "service", service],
            environment=plain_environment() | env,
            log=self.stack.root / "log" / f"{name or service}.log",
            ready=lambda: answers_ready(int(env["HABEAS_HTTP_PORT"])),
            folder=REPOSITORY,
        )


@asynccontextmanager
async def built(root: Path) -> AsyncIterator[House]:
    """A house whose stack runs in the block and leaves nothing behind."""
    async with Stack(root, programs=(), fresh=True, keep=False) as stack:
        house = House(stack, choose(SINK, None, None, frozenset(stack.ports.values())))
        await copy_database(house, "habeas", EMPTY)
        yield house


async def copy_database(house: House, known: str, new: str) -> None:
    """Nobody may be connected to the `known` one. A `new` one that is there is replaced."""
    server = await house.connect("postgres")
    try:
        await server.execute(f"DROP DATABASE IF EXISTS {new} WITH (FORCE)")
        await server.execute(f"CREATE DATABASE {new} TEMPLATE {known}")
    finally:
        await server.close()


def _sink(stack: Stack, port: int) -> Program:
    return Program(
        name=SINK,
        kind=Kind.MAIL,
        command=[sys.executable, "-m", "bench.sink", "--port", str(port)],
        environment=plain_environment(),
        log=stack.root / "log/sink.log",
        ready=lambda: speaks_smtp(port),
        folder=REPOSITORY,
        watched=False,
    )


def _systems(stack: Stack) -> Program:
    return Program(
        name=SYSTEMS,
        kind=Kind.SYSTEM,
        command=[sys.executable, "-m", "bench.systems", "--stack", str(stack.root)],
        environment=plain_environment(),
        log=stack.root / "log/systems.log",
        ready=_at_once,
        folder=REPOSITORY,
        watched=False,
    )


def _kept_running(program: Program) -> Process:
    return Process(program, lambda _: None)


async def _at_once() -> bool:
    return True


def _cpu_seconds(process: psutil.Process) -> float:
    """With all its descendants, those that have ended as well."""
    total: float = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    ended = process.cpu_times()
    total += ended.children_user + ended.children_system
    return total
