"""A small system over each kind of store, and what can go wrong with it."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from habeas.contracts.catalogue import read
from habeas.contracts.result import ResultPersonal, TaskFinished
from habeas.contracts.sealing import JsonWebKey, Keyring, new_key
from habeas.contracts.task import ScopeItem, TaskAssigned, TaskCancelled, TaskReminded
from habeas.participant import (
    Action,
    Answer,
    Did,
    Journal,
    Participant,
    Record,
    Sqlite,
    SummaryItem,
    Task,
    Tuning,
    identity,
)
from habeas.participant.answers import Store
from habeas.participant.batch import Finished
from habeas.participant.desk import Desk
from habeas.participant.postgres import Connection, Postgres
from tests.participant.tasks import opened, personal_in, task_for

PEOPLE = ("ada", "bea", "cem")
NOTES = ScopeItem(category="notes", purposes=("remembering",), basis="contract")
LOGS = ScopeItem(category="logs", purposes=("diagnosis",), basis="legitimate_interests")
QUICK = Tuning(tries=2, first_pause=0.001, longest_pause=0.002, deliveries=3, key_pauses=(0.05, 0.05), poll=0.1)


class Died(BaseException):
    """The process is gone: nothing in it may catch this."""


@dataclass
class Kit:
    """A store over some place; `store()` again is the same place after a restart."""

    store: Callable[[], Store[Any]]
    holds: Callable[[Any, str], Awaitable[bool]]
    add: Callable[[Any, str], Awaitable[None]]
    remove: Callable[[Any, str], Awaitable[None]]
    stored: Callable[[], Awaitable[bytes]]
    """All that the store has written down, as bytes."""
    atomic: bool


@dataclass
class Toy:
    """A participant called `toy` that holds a note about each of PEOPLE, and bears their wishes in mind."""

    kit: Kit
    name: str = "toy"
    tuning: Tuning = QUICK
    runs: list[UUID] = field(default_factory=list)
    tidied: int = 0
    before: Callable[[Task], None] = lambda _: None
    after: Callable[[Task], None] = lambda _: None
    """Called once the effect has happened, before the answer is stored."""
    answer: Answer | None = None
    restricted: set[tuple[str, str]] = field(default_factory=set)
    """Who, in which category."""
    held: dict[tuple[UUID, str], date] = field(default_factory=dict)
    """By request and category, until when."""
    called_off: list[UUID] = field(default_factory=list)
    calling_off: Callable[[Task], None] = lambda _: None

    def participant(self) -> Participant[Any]:
        participant: Participant[Any] = Participant(self.name, self.kit.store(), tuning=self.tuning)

        @participant.action("access")
        async def access(task: Task, resource: Any) -> Answer:
            self.runs.append(task.id)
            self.before(task)
            held = [who for who in task.identity("email") if await self.kit.holds(resource, who)]
            return Answer(
                records=[Record(id=who, category="notes", origin="provided", data={"who": who}) for who in held]
            )

        @participant.action("erase")
        async def erase(task: Task, resource: Any) -> Answer:
            self.runs.append(task.id)
            self.before(task)

            async def look() -> list[str]:
                if task.scope == (LOGS,):
                    return []
                return [who for who in task.identity("email") if await self.kit.holds(resource, who)]

            found = await task.once("found", list[str], look)
            for who in found:
                await self.kit.remove(resource, who)
            self.after(task)
            if self.answer is not None:
                return self.answer
            return Answer(
                summary=[SummaryItem(category="notes", did=Did.DELETED, count=len(found))] if found else (),
                identities=[identity("account_id", f"acc-{who}") for who in found],
            )

        @participant.action("restrict")
        @participant.action("unrestrict")
        async def limit(task: Task, resource: Any) -> Answer:
            self.runs.append(task.id)

            async def look() -> list[str]:
                return [who for who in task.identity("email") if await self.kit.holds(resource, who)]

            known = await task.once("known", list[str], look)
            self.after(task)
            found = {(who, item.category) for who in known for item in task.scope}
            if task.action == Action.UNRESTRICT:
                found &= self.restricted
                self.restricted -= found
                return counted(found, Did.UNRESTRICTED)
            self.restricted |= found
            return counted(found, Did.RESTRICTED)

        @participant.action("hold")
        async def hold(task: Task, _: Any) -> Answer:
            self.runs.append(task.id)
            until = task.due_at.date()
            self.held |= {(task.request_id, item.category): until for item in task.scope}
            self.after(task)
            return Answer(
                summary=[
                    SummaryItem(
                        category=item.category, did=Did.RETAINED, count=1, ground="held_for_request", until=until
                    )
                    for item in task.scope
                ]
            )

        @participant.cancelled("hold")
        async def over(task: Task, _: Any) -> None:
            self.calling_off(task)
            self.called_off.append(task.id)
            self.held = {key: until for key, until in self.held.items() if key[0] != task.request_id}

        @participant.after("erase")
        async def tidy(_: Any) -> None:
            self.tidied += 1

        return participant


def counted(found: set[tuple[str, str]], did: Did) -> Answer:
    counts = Counter(category for _, category in found)
    return Answer(summary=[SummaryItem(category=name, did=did, count=count) for name, count in counts.items()])


@dataclass
class Bench:
    """A desk to bring tasks to, without Kafka."""

    toy: Toy
    keys: list[JsonWebKey] = field(default_factory=lambda: [JsonWebKey(**new_key("toy"))])
    keyring: Keyring = field(init=False)
    _desk: Desk[Any] | None = None

    def __post_init__(self) -> None:
        self.keyring = Keyring(self.keys)

    def rotate(self) -> None:
        """A second key seals from now on."""
        self.keys.append(JsonWebKey(**new_key("toy", len(self.keys) + 1)))
        self.keyring = Keyring(self.keys)

    async def start(self) -> None:
        """As a process's start; again, as its restart."""
        await self.stop()
        self._desk = self.toy.participant().desk()
        await self._desk.store.open()
        await self._desk.tidy()

    async def stop(self) -> None:
        if self._desk is not None:
            await self._desk.store.close()
            self._desk = None

    @property
    def desk(self) -> Desk[Any]:
        assert self._desk is not None
        return self._desk

    def task(self, action: str, *who: str, **options: Any) -> TaskAssigned | TaskReminded:
        options.setdefault("scope", (NOTES,))
        return task_for("toy", self.keyring, action, *(("email", name) for name in who), **options)

    async def work(self, *tasks: TaskAssigned | TaskReminded, cancelled: Sequence[TaskCancelled] = ()) -> Finished:
        return await self.desk.work([opened(task, self.keyring) for task in tasks], cancelled, self.keyring)

    async def one(self, task: TaskAssigned | TaskReminded) -> TaskFinished:
        return self.bodies(await self.work(task))[0]

    @staticmethod
    def bodies(finished: Finished) -> list[TaskFinished]:
        return [read(event, TaskFinished) for event in finished.answers]

    def personal(self, body: TaskFinished) -> ResultPersonal:
        return personal_in(body, self.keyring)

    async def add(self, who: str) -> None:
        async with self.desk.store.outside() as resource:
            await self.toy.kit.add(resource, who)

    async def holds(self, who: str) -> bool:
        async with self.desk.store.outside() as resource:
            return await self.toy.kit.holds(resource, who)


