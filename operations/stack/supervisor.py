"""Children that are kept running, and that never outlive their supervisor.

Each child has a session of its own, so Ctrl-C reaches the supervisor alone, which stops them in order. A child that
dies is started again after a growing pause; services rely on it ("stop and be restarted").
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from operations.errors import StartError

WRAPPER = Path(__file__).with_name("child.py")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds between a crash and the next start, doubling
STEADY_AFTER = 30.0  # seconds of life after which a crash counts as the first again
LOG_LIMIT = 10_000_000  # bytes; a longer log is set aside at the next start


class Kind(enum.StrEnum):
    SYSTEM = enum.auto()
    SERVICE = enum.auto()
    MAIL = enum.auto()
    STORE = enum.auto()


STOP_ORDER = (Kind.SYSTEM, Kind.SERVICE, Kind.MAIL, Kind.STORE)


class State(enum.StrEnum):
    STOPPED = enum.auto()
    STARTING = enum.auto()
    READY = enum.auto()
    NOT_READY = "not ready"
    RESTARTING = enum.auto()


@dataclass(frozen=True, slots=True)
class User:
    """The unprivileged user a program runs as when we are root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    kind: Kind
    command: Sequence[str]
    log: Path
    ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)
    folder: Path = Path("/")
    port: int | None = None
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 25.0  # seconds between the stop signal and SIGKILL: more than a service takes for its last batch
    watched: bool = True  # ask for readiness as long as it runs, not only until it first is
    started: Callable[[], Awaitable[bool]] | None = None  # asked too until it first is: not ready, but only people help


class Process:
    """One program and the process that runs it now, if any."""

    def __init__(self, program: Program, on_change: Callable[[Process], None]) -> None:
        self.program = program
        self.state = State.STOPPED
        self.pid: int | None = None
        self.created: float | None = None  # psutil's start time: tells this process from a later one with the same pid
        self.started_at: datetime | None = None
        self.restarts = 0
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def ready(self) -> bool:
        return self.state is State.READY

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.program.kind,
            "pid": self.pid,
            "created": self.created,
            "port": self.program.port,
            "state": self.state,
            "started_at": self.started_at and self.started_at.isoformat(),
            "restarts": self.restarts,
        }

    def start(self) -> None:
        """Start and from now on keep running. Returns at once; see `wait_ready`."""
        if self._task is None or self._task.done():
            self._stopping.clear()
            self.restarts = 0
            self.state = State.STARTING
            self._task = asyncio.get_running_loop().create_task(self._keep_running(), name=f"supervise {self.name}")

    async def stop(self) -> None:
        """Stop with grace, then with SIGKILL, and stay stopped."""
        task = self._task
        if task is None:
            return
        self._stopping.set()
        self.signal(self.program.stop_signal)
        done, _ = await asyncio.wait({task}, timeout=self.program.grace)
        if not done:
            self.signal(signal.SIGKILL)
        await task
        self._task = None

    def signal(self, number: signal.Signals) -> None:
        """Send `number` to the process and all it started, if it runs."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """End the process as a crash would. It is not ready from now on, and another one is started."""
        self.signal(signal.SIGKILL)
        if self.pid is not None:
            self._set(State.NOT_READY)

    async def wait_until(self, condition: Callable[[Process], bool], timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Wait for a change after which `condition(process)` holds; TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while not condition(self):
                await self._changed.wait()

    async def wait_ready(self, timeout: float = 60.0, attempts: int = 3) -> None:  # noqa: ASYNC109
        """Wait until it is ready.

        Raises StartError after `timeout` seconds, or when it has ended `attempts` times since it was started.
        """
        before = self.restarts
        try:
            await self.wait_until(
                lambda process: (
                    process.ready or process.restarts - before >= attempts or process.state is State.STOPPED
                ),
                timeout,
            )
        except TimeoutError:
            raise self._failure(f"not ready after {timeout:g} s") from None
        if not self.ready:
            raise self._failure("it ended")

    def _failure(self, why: str) -> StartError:
        try:
            lines = self.program.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return StartError(self.name, str(self.program.log), why, "\n".join(line[:300] for line in lines[-8:]))

    async def _keep_running(self) -> None:
        pause = FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            began = clock()
            await self._run_once()
            if clock() - began > STEADY_AFTER:
                pause = FIRST_PAUSE
            if not self._stopping.is_set():
                self.restarts += 1
                self._set(State.RESTARTING)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        self._set(State.STOPPED)

    async def _run_once(self) -> None:
        program = self.program
        user = f"{program.user.uid}:{program.user.gid}" if program.user else "-"
        _set_aside(program.log)
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(WRAPPER), str(os.getpid()), user, "--", *program.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(program.environment),
                cwd=program.folder,
                start_new_session=True,
            )
        self.pid, self.started_at = process.pid, datetime.now(UTC)
        with contextlib.suppress(psutil.NoSuchProcess):
            self.created = psutil.Process(process.pid).create_time()
        self._set(State.STARTING)
        if self._stopping.is_set():  # asked to stop while it was being started
            self.signal(program.stop_signal)
        watch = asyncio.get_running_loop().create_task(self._watch(), name=f"watch {self.name}")
        try:
            await process.wait()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            self.pid = self.created = None

    async def _watch(self) -> None:
        """Ask for readiness: often until it is, then once a second."""
        started = self.program.started
        while True:
            ready = await self.program.ready() or (started is not None and await started())
            if ready:
                started = None
                self._set(State.READY)
                if not self.program.watched:
                    return
            elif self.state is State.READY:
                self._set(State.NOT_READY)
            await asyncio.sleep(1.0 if ready else 0.1)

    def _set(self, state: State) -> None:
        if state is self.state and state is not State.STARTING:  # a start has a new pid to tell
            return
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._on_change(self)


def _set_aside(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))


def clear_leftovers(processes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Kill what a supervisor that died left running (nothing, on Linux). Takes the `processes` of its state file.

    A pid alone is no proof, since pids are given again: only a process with the recorded start time is ours.
    """
    cleared: list[psutil.Process] = []
    for known in processes:
        if not known.get("pid"):
            continue
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(known["pid"])
            if abs(process.create_time() - known["created"]) < 2 and process.status() != psutil.STATUS_ZOMBIE:
                for each in (process, *process.children(recursive=True)):
                    each.kill()
                    cleared.append(each)
    psutil.wait_procs(cleared, timeout=10)
    return [str(known["name"]) for known in processes if known.get("pid") in {each.pid for each in cleared}]
