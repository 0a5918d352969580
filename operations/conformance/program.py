"""The participant as a process of ours: started, killed, started again."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from operations.errors import UsageError
from operations.stack.environment import plain_environment
from operations.stack.supervisor import Kind, Process, State
from operations.stack.supervisor import Program as Supervised


class Program:
    """`async with Program("python newsletter.py", environment, log) as program:`; it never outlives the block."""

    def __init__(self, name: str, command: str, environment: Mapping[str, str], log: Path) -> None:
        words = shlex.split(command)
        found = shutil.which(words[0]) if words else None
        if found is None:
            raise UsageError(f"--command: there is no program {words[0] if words else ''!r} on the PATH.")
        self.log = log
        self.deaths = 0
        """How often it ended by itself."""
        self._kills = 0
        self._process = Process(
            Supervised(
                name=name,
                kind=Kind.SYSTEM,
                command=[str(Path(found).absolute()), *words[1:]],
                environment=plain_environment() | dict(environment),
                log=log,
                ready=_always,
                folder=Path.cwd(),
                watched=False,
            ),
            self._changed,
        )

    async def __aenter__(self) -> Self:
        self._process.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._process.stop()

    async def kill(self) -> None:
        """SIGKILL; returns once another process has been started."""
        pid = self._process.pid
        if pid is not None:
            self._kills += 1
            self._process.kill()
        async with asyncio.timeout(60):
            await self._process.wait_until(lambda process: process.pid not in (None, pid))

    def last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return "\n".join(line[:300] for line in lines[-8:])

    def _changed(self, process: Process) -> None:
        if process.state is State.RESTARTING:
            self.deaths = process.restarts - self._kills


async def _always() -> bool:
    return True


def private_log(folder: Path, system: str) -> Path:
    """Where the participant's own output goes."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder / f"conformance-{system}.log"
    log.unlink(missing_ok=True)
    os.close(os.open(log, os.O_CREAT | os.O_WRONLY, 0o600))
    return log
