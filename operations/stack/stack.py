"""The local stack as one object: Kafka, PostgreSQL, SMTP, then the services and systems, each as itself."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from operations.errors import DiskFullError, UsageError, is_disk_full
from operations.migrate import REPOSITORY, migrate
from operations.programs import SERVICES, SYSTEMS
from operations.stack import postgres as pg
from operations.stack.cluster import Cluster, check_number
from operations.stack.environment import CLOCK, Surroundings, environments, plain_environment, write_environments
from operations.stack.folder import NEEDED, Lock, check_disk, read_json, write_json
from operations.stack.health import answers_ready, speaks_smtp, waits_for_operators
from operations.stack.jars import kafka_jars
from operations.stack.java import find_java
from operations.stack.kafka import SUPER_USERS, KafkaNode, admin_client, controller_name, new_cluster_id, node_name
from operations.stack.keys import write_keys
from operations.stack.ports import HOST, Ports, choose
from operations.stack.supervisor import STOP_ORDER, Kind, Process, Program, clear_leftovers
from operations.topology import OPERATORS, apply, desired, participants

PROCESSOR = "processor"  # plays the payment processor that `payments` is an adapter to
PROGRAMS = (*SERVICES, PROCESSOR, *SYSTEMS)
REGISTRY = REPOSITORY / "registry/ale.toml"
KEPT_PLACES = (
    "kafka",
    "postgres",
    "mail",
    "store",
    "data",
    "log",
    "keys",
    "env",
    "secrets.json",
    "ports.json",
    "state.json",
    CLOCK,
)


class Stack:
    """A local stack in the folder `root`; `async with` runs it, and whatever happens nothing outlives the block.

    `programs` are the names to run beside Kafka, PostgreSQL and SMTP: none for the infrastructure alone. Everyone's
    environment and keys are written in any case, so that other programs can take a place. `fresh` starts without what
    an earlier run left; `keep=False` removes it all at the end. `durable=False` has PostgreSQL write nothing
    through to the disk: for tests, which kill processes and no machines. `brokers` is the number of Kafka's nodes, for
    the life of the folder: of three, one may be away and nobody waits for it.

    Start and close it in the same thread: the children are tied to it.
    """

    def __init__(
        self,
        root: Path = Path(".habeas"),
        programs: Sequence[str] = PROGRAMS,
        *,
        registry: Path = REGISTRY,
        ports: Ports | None = None,
        brokers: int = 1,
        partitions: int = 2,
        fresh: bool = False,
        keep: bool = True,
        durable: bool = True,
        needed: int = NEEDED,
        tell: Callable[[str], None] = lambda _: None,
        on_change: Callable[[Process], None] = lambda _: None,
    ) -> None:
        unknown = set(programs) - set(PROGRAMS)
        if unknown:
            raise UsageError(f"No such program: {', '.join(sorted(unknown))}. There are {', '.join(PROGRAMS)}.")
        self.root = root.absolute()
        self.programs = tuple(name for name in PROGRAMS if name in programs)
        self.registry = registry.absolute()
        self.processes: dict[str, Process] = {}
        self.environments: dict[str, dict[str, str]] = {}
        self.ports: dict[str, int] = {}
        self._asked = ports or Ports.from_environment()
        self._brokers = brokers
        self._partitions, self._fresh, self._keep, self._needed, self._tell = partitions, fresh, keep, needed, tell
        self._on_change = on_change
        self._durable = durable
        self._lock = Lock(self.root)
        self._started_at = datetime.now(UTC)

    # What others need

    def env(self, name: str) -> dict[str, str]:
        """Return the `HABEAS_*` variables of a service, system, portal or of `operators`."""
        return dict(self.environments[name])

    @property
    def kafka(self) -> Cluster:
        """Kafka's nodes as one: who leads, and whether all have everything. Its names are for `kill` and `stop`."""
        return self._cluster

    @property
    def mail(self) -> Path:
        """The folder where each mail is kept as an `.eml` file."""
        return self.root / "mail"

    def superuser_url(self, database: str = "habeas") -> str:
        """Return a URL for PostgreSQL's superuser; no program of the stack has it."""
        return self._postgres.url(pg.SUPERUSER, database)

    def kill(self, name: str) -> None:
        """End a process with SIGKILL, as a crash would; it is started again."""
        self.processes[name].kill()

    async def stop(self, *names: str) -> None:
        """Stop these and leave them stopped."""
        await asyncio.gather(*(self.processes[name].stop() for name in names))

    async def start(self, *names: str, timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Start these (again) and wait until they are ready. Raises StartError."""
        for name in names:
            self.processes[name].start()
        await self.wait_ready(*names, timeout=timeout)

    async def wait_ready(self, *names: str, timeout: float = 60.0, attempts: int = 3) -> None:  # noqa: ASYNC109
        """Wait until these are ready (default: all). Raises StartError."""
        chosen = [self.processes[name] for name in names or self.processes]
        await asyncio.gather(*(process.wait_ready(timeout, attempts) for process in chosen))

    async def wait_in_sync(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Wait until every Kafka node runs and has a copy of everything: the next may die.

        Raises StartError, or OperationsError when a copy does not follow.
        """
        await self.wait_ready(*self.kafka.names, timeout=timeout)
        await self.kafka.wait_in_sync(timeout)

    # Up and down

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def up(self) -> None:
        """Start everything; returns when all of it is ready. When it raises, nothing is left running."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            await self._up()
        except BaseException as error:
            await self.down()
            if is_disk_full(error):
                raise DiskFullError(str(self.root)) from error
            raise

    async def down(self) -> None:
        """Stop everything in order: systems, services, mail, then Kafka and PostgreSQL."""
        for kind in STOP_ORDER:
            await asyncio.gather(*(each.stop() for each in self.processes.values() if each.program.kind is kind))
        if self._lock.held:
            self._write_state()
            if not self._keep:
                self._remove()
            self._lock.release()

    async def _up(self) -> None:
        cleared = clear_leftovers(read_json(self.root / "state.json").get("processes", []))
        if cleared:
            self._tell(f"Ended what an earlier run had left running: {', '.join(cleared)}")
        if self._fresh:
            self._remove()
        check_number(self.root, self._brokers)
        check_disk(self.root, self._needed)
        java, jars = find_java(), await asyncio.to_thread(kafka_jars)
        surroundings = self._surroundings()
        self._postgres = surroundings.postgres
        numbers = range(1, self._brokers + 1)
        self._cluster = Cluster(tuple(self._kafka_node(surroundings, number) for number in numbers))
        self.environments = environments(surroundings)
        write_environments(self.root / "env", self.environments)
        for folder in ("log", "mail", "store", "data"):
            (self.root / folder).mkdir(exist_ok=True, mode=0o700)
        await _all_or_first_error(
            self._bring_up_kafka(java, jars, surroundings),
            self._bring_up_postgres(),
            self._run(self._smtp()),
        )
        # A registry need not have the demonstration's systems.
        self.programs = tuple(name for name in self.programs if name in self.environments)
        for name in self.programs:
            self._add(self._program(name))
        await self.start(*self.programs) if self.programs else None

    async def _bring_up_kafka(self, java: str, jars: Sequence[Path], known: Surroundings) -> None:
        nodes = self._cluster.nodes
        await _all_or_first_error(*(node.prepare(java, jars, self._secrets["cluster"]) for node in nodes))
        # All at once: none is ready before most of them run.
        await _all_or_first_error(
            *(self._run(node.program(java, self._log(node.name), plain_environment())) for node in nodes)
        )
        topology = desired(known.portals, known.systems, self._partitions, self._cluster.copies)
        await asyncio.to_thread(apply, admin_client(self.env(OPERATORS)), topology, known.passwords)

    async def _bring_up_postgres(self) -> None:
        server = self._postgres
        await server.prepare()
        if server.place != server.folder:
            self._tell(f"PostgreSQL's data are in {server.place}, since its user cannot reach {self.root}")
        await self._run(server.program(self._log("postgres"), plain_environment()))
        await server.create_roles()
        await migrate(server.url(OPERATORS))

    async def _run(self, program: Program) -> None:
        process = self._add(program)
        process.start()
        await process.wait_ready(attempts=1)

    def _add(self, program: Program) -> Process:
        process = self.processes[program.name] = Process(program, self._changed)
        return process

    def _changed(self, process: Process) -> None:
        self._write_state()
        self._on_change(process)

    # The parts

    def _surroundings(self) -> Surroundings:
        portals, systems = participants(self.registry)
        self._secrets = self._remembered_secrets((*portals, *systems))
        self._choose_ports(systems)
        return Surroundings(
            root=self.root,
            registry=self.registry,
            portals=portals,
            systems=systems,
            ports=self.ports,
            keys=write_keys(self.root / "keys", portals, systems),
            postgres=pg.Postgres(
                self.ports["postgres"], self.root / "postgres", self._secrets["postgres"], self._durable
            ),
            passwords=self._secrets["kafka"],
            brokers=self._brokers,
        )

    def _remembered_secrets(self, names: Sequence[str]) -> dict[str, Any]:
        """Return passwords and the cluster's id: those of the last run, and new ones for what is new."""
        path = self.root / "secrets.json"
        known = read_json(path)
        if not known and ((self.root / "kafka").exists() or (self.root / "postgres").exists()):
            raise UsageError(f"{path} is gone but the data it opens are not. Remove {self.root} to begin anew.")
        for place, users in (
            ("kafka", (*SUPER_USERS, *SERVICES, OPERATORS, *names)),
            ("postgres", (pg.SUPERUSER, *pg.ROLES)),
        ):
            passwords = known.setdefault(place, {})
            for user in users:
                passwords.setdefault(user, secrets.token_urlsafe(24))
        known.setdefault("cluster", new_cluster_id())
        write_json(path, known)
        return known

    def _choose_ports(self, systems: Sequence[str]) -> None:
        """For everything that we run, and for the systems of others, which take part with our environment files."""
        last = read_json(self.root / "ports.json")
        asked = {"kafka": self._asked.kafka, "postgres": self._asked.postgres, "smtp": self._asked.smtp}
        kafka = [use for number in range(1, self._brokers + 1) for use in (node_name(number), controller_name(number))]
        for use in (*kafka, "postgres", "smtp", *dict.fromkeys((*PROGRAMS, *systems))):
            taken = frozenset({*self.ports.values(), *(port for port in asked.values() if port)})
            self.ports[use] = choose(use, asked.get(use), last.get(use), taken)
        write_json(self.root / "ports.json", self.ports)

    def _kafka_node(self, surroundings: Surroundings, number: int = 1) -> KafkaNode:
        controllers = {each: self.ports[controller_name(each)] for each in range(1, self._brokers + 1)}
        return KafkaNode(
            id=number,
            port=self.ports[node_name(number)],
            controller_port=controllers[number],
            folder=self.root / "kafka" / str(number),
            voters=",".join(f"{each}@{HOST}:{port}" for each, port in controllers.items()),
            nodes=self._brokers,
            passwords={name: surroundings.passwords[name] for name in SUPER_USERS},
        )

    def _smtp(self) -> Program:
        port = self.ports["smtp"]
        return Program(
            name="smtp",
            kind=Kind.MAIL,
            command=[sys.executable, "-m", "operations.stack.smtp", "--port", str(port), "--folder", str(self.mail)],
            environment=plain_environment(),
            log=self._log("smtp"),
            ready=lambda: speaks_smtp(port),
            folder=REPOSITORY,
            port=port,
            watched=False,
        )

    def _program(self, name: str) -> Program:
        kind = Kind.SERVICE if name in SERVICES else Kind.SYSTEM
        module = ["systems.payments.processor"] if name == PROCESSOR else ["operations.programs", kind.value, name]
        return Program(
            name=name,
            kind=kind,
            command=[sys.executable, "-m", *module],
            environment=plain_environment() | self.env(name),
            log=self._log(name),
            ready=lambda: answers_ready(self.ports[name]),
            started=lambda: waits_for_operators(self.ports[name]),
            folder=REPOSITORY,
            port=self.ports[name],
        )

    def _log(self, name: str) -> Path:
        return self.root / "log" / f"{name}.log"

    def _write_state(self) -> None:
        state: Mapping[str, Any] = {
            "started_at": self._started_at.isoformat(),
            "processes": [process.as_json() for process in self.processes.values()],
        }
        write_json(self.root / "state.json", state)

    def _remove(self) -> None:
        pg.Postgres(0, self.root / "postgres", {}).remove()
        for name in KEPT_PLACES:
            path = self.root / name
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


async def _all_or_first_error(*work: Any) -> None:
    """Run side by side; the first error ends the others and is raised as itself."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
