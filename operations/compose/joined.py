"""The stack that `docker compose up` runs, seen from outside with the same eyes as the local one.

`ComposeStack` has what `operations.stack.Stack` has for whoever acts on a stack: environments, ports, processes that
can be killed, stopped and started, a folder with the mails. The stack runs before it, and after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from operations.compose import places
from operations.compose.engine import START, ComposeError, Engine
from operations.compose.mailpit import fetch_mails
from operations.errors import StartError
from operations.programs import SERVICES, SYSTEMS
from operations.stack.environment import write_environments
from operations.stack.folder import write_private
from operations.stack.stack import REGISTRY
from operations.stack.supervisor import State

PROGRAMS = (*SERVICES, places.PROCESSOR, *SYSTEMS)
WATCHED = ("kafka", "postgres", "mail", *PROGRAMS)
CALLED = {"mail": "smtp"}  # the local stack's name for it
PUBLISHED = {
    "kafka": places.KAFKA_HOST_PORT,
    "notifier": places.HTTP_PORT,
    places.PROCESSOR: places.HTTP_PORT,
    "mail": places.MAIL_API_PORT,
}


class Container:
    """One container of the stack, with what `supervisor.Process` tells of a process."""

    def __init__(self, name: str, on_change: Callable[[Container], None]) -> None:
        self.name = name
        self.state = State.STOPPED
        self.pid: int | None = None  # as the machine counts
        self.id = ""  # the container's
        self._on_change = on_change
        self._changed = asyncio.Event()

    @property
    def ready(self) -> bool:
        return self.state is State.READY

    async def wait_until(self, condition: Callable[[Container], bool], timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Wait for a change after which `condition(container)` holds; TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while not condition(self):
                await self._changed.wait()

    def take(self, known: Mapping[str, Any]) -> None:
        """Note what Docker says of the container; nothing when there is none."""
        self.id = known.get("Id", "")
        state = known.get("State", {})
        self._set(state_of(state), state.get("Pid") or None)

    def down(self) -> None:
        """Note that it was ended and Docker has not told yet."""
        self._set(State.NOT_READY, self.pid)

    def _set(self, state: State, pid: int | None) -> None:
        if (state, pid) == (self.state, self.pid):
            return
        self.state, self.pid = state, pid
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._on_change(self)


def state_of(known: Mapping[str, Any]) -> State:
    """Return the state that Docker's `State` of a container amounts to."""
    match known.get("Status"), (known.get("Health") or {}).get("Status"):
        case "running", "healthy" | None:
            return State.READY
        case "running", "unhealthy":
            return State.NOT_READY
        case "running", _:
            return State.STARTING
        case "restarting", _:
            return State.RESTARTING
    return State.STOPPED


