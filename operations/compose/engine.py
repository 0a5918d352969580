"""Docker Compose, by its own command: what is asked of it here, and its refusals told."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from operations.errors import EnvironmentFaultError, OperationsError
from operations.migrate import REPOSITORY

START = "docker compose up --build --wait"


class NoEngineError(EnvironmentFaultError):
    """There is no `docker`, or no engine answers it."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Docker cannot be used here ({why}). Install Docker Engine with the Compose plugin and start it, "
            "or use the local stack, which needs neither: `habeas up`, `habeas demo`."
        )


class ComposeError(OperationsError):
    """Docker Compose refused."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The Compose project of `folder`; its name and ports are the compose file's own."""

    folder: Path = REPOSITORY

    async def compose(self, *arguments: str) -> str:
        """Run `docker compose …` and return what it prints. Raises NoEngineError, ComposeError."""
        return await self._docker("compose", *arguments)

    async def project(self) -> str:
        """Return the project's name."""
        return str(json.loads(await self.compose("config", "--format", "json"))["name"])

    async def inspect(self, project: str) -> list[dict[str, Any]]:
        """Return what Docker knows of each container of the project, stopped ones included, without those of `run`."""
        ours = ("label=com.docker.compose.project=" + project, "label=com.docker.compose.oneoff=False")
        filters = [part for each in ours for part in ("--filter", each)]
        ids = (await self._docker("container", "ls", "--all", "--quiet", *filters)).split()
        return list(json.loads(await self._docker("container", "inspect", *ids))) if ids else []

    async def act(self, verb: str, *containers: str) -> None:
        """`start`, `stop` or `kill` containers, by id: at once, and without a look at what they depend on."""
        await self._docker("container", verb, *containers)

    async def port(self, service: str, inside: int) -> int:
        """Return the port on the loopback interface where a service's port is published."""
        return int((await self.compose("port", service, str(inside))).strip().rpartition(":")[2])

    @asynccontextmanager
    async def events(self, project: str) -> AsyncIterator[asyncio.StreamReader]:
        """Yield a stream with a line for each thing that happens to a container of the project."""
        arguments = ("events", "--filter", "type=container", "--filter", f"label=com.docker.compose.project={project}")
        process = await self._start(*arguments, "--format", "{{.Action}}")
        try:
            yield cast(asyncio.StreamReader, process.stdout)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()

    async def _docker(self, *arguments: str) -> str:
        process = await self._start(*arguments)
        said, complaint = await process.communicate()
        if process.returncode != 0:
            text = complaint.decode(errors="replace").strip()
            if "daemon" in text or "unknown command" in text or "is not a docker command" in text:
                raise NoEngineError(text.splitlines()[-1])
            shown = " ".join(arguments[:3])
            raise ComposeError(f"`docker {shown}` failed: {text or f'exit code {process.returncode}'}")
        return said.decode()

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                "docker",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self.folder,
                env={**os.environ, "COMPOSE_PROGRESS": "quiet", "COMPOSE_ANSI": "never"},
                start_new_session=True,  # Ctrl-C is for us, who leave things as they are to be left
            )
        except FileNotFoundError:
            raise NoEngineError("there is no `docker` on the PATH") from None
