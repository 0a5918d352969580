"""What is measured: the four services as they are shipped, on a local stack that writes through to the disk.

Kafka with SASL and ACLs, PostgreSQL with fsync and synchronous_commit, the benchmark's own systems and mail server.
The services run only while the workflow is measured, so that the yardstick has the machine to itself.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass
class House:
    stack: Stack
    processes: dict[str, Process]

    def client(self, name: str = "operators") -> dict[str, Any]:
        """aiokafka's options for a principal; the operators' may do everything in a local stack."""
        return client_options(self.stack.env(name))

    def keyring(self, name: str) -> Keyring:
        return KeyFile(Path(self.stack.env(name)["HABEAS_KEYS"])).keyring()

    async def database(self) -> "asyncpg.Connection[asyncpg.Record]":
        """As PostgreSQL's superuser: for what is loaded and looked up, never in what is measured."""
        return await asyncpg.connect(self.stack.superuser_url())

    def process(self, name: str) -> psutil.Process:
        running = self.processes | self.stack.processes
        return psutil.Process(running[name].as_json()["pid"])

    def cpu_seconds(self) -> dict[str, float]:
        """By part of the workflow, as long as it lives; PostgreSQL's with all its servers."""
        return {name: _cpu_seconds(self.process(name)) for name in MAKERS}

    def memory(self) -> dict[str, float]:
        """Resident megabytes of each service."""
        return {name: self.process(name).memory_info().rss / 1e6 for name in SERVICES}

    async def written(self) -> dict[str, int]:
        """What was written so far: rows and bytes of write-ahead log by PostgreSQL, bytes of Kafka's logs."""
        database = await self.database()
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
    async def open(self) -> AsyncIterator[None]:
        """The services, the systems and the mail server run in the block."""
        async with AsyncExitStack() as leaving:
            for name in (SINK, SYSTEMS, *SERVICES):
                process = self.processes[name]
                process.start()
                leaving.push_async_callback(process.stop)
            await asyncio.gather(*(process.wait_ready() for process in self.processes.values()))
            yield


@asynccontextmanager
async def built(root: Path) -> AsyncIterator[House]:
    """A house whose stack runs in the block and leaves nothing behind."""
    async with Stack(root, programs=(), fresh=True, keep=False) as stack:
        port = choose(SINK, None, None, frozenset(stack.ports.values()))
        log = stack.root / "log"
        programs = [
            Program(
                name=SINK,
                kind=Kind.MAIL,
                command=[sys.executable, "-m", "bench.sink", "--port", str(port)],
                environment=plain_environment(),
                log=log / "sink.log",
                ready=lambda: speaks_smtp(port),
                folder=REPOSITORY,
                watched=False,
            ),
            Program(
                name=SYSTEMS,
                kind=Kind.SYSTEM,
                command=[sys.executable, "-m", "bench.systems", "--stack", str(root)],
                environment=plain_environment(),
                log=log / "systems.log",
                ready=_at_once,
                folder=REPOSITORY,
                watched=False,
            ),
            *(_service(stack, name, port) for name in SERVICES),
        ]
        yield House(stack, {each.name: Process(each, lambda _: None) for each in programs})


def _service(stack: Stack, name: str, smtp: int) -> Program:
    env = stack.env(name)
    if name == "notifier":
        env["HABEAS_SMTP_URL"] = f"smtp://127.0.0.1:{smtp}"
    return Program(
        name=name,
        kind=Kind.SERVICE,
        command=[sys.executable, "-m", "operations.programs", "service", name],
        environment=plain_environment() | env,
        log=stack.root / "log" / f"{name}.log",
        ready=lambda: answers_ready(int(env["HABEAS_HTTP_PORT"])),
        folder=REPOSITORY,
    )


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