class ComposeStack:
    """The running Compose project, for use with `async with`. What it stopped is started again at the end.

    `root` gets `env/<name>` and `keys/<name>.json` of portals and operators, and `mail/`.
    """

    def __init__(
        self,
        root: Path = Path(".habeas/compose"),
        engine: Engine | None = None,
        *,
        tell: Callable[[str], None] = lambda _: None,
        on_change: Callable[[Container], None] = lambda _: None,
    ) -> None:
        self.root = root.absolute()
        self.engine = engine or Engine()
        self.programs = PROGRAMS
        self.processes = {CALLED.get(name, name): Container(CALLED.get(name, name), on_change) for name in WATCHED}
        self.environments: dict[str, dict[str, str]] = {}
        self.ports: dict[str, int] = {}
        self._tell = tell
        self._stopped: set[str] = set()
        self._project = ""
        self._exits = contextlib.AsyncExitStack()
        self._ending: set[asyncio.Task[None]] = set()

    # What others need

    def env(self, name: str) -> dict[str, str]:
        """Return the `HABEAS_*` variables of a portal or of `operators`, or the processor's key."""
        return dict(self.environments[name])

    @property
    def mail(self) -> Path:
        """The folder where `fetch_mails` puts each mail as an `.eml` file."""
        return self.root / "mail"

    async def fetch_mails(self) -> int:
        """Bring `mail` up to date; return how many mails are new. Raises MailpitError."""
        return await fetch_mails(f"http://127.0.0.1:{self.ports['mail']}", self.mail)

    def kill(self, name: str) -> None:
        """End a program with SIGKILL, as a crash would; it is started again.

        Docker itself restarts what died of itself, but not what was killed by hand.
        """
        self.processes[name].down()
        task = asyncio.get_running_loop().create_task(self._kill(name), name=f"kill {name}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def stop(self, *names: str) -> None:
        """Stop these and leave them stopped."""
        self._stopped |= {*names}
        await self._act("stop", *names)

    async def start(self, *names: str, timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Start these (again) and wait until they are ready. Raises StartError."""
        await self._act("start", *names)
        self._stopped -= {*names}
        await self.wait_ready(*names, timeout=timeout)

    async def wait_ready(self, *names: str, timeout: float = 60.0, attempts: int = 3) -> None:  # noqa: ASYNC109, ARG002
        """Wait until these are ready (default: all). Raises StartError. Docker counts attempts itself."""
        for name in names or self.processes:
            try:
                await self.processes[name].wait_until(lambda container: container.ready, timeout)
            except TimeoutError:
                raise StartError(name, f"`docker compose logs {name}`", f"not ready after {timeout:g} s") from None

    # In and out

    async def __aenter__(self) -> Self:
        try:
            await self._join()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)
        try:
            if self._stopped:
                await self._act("start", *self._stopped)
        finally:
            await self._exits.aclose()

    async def _join(self) -> None:
        self._project = await self.engine.project()
        await self._look()
        missing = [name for name, container in self.processes.items() if container.state is State.STOPPED]
        if missing:
            raise ComposeError(f"Not running in containers: {', '.join(missing)}. Start all of it with `{START}`.")
        self.ports = {name: await self.engine.port(name, inside) for name, inside in PUBLISHED.items()}
        self.environments = await take_secrets(self.engine, self.root)
        lines = await self._exits.enter_async_context(self.engine.events(self._project))
        following = asyncio.create_task(self._follow(lines), name="follow containers")
        self._exits.push_async_callback(_ended, following)
        await self._look()  # what changed before the stream was open
        self._tell(f"joined the containers of {self._project}")
        await self.wait_ready()

    async def _follow(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            if not line.startswith(b"exec_"):  # a health check begins and ends
                await self._look()

    async def _look(self) -> None:
        known = {
            each["Config"]["Labels"]["com.docker.compose.service"]: each
            for each in await self.engine.inspect(self._project)
        }
        for name in WATCHED:
            self.processes[CALLED.get(name, name)].take(known.get(name, {}))

    async def _kill(self, name: str) -> None:
        await self._act("kill", name)
        await self._act("start", name)

    async def _act(self, verb: str, *names: str) -> None:
        await self.engine.act(verb, *(self.processes[name].id for name in names))
        await self._look()


async def take_secrets(engine: Engine, root: Path) -> dict[str, dict[str, str]]:
    """Write what the containers' generator hands out under `root`, and return the environments by name.

    Whoever may talk to the engine may read every volume: this gives nobody what they could not take. Raises
    ComposeError when nothing was generated yet.
    """
    said = await engine.compose("run", "--rm", "--no-deps", "--no-TTY", "secrets", "hand-out")
    handed: dict[str, Any] = json.loads(said)
    keys = root / "keys"
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    found: dict[str, dict[str, str]] = {}
    for name, given in handed.items():
        found[name] = dict(given["env"])
        if given["keys"]:
            write_private(keys / f"{name}.json", json.dumps(given["keys"], indent=1) + "\n")
            found[name] |= {"HABEAS_KEYS": str(keys / f"{name}.json"), "HABEAS_REGISTRY": str(REGISTRY)}
    write_environments(root / "env", found)
    return found


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
