"""Where the demo is played: on a stack of its own, or on the one in containers.

Both are acted on in the same way; they differ in where mails lie, and in how a system is had to use somebody's data.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from operations.compose.engine import ComposeError
from operations.compose.joined import ComposeStack
from operations.connection import local_variables
from operations.demo.mailbox import Mail, read_mails
from operations.stack import Stack
from systems.use import Use

_PREFIX = "HABEAS_"


@dataclass(frozen=True)
class Stage:
    """A stack of the demo's own, in the folder `stack.root`."""

    stack: Stack | ComposeStack
    is_fresh = True
    """Whether nobody has asked for anything on it."""
    opening = "starting a local stack: Kafka, PostgreSQL, mail, all programs"
    _one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def mails(self) -> Sequence[Mail]:
        """All mails there are, in the order in which they came."""
        return await asyncio.to_thread(read_mails, self.stack.mail)

    async def use(self, system: str, identifier: str) -> Use:
        """Have `system` use somebody's data, as `habeas use` does; here, since a process for each takes a second."""
        async with self._one_by_one:  # a system finds its settings in the environment, of which we have one
            with _settings_of(system, self.stack.root):
                module = await asyncio.to_thread(import_module, f"systems.{system}.use")
                used: Use = await module.use(identifier)
        return used

    def look(self, place: str) -> str:
        """How to get to what is in `place`, relative to the stack's folder: `log/intake.log`."""
        return shortest(self.stack.root / place)


class Containers(Stage):
    """The stack that `docker compose up` runs."""

    stack: ComposeStack
    is_fresh = False
    opening = "joining the stack in containers"

    async def mails(self) -> Sequence[Mail]:
        await self.stack.fetch_mails()
        return await Stage.mails(self)

    async def use(self, system: str, identifier: str) -> Use:
        # A use that a limit forbids ends with exit code 1, and still says why.
        script = 'habeas use "$0" "$1" --json || true'
        said = await self.stack.engine.compose("exec", "-T", system, "sh", "-c", script, system, identifier)
        try:
            return Use(**json.loads(said.splitlines()[0]))
        except (IndexError, ValueError, TypeError):
            raise ComposeError(f"`habeas use {system} …` says nothing in its container.") from None

    def look(self, place: str) -> str:
        folder, _, file = place.partition("/")
        return f"`docker compose logs {file.removesuffix('.log')}`" if folder == "log" and file else super().look(place)


def staged(against: str, root: Path, tell: Callable[[str], None], on_change: Callable[[Any], None]) -> Stage:
    """The stage of that name: `local` or `compose`."""
    if against == "compose":
        return Containers(ComposeStack(root, tell=tell, on_change=on_change))
    return Stage(Stack(root, fresh=True, tell=tell, on_change=on_change))


def shortest(path: Path) -> str:
    """As short as it can be typed from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


@contextmanager
def _settings_of(system: str, root: Path) -> Iterator[None]:
    before = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    try:
        _replace_settings(local_variables(system, root))
        yield
    finally:
        _replace_settings(before)


def _replace_settings(settings: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith(_PREFIX)]:
        del os.environ[name]
    os.environ.update(settings)
