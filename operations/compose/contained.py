"""The local stack with Kafka and PostgreSQL from containers: for tests on a machine where a Docker engine answers.

Services and systems are processes of this machine as ever, and mail goes to the same SMTP sink. Needs the package
`testcontainers`, which tests alone have. The engine must be this machine's: ports are those of its loopback interface.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from testcontainers.core.container import DockerContainer  # type: ignore[import-not-found,import-untyped,unused-ignore]

from operations.compose import broker
from operations.compose.engine import NoEngineError
from operations.errors import StartError
from operations.migrate import REPOSITORY, migrate
from operations.stack import postgres as pg
from operations.stack.environment import environments, write_environments
from operations.stack.folder import check_disk, read_json
from operations.stack.kafka import LOG4J, KafkaNode, admin_client
from operations.stack.ports import HOST
from operations.stack.stack import Stack
from operations.stack.supervisor import STOP_ORDER, clear_leftovers
from operations.topology import OPERATORS, apply, desired

FOLDER = Path("/tmp")  # noqa: S108 - of a container that has one process
STARTUP = 90.0  # seconds, without the pull of an image
IMAGE = re.compile(r"image: (?:&\w+ )?(\S+?)\$\{HABEAS_(\w+)_DIGEST:-\}")
INITDB = "--auth-host=scram-sha-256 --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C"
OWN = ("listen_addresses=", "port=", "unix_socket_directories=")  # settings that a container has its own for


def images(compose_file: Path = REPOSITORY / "docker-compose.yml") -> dict[str, str]:
    """Return the images that the compose file pins, by `kafka`, `postgres`, `mailpit`: tests take the same."""
    return {name.lower(): image for image, name in IMAGE.findall(compose_file.read_text())}


def server_settings(server: pg.Postgres) -> list[str]:
    """Return the local PostgreSQL's options that hold in a container as well: `-c`, `name=value`, …"""
    options = server.program(Path(), {}).command
    values = [value for flag, value in pairwise(options) if flag == "-c"]
    return [part for value in values if not value.startswith(OWN) for part in ("-c", value)]


class ContainedStack(Stack):
    """A `Stack` in every respect, except that Kafka and PostgreSQL are containers that go with it.

    Their data go with them too: it is always started afresh.
    """

    _containers: Sequence[Any] = ()

    async def _up(self) -> None:
        clear_leftovers(read_json(self.root / "state.json").get("processes", []))
        self._remove()
        check_disk(self.root, self._needed)
        known = self._surroundings()
        self._postgres = known.postgres
        self.environments = environments(known)
        write_environments(self.root / "env", self.environments)
        for folder in ("log", "mail", "store", "data"):
            (self.root / folder).mkdir(exist_ok=True, mode=0o700)
        node = self._kafka_node(known)
        await self._run(self._smtp())
        kafka, postgres = self._kafka_container(node), self._postgres_container()
        for container in (kafka, postgres):
            self._containers = (*self._containers, container)
            await asyncio.to_thread(_start, container)
        await _until("kafka", kafka, node.program("java", self._log("kafka"), {}).ready)
        await _until("postgres", postgres, known.postgres.program(self._log("postgres"), {}).ready)
        topology = desired(known.portals, known.systems, self._partitions)
        await asyncio.to_thread(apply, admin_client(self.env(OPERATORS)), topology, known.passwords)
        await known.postgres.create_roles()
        await migrate(known.postgres.url(OPERATORS))
        for name in self.programs:
            self._add(self._program(name))
        await self.start(*self.programs) if self.programs else None

    async def down(self) -> None:
        """Stop everything: the processes in their order, then the containers."""
        for kind in STOP_ORDER:
            await asyncio.gather(*(each.stop() for each in self.processes.values() if each.program.kind is kind))
        for container in self._containers:
            await asyncio.to_thread(container.stop)
        self._containers = ()
        await super().down()

    def _kafka_container(self, node: KafkaNode) -> Any:
        listeners = (broker.Listener("CLIENT", node.port, f"{HOST}:{node.port}"),)
        configuration = FOLDER / "server.properties"
        files = {
            configuration: broker.properties(node, Path("/var/lib/kafka/data/log"), listeners),
            FOLDER / "format.arguments": broker.format_arguments(
                self._secrets["cluster"], configuration, node.passwords
            ),
            FOLDER / "log4j2.properties": LOG4J,
        }
        format_log = broker.command(FOLDER, "kafka.tools.StorageTool", f"@{FOLDER / 'format.arguments'}")
        serve = broker.command(FOLDER, "kafka.Kafka", str(configuration))
        container: Any = DockerContainer(images()["kafka"])
        container.with_kwargs(entrypoint=["bash", "-c", _joined(format_log, serve)])
        for path, text in files.items():
            container.with_copy_into_container(text.encode(), str(path), 0o644)
        container.ports = {f"{node.port}/tcp": (HOST, node.port)}
        return container

    def _postgres_container(self) -> Any:
        server = self._postgres
        container: Any = DockerContainer(images()["postgres"])
        container.with_envs(POSTGRES_PASSWORD=server.passwords[pg.SUPERUSER], POSTGRES_INITDB_ARGS=INITDB)
        container.with_command(["postgres", *server_settings(server)])
        container.with_kwargs(user="999:999")  # the image's own; it would begin as root otherwise
        container.ports = {"5432/tcp": (HOST, server.port)}
        return container


def _start(container: Any) -> None:
    from docker.errors import DockerException  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415

    try:
        container.start()
    except DockerException as error:
        raise NoEngineError(str(error).splitlines()[0]) from error


async def _until(name: str, container: Any, ready: Callable[[], Awaitable[bool]]) -> None:
    try:
        async with asyncio.timeout(STARTUP):
            while not await ready():
                if await asyncio.to_thread(_has_ended, container):
                    break
                await asyncio.sleep(0.2)
            else:
                return
        why = "its container ended"
    except TimeoutError:
        why = f"not ready after {STARTUP:g} s"
    said = b"\n".join(await asyncio.to_thread(container.get_logs)).decode(errors="replace")
    tail = "\n".join(line[:300] for line in said.splitlines()[-8:])
    raise StartError(name, "what its container said", why, tail)


def _has_ended(container: Any) -> bool:
    wrapped = container.get_wrapped_container()
    wrapped.reload()
    return bool(wrapped.status in {"exited", "dead"})


def _joined(*commands: list[str]) -> str:
    """One command after the other, for the image's own shell: all but the last have to succeed."""
    *first, last = commands
    return " && ".join((*(shlex.join(each) for each in first), f"exec {shlex.join(last)}"))
