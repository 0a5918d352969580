"""The stack of a run: the four services, twice each, real Kafka and PostgreSQL, our own mail server; and hands."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
from chaos_mail import MailServer
from chaos_systems import Foreseen

from operations.programs import SERVICES
from operations.stack import Stack, supervisor
from operations.stack.environment import CLOCK
from operations.stack.folder import write_private
from operations.stack.health import answers_ready
from operations.stack.ports import choose
from operations.stack.supervisor import Process, State
from shared.clock import read_offset

DOMAIN = "chaos.example"
KILLED = "killed"
STOPPED = "stopped"
SESSIONS_ENDED = "sessions ended"
CONNECTIONS_CUT = "connections cut"
REFUSING = "refusing"
_LONGEST_PAUSE = 1.0
"""Seconds until a killed process is started again: it fell to us and not over its own feet, so nobody has to wait."""


class ChaosStack(Stack):
    """A stack whose services are started by hand, as many of each as wanted, with a mail server that is not its own."""

    async def run_services(self, smtp_url: str, replicas: int) -> None:
        """Returns when all are ready. The second `collector` is called `collector-2`."""
        self.environments["notifier"]["HABEAS_SMTP_URL"] = smtp_url
        names = []
        for service in SERVICES:
            program = self._program(service)
            for number in range(1, replicas + 1):
                name = service if number == 1 else f"{service}-{number}"
                port = self.ports[service] if number == 1 else choose(name, taken=frozenset(self.ports.values()))
                self.ports[name] = port
                environment = {**program.environment, "HABEAS_HTTP_PORT": str(port)}
                self._add(
                    replace(
                        program,
                        name=name,
                        environment=environment,
                        log=self._log(name),
                        ready=lambda port=port: answers_ready(port),  # type: ignore[misc]
                        port=port,
                    )
                )
                names.append(name)
        await self.start(*names, timeout=120)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that was done to a part, between two instants (seconds, monotonic)."""

    began: float
    ended: float
    what: str
    whom: str


@dataclass
class Stage:
    """What faults have in their hands. Everything they do is noted, since some of it excuses a repeated mail."""

    stack: ChaosStack
    mail: MailServer
    tell: Callable[[str], None] = lambda _: None
    happened: list[Happening] = field(default_factory=list)
    foreseen: Foreseen = field(default_factory=Foreseen)
    complaints: list[str] = field(default_factory=list)
    """What faults saw that must not be."""

    def complain(self, what: str) -> None:
        self.complaints.append(what)

    @property
    def replicas(self) -> tuple[str, ...]:
        return tuple(name for name in self.stack.processes if name.partition("-")[0] in SERVICES)

    def process(self, name: str) -> Process:
        return self.stack.processes[name]

    def note(self, what: str, whom: str, began: float | None = None) -> None:
        now = time.monotonic()
        self.happened.append(Happening(began or now, now, what, whom))

    @contextmanager
    def noted(self, what: str, whom: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.note(what, whom, began)

    def kill(self, name: str) -> None:
        """SIGKILL; the supervisor starts another one."""
        self.process(name).kill()
        self.note(KILLED, name)

    async def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP for so long, and then SIGCONT to the same process."""
        pid = self.process(name).pid
        with self.noted(STOPPED, name):
            self.process(name).signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                if self.process(name).pid == pid:
                    self.process(name).signal(signal.SIGCONT)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """As PostgreSQL's superuser; waits as long as the server is away."""
        while True:
            try:
                connection = await asyncpg.connect(self.stack.superuser_url(), timeout=5)
                break
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await asyncio.sleep(0.2)
        try:
            yield connection
        finally:
            connection.terminate()

    @property
    def store(self) -> Path:
        return self.stack.root / "store"

    def advance_clock(self, by: timedelta) -> None:
        """As `habeas clock advance` does."""
        file = self.stack.root / CLOCK
        write_private(file, f"{int((read_offset(file) + by).total_seconds())}\n")

    async def all_ready(self, patience: float) -> None:
        """Raises TimeoutError, naming who is not."""
        try:
            async with asyncio.timeout(patience):
                while self.not_ready():  # noqa: ASYNC110 - there are several to wait for, and they may fall back
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise TimeoutError(f"not ready after {patience:g} s: {', '.join(self.not_ready())}") from None

    def not_ready(self) -> list[str]:
        return [name for name, process in self.stack.processes.items() if process.state is not State.READY]


@asynccontextmanager
async def staged(
    root: Path, seed: int, *, replicas: int, durable: bool, keep: bool, tell: Callable[[str], None], **options: Any
) -> AsyncIterator[Stage]:
    """A fresh stack in `root`, for as long as the context lasts."""
    pause = supervisor.LONGEST_PAUSE
    supervisor.LONGEST_PAUSE = _LONGEST_PAUSE
    try:
        async with ChaosStack(root, (), fresh=True, keep=keep, durable=durable, **options) as stack:
            mail = MailServer(
                choose("chaos-mail", taken=frozenset(stack.ports.values())), DOMAIN, Random(f"{seed}/mail")
            )
            await mail.open()
            try:
                await stack.run_services(mail.url, replicas)
                yield Stage(stack, mail, tell)
            finally:
                await stack.stop(*(name for name in stack.processes if name.partition("-")[0] in SERVICES))
                await mail.close(abruptly=True)
    finally:
        supervisor.LONGEST_PAUSE = pause
