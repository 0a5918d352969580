"""One run of crashes: requests of every kind, processes that die at points, and the reckoning once all is quiet."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch
from uuid import UUID

import asyncpg
import orjson
from chaos_evidence import Evidence, answers_in, gather
from chaos_mail import Attempt, Came, MailServer
from chaos_mail_reckoning import reconcile_mails
from chaos_office import Office
from chaos_reckoning import Finding, reconcile
from chaos_script import SYSTEMS, Script, Twist, script
from chaos_stage import DOMAIN, Happening
from chaos_systems import Foreseen, System
from crash_kafka import Log, Mouth
from crash_points import BESIDE, ENVELOPE, TAKEN, Strikes
from crash_process import Process, Surroundings, counted

from habeas.contracts import KeyFile
from habeas.contracts.sealing import new_key
from operations.programs import SERVICES
from operations.stack.ports import choose
from operations.topology import OPERATORS
from services.notifier import worker
from services.notifier.mails import MailRenderer
from shared.events import SERVICES as OURSELVES
from shared.registry import load_registry

_REGISTRY: Final = load_registry(Path(__file__).parents[2] / "registry" / "ale.toml")
_RENDERER: Final = MailRenderer(_REGISTRY)
_STUCK_AFTER: Final = 25.0
"""Seconds without any change after which nothing more is expected: longer than any worker rests after trouble."""
_SWEPT: Final = 0.25
"""How often a sweeper looks after a batch; in earnest it looks every two seconds, and at what is old."""
_SUBMITTED: Final = 0.3
"""How often somebody submits a request between two batches."""
_DRAWN: Final = 500
_COPIES: Final = 5
_SOON: Final = 0.02
_LEFT: Final = """
    select {outboxes}, (select count(*) from notifier.notices where next_attempt_at is not null),
        (select count(*) from collector.assemblies),
        (select min(next_attempt_at) from notifier.notices where state = 'deferred')
""".format(outboxes=", ".join(f"(select count(*) from {name}.outbox)" for name in SERVICES))
_ACCEPTED: Final = """
    select request_id, notice, recipient, count(*) from notifier.notices where state = 'accepted' group by 1, 2, 3
"""
_ALIVE: Final = """
    select exists (select from pg_stat_activity where datname = current_database() and application_name = $1)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A database, migrated and empty, and a folder."""

    database: Callable[[str], str]
    """The URL of a service's role in it."""
    superuser_url: str
    folder: Path


@dataclass
class Outcome:
    """What came of a run."""

    seed: int
    strikes: Strikes
    requests: int = 0
    deaths: int = 0
    repeats: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.findings


def scripts_of(seed: int) -> Iterator[Script]:
    """The seed's first request of each kind, and some more that get a copy; all are answered as soon as they ask."""
    scripts = [script(seed, number) for number in range(_DRAWN)]
    of_each_kind = [next(each for each in scripts if each.twist is twist) for twist in Twist]
    copied = [each for each in scripts if each not in of_each_kind and each.is_copied(each.expected.outcome)]
    for each in (*of_each_kind, *copied[:_COPIES]):
        yield replace(each, answers={name: replace(answer, delay=0.0) for name, answer in each.answers.items()})


async def crash(seed: int, strikes: Strikes, place: Place) -> Outcome:
    """Raises what a service raises that did not die."""
    outcome = Outcome(seed, strikes)
    async with _world(seed, strikes, place) as world, _impatient():
        left = await world.until_quiet([*scripts_of(seed)])
        outcome.requests, outcome.deaths = len(world.office.scripts), world.deaths
        if left:
            outcome.findings.append(Finding(None, f"it does not come to rest: {left}"))
        for error in (*world.office.troubles, *(error for system in world.systems for error in system.troubles)):
            outcome.findings.append(Finding(None, f"the run itself failed: {error!r}"))
        evidence = await world.evidence()
    outcome.findings += reconcile(evidence)
    found, outcome.repeats = reconcile_mails(evidence, world.excuse)
    outcome.findings += found
    return outcome


@asynccontextmanager
async def _impatient() -> AsyncIterator[None]:
    """Here notifiers live for moments: they look for the leases of the dead as often."""
    with patch.multiple(worker, _LOOK_SECONDS=_SOON, _POLL_SECONDS=_SOON):
        yield