def cancellation(task: TaskAssigned | TaskReminded) -> TaskCancelled:
    return TaskCancelled(task_id=task.task_id, request_id=task.request_id, reason="withdrawn")


def sqlite_kit(folder: Path) -> Kit:
    async def prepare(db: sqlite3.Connection) -> None:
        if db.execute("select 1 from sqlite_master where name = 'notes'").fetchone() is None:
            db.execute("create table notes (who text primary key)")
            db.executemany("insert into notes values (?)", [(who,) for who in PEOPLE])

    async def holds(db: sqlite3.Connection, who: str) -> bool:
        return db.execute("select 1 from notes where who = ?", (who,)).fetchone() is not None

    async def add(db: sqlite3.Connection, who: str) -> None:
        db.execute("insert into notes values (?)", (who,))

    async def remove(db: sqlite3.Connection, who: str) -> None:
        db.execute("delete from notes where who = ?", (who,))

    return Kit(
        lambda: Sqlite(folder / "toy.db", prepare=prepare),
        holds,
        add,
        remove,
        lambda: asyncio.to_thread(_files, folder),
        atomic=True,
    )


def journal_kit(folder: Path) -> Kit:
    def read(path: Path) -> list[str]:
        return list(json.loads(path.read_text()))

    def write(path: Path, names: Sequence[str]) -> None:
        path.write_text(json.dumps(names))

    notes = folder / "notes.json"
    write(notes, PEOPLE)

    @asynccontextmanager
    async def resource() -> AsyncIterator[Path]:
        yield notes

    async def holds(path: Path, who: str) -> bool:
        return who in read(path)

    async def add(path: Path, who: str) -> None:
        write(path, [*read(path), who])

    async def remove(path: Path, who: str) -> None:
        write(path, [name for name in read(path) if name != who])

    return Kit(
        lambda: Journal(resource, folder / "journal.db"),
        holds,
        add,
        remove,
        lambda: asyncio.to_thread(_files, folder),
        atomic=False,
    )


def postgres_kit(url: str) -> Kit:
    async def prepare(db: Connection) -> None:
        if not await db.fetchval("select to_regclass('notes') is not null"):
            await db.execute("create table notes (who text primary key)")
            await db.executemany("insert into notes values ($1)", [(who,) for who in PEOPLE])

    async def holds(db: Connection, who: str) -> bool:
        return bool(await db.fetchval("select exists (select from notes where who = $1)", who))

    async def add(db: Connection, who: str) -> None:
        await db.execute("insert into notes values ($1)", who)

    async def remove(db: Connection, who: str) -> None:
        await db.execute("delete from notes where who = $1", who)

    async def stored() -> bytes:
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch("select * from habeas_answers")
        finally:
            await connection.close()
        return b"".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)

    return Kit(lambda: Postgres(url=url, prepare=prepare), holds, add, remove, stored, atomic=True)


def _files(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("*.db"))