@dataclass
class World:
    """The services' processes, and everybody around them."""

    surroundings: Surroundings
    mail: MailServer
    office: Office
    systems: Sequence[System]
    connection: asyncpg.Connection[asyncpg.Record]
    offset: timedelta = timedelta()
    deaths: int = 0
    processes: dict[str, Process] = field(default_factory=dict)
    uncommitted: set[tuple[str, float]] = field(default_factory=set)
    """Message-ID and instant of what SMTP has taken, where the notifier died before it had written so."""

    async def until_quiet(self, to_come: list[Script]) -> str:
        """What is left when all have come and nothing changes any more: in the best case, nothing."""
        for service in SERVICES:
            await self._start(service)
        random = self.surroundings.random
        before, changed, left = "", time.monotonic(), ""
        while time.monotonic() - changed < _STUCK_AFTER:
            await self._bury_the_dead()
            self._log.news.clear()
            if to_come and random.random() < _SUBMITTED:
                self.office.submit(to_come.pop())
            lagging = [name for name in SERVICES if self._log.lag(name, self.processes[name].topics)]
            if lagging:
                await self.processes[random.choice(lagging)].take()
            if random.random() < _SWEPT:
                await self.processes[random.choice(SERVICES)].sweep()
            if lagging:
                changed = time.monotonic()
                continue
            left = await self._left()
            if left != before:
                before, changed = left, time.monotonic()
            if left:
                await self._something_new()
            elif not (to_come or self._dead()):
                return ""
        return left or f"{', '.join(self._dead())} cannot live"

    async def moment(self, moment: str) -> None:
        """The mail server meets one of the notifier's mails."""
        await self.processes["notifier"].at({"envelope": ENVELOPE, "taken": TAKEN}[moment], BESIDE)

    def excuse(self, before: Attempt, after: Attempt, _happened: Sequence[Happening]) -> str | None:
        return "its yes was not committed" if (before.message_id, before.at) in self.uncommitted else None

    async def evidence(self) -> Evidence:
        answers = await asyncio.to_thread(answers_in, self.surroundings.store)
        office = self.office
        return await gather(self._log.read, answers, self.mail.attempts, (), office.scripts, office.foreseen)

    @property
    def _log(self) -> Log:
        return self.surroundings.log

    def _dead(self) -> list[str]:
        return [name for name, process in self.processes.items() if process.died.is_set()]

    async def _bury_the_dead(self) -> None:
        for service in self._dead():
            await self.processes[service].bury()
            self.deaths += 1
            await self._forgotten(service)
            if service == "notifier":
                self.mail.hang_up()
                await self._note_uncommitted()
            await self._start(service)

    async def _forgotten(self, service: str) -> None:
        """PostgreSQL has noticed that its sessions are gone: what they held would be in the way of the next process."""
        alive = True
        while alive:
            alive = bool(await self.connection.fetchval(_ALIVE, f"habeas-{service}"))

    async def _start(self, service: str) -> None:
        self.processes[service] = Process(service, self.surroundings)
        await self.processes[service].start()

    async def bury_all(self) -> None:
        for process in self.processes.values():
            await process.bury()

    async def _note_uncommitted(self) -> None:
        known = {tuple(row)[:3]: row["count"] for row in await self.connection.fetch(_ACCEPTED)}
        taken: dict[tuple[UUID | None, str, str], dict[str, Attempt]] = {}
        for attempt in self.mail.attempts:
            if attempt.came is Came.ACCEPTED:
                taken.setdefault((attempt.request_id, attempt.notice, attempt.reader), {})[attempt.message_id] = attempt
        for key, attempts in taken.items():
            if len(attempts) > known.get(key, 0):
                self.uncommitted |= {(each.message_id, each.at) for each in attempts.values()}

    async def _left(self) -> str:
        """What waits for somebody, after the clock was advanced to it and it was swept."""
        row = await self.connection.fetchrow(_LEFT)
        assert row is not None
        *outboxes, notices, answers, deferred = row
        for service, rows in zip(SERVICES, outboxes, strict=True):
            if rows and not self.processes[service].died.is_set():
                await self.processes[service].sweep()
        if deferred is not None:
            self.offset = max(self.offset, deferred - datetime.now(UTC) + timedelta(seconds=1))
        left = {
            "requests": len(self.office.scripts) - self.office.closed,
            "unread": sum(self._log.lag(name, process.topics) for name, process in self.processes.items()),
            "being said": self.office.busy + sum(system.busy for system in self.systems),
            "notices": notices,
            "answers": answers,
            **{f"outbox of {name}": rows for name, rows in zip(SERVICES, outboxes, strict=True)},
        }
        return ", ".join(f"{count} {name}" for name, count in left.items() if count)

    async def _something_new(self) -> None:
        if not self._dead():
            try:
                async with asyncio.timeout(_SOON):
                    await self._log.news.wait()
            except TimeoutError:
                return


@asynccontextmanager
async def _world(seed: int, strikes: Strikes, place: Place) -> AsyncIterator[World]:
    random = Random(f"{seed}/crash")
    log = Log(random)
    keys = _keys(place.folder / "keys.json")
    mail = MailServer(choose("chaos-mail"), DOMAIN, Random(f"{seed}/mail"))
    store = place.folder / "store"
    loop = asyncio.get_running_loop()
    connection = await asyncpg.connect(place.superuser_url)

    def now() -> datetime:
        return datetime.now(UTC) + world.offset

    around = Surroundings(_REGISTRY, keys, now, place.database, store, mail.url, log, strikes, random, _RENDERER)
    scripts: dict[UUID, Script] = {}
    foreseen, mouth, keyring = Foreseen(), Mouth(log), keys.keyring()
    office = Office(keyring, mouth, mouth, scripts, foreseen, pause=0.0)
    systems = [System(name, keyring, mouth, scripts, foreseen, afterwards=0.0) for name in SYSTEMS]
    world = World(around, mail, office, systems, connection)
    mail.moment = world.moment
    loop.set_task_factory(counted)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(connection.close)
        stack.callback(loop.set_task_factory, None)
        await mail.open()
        stack.push_async_callback(mail.close, abruptly=True)
        for each in systems:
            await stack.enter_async_context(each.at_work())
        await stack.enter_async_context(office.open())
        stack.push_async_callback(world.bury_all)
        yield world


def _keys(path: Path) -> KeyFile:
    names = (*_REGISTRY.participants, OURSELVES, OPERATORS)
    path.write_bytes(orjson.dumps({"keys": [new_key(name) for name in names]}))
    return KeyFile(path)
