"""Stores on SQLite: `Sqlite` for systems whose data is in SQLite, `Journal` for those without transactions."""

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic
from uuid import UUID

from habeas.participant.answers import Known, Resource, Session, Settled, StoredAnswer
from habeas.participant.folder import data_folder

_TABLES = """
create table if not exists habeas_answers (
    task_id text primary key, request_id text not null, action text not null, outcome text not null,
    ce_id text not null unique, answered_at text not null, body blob not null,
    asked_type text not null, asked text not null
) strict, without rowid;
create index if not exists habeas_answers_request on habeas_answers (request_id, action);
create table if not exists habeas_cancellations (
    task_id text primary key, request_id text not null, cancelled_at text not null
) strict, without rowid;
create index if not exists habeas_cancellations_request on habeas_cancellations (request_id);
create table if not exists habeas_deliveries (
    task_id text primary key, deliveries integer not null, begun_at text not null
) strict, without rowid;
create table if not exists habeas_intents (
    request_id text not null, action text not null, name text not null, sealed text not null, made_at text not null,
    primary key (request_id, action, name)
) strict, without rowid;
"""

# Errors of SQLite that say "not now"; all others say that something is wrong.
_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN})


class _SqliteStore(Generic[Resource]):
    """The answers' tables in a SQLite file. Calls are short and run on the event loop's own thread."""

    def __init__(self, file: Path | str) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the store is not open")
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        path = self._file if isinstance(self._file, Path) else data_folder() / self._file
        path.touch(mode=0o600)
        connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        connection.row_factory = sqlite3.Row
        # What is deleted is overwritten, and no write-ahead log keeps a second copy of it.
        connection.execute("pragma secure_delete = on")
        connection.execute("pragma journal_mode = delete")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma foreign_keys = on")
        return connection

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def unavailable(self, error: Exception) -> bool:
        if isinstance(error, sqlite3.OperationalError):
            return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
        return isinstance(error, OSError)

    async def cancel(self, cancellations: Sequence[tuple[UUID, UUID]]) -> None:
        now = _text(datetime.now(UTC))
        self.connection.executemany(
            "insert into habeas_cancellations values (?, ?, ?) on conflict do nothing",
            [(str(task_id), str(request_id), now) for task_id, request_id in cancellations],
        )

    async def deliveries(self, task_ids: Sequence[UUID]) -> dict[UUID, int]:
        rows = self.connection.execute(
            "select task_id, deliveries from habeas_deliveries where task_id in (select value from json_each(?))",
            (_ids(task_ids),),
        )
        return {UUID(row["task_id"]): row["deliveries"] for row in rows}

    async def count(self, task_ids: Sequence[UUID], step: int = 1) -> None:
        self.connection.execute(
            """insert into habeas_deliveries (task_id, deliveries, begun_at)
               select value, ?1, ?3 from json_each(?2)
               where value not in (select task_id from habeas_answers)
               on conflict do update set deliveries = deliveries + ?1""",
            (step, _ids(task_ids), _text(datetime.now(UTC))),
        )

    async def forget(self, before: datetime) -> None:
        for table, column in (
            ("answers", "answered_at"),
            ("cancellations", "cancelled_at"),
            ("deliveries", "begun_at"),
            ("intents", "made_at"),
        ):
            self.connection.execute(f"delete from habeas_{table} where {column} < ?", (_text(before),))  # noqa: S608


class Sqlite(_SqliteStore[sqlite3.Connection]):
    """Answers in the same SQLite file as the system's data: one transaction for both.

    `file` is a path, or a name in HABEAS_DATA_DIR. `prepare` gets the connection at each start, to create tables.
    Functions get the connection inside the transaction and must not commit.
    """

    remembers = False

    def __init__(
        self, file: Path | str, *, prepare: Callable[[sqlite3.Connection], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(file)
        self._prepare = prepare

    async def open(self) -> None:
        await self.close()
        self._connection = self._connect()
        self._connection.executescript(_TABLES)
        if self._prepare is not None:
            await self._prepare(self._connection)

    @asynccontextmanager
    async def outside(self) -> AsyncIterator[sqlite3.Connection]:
        yield self.connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session[sqlite3.Connection]]:
        async with _transaction(self.connection):
            yield _SqliteSession(self.connection, self.connection, atomic=True)


class Journal(_SqliteStore[Resource]):
    """Answers and intents in a SQLite file of their own, for a system whose store has no transactions.

    Functions get what `resource` yields (a client, a folder of files), and use `Task.once` for what they find before
    they act: a task may be begun again at any point, so effects must bear repeating. One process at a time may hold
    the journal; a second one is told that it is locked.
    """

    remembers = True

    def __init__(self, resource: Callable[[], AbstractAsyncContextManager[Resource]], file: Path | str = "journal.db"):
        super().__init__(file)
        self._make = resource
        self._held = AsyncExitStack()
        self._resource: Resource | None = None

    async def open(self) -> None:
        await self.close()
        self._connection = self._connect()
        self._connection.execute("pragma busy_timeout = 200")
        self._connection.execute("pragma locking_mode = exclusive")
        self._connection.executescript("begin exclusive; commit")
        self._connection.executescript(_TABLES)
        self._resource = await self._held.enter_async_context(self._make())

    async def close(self) -> None:
        await self._held.aclose()
        self._resource = None
        await super().close()

    @asynccontextmanager
    async def outside(self) -> AsyncIterator[Resource]:
        yield self._held_resource()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session[Resource]]:
        yield _SqliteSession(self.connection, self._held_resource(), atomic=False)

    def _held_resource(self) -> Resource:
        if self._resource is None:
            raise RuntimeError("the store is not open")
        return self._resource


class _SqliteSession(Generic[Resource]):
    def __init__(self, connection: sqlite3.Connection, resource: Resource, *, atomic: bool) -> None:
        self._connection = connection
        self._resource = resource
        self._atomic = atomic

    @property
    def resource(self) -> Resource:
        return self._resource

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        if not self._atomic:
            yield
            return
        self._connection.execute("savepoint task")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback to task")
            raise
        finally:
            self._connection.execute("release task")

    async def known(self, task_ids: Sequence[UUID], request_ids: Sequence[UUID]) -> Known:
        answers = self._connection.execute(
            """select * from habeas_answers where task_id in (select value from json_each(?1))
               or request_id in (select value from json_each(?2))""",
            (_ids(task_ids), _ids(request_ids)),
        )
        cancelled = self._connection.execute(
            """select task_id from habeas_cancellations where task_id in (select value from json_each(?1))
               or request_id in (select value from json_each(?2))""",
            (_ids(task_ids), _ids(request_ids)),
        )
        return Known.of([_answer(row) for row in answers], [UUID(row["task_id"]) for row in cancelled])

    async def keep(self, answers: Sequence[StoredAnswer], settled: Sequence[Settled] = ()) -> None:
        if self._atomic:
            self._keep(answers, settled)
        else:
            async with _transaction(self._connection):
                self._keep(answers, settled)

    def _keep(self, answers: Sequence[StoredAnswer], settled: Sequence[Settled]) -> None:
        self._connection.executemany(
            "insert into habeas_answers values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    str(answer.task_id),
                    str(answer.request_id),
                    answer.action,
                    answer.outcome,
                    str(answer.ce_id),
                    _text(answer.answered_at),
                    answer.body,
                    answer.asked_type,
                    answer.asked,
                )
                for answer in answers
            ],
        )
        tasks = [(str(answer.task_id),) for answer in answers]
        self._connection.executemany("delete from habeas_deliveries where task_id = ?", tasks)
        self._connection.executemany(
            """delete from habeas_intents
               where request_id = ?1 and action = ?2 and substr(name, 1, length(?3)) = ?3""",
            [(str(request_id), action, prefix) for request_id, action, prefix in settled],
        )

    async def intent(self, request_id: UUID, action: str, name: str) -> str | None:
        row = self._connection.execute(
            "select sealed from habeas_intents where request_id = ? and action = ? and name = ?",
            (str(request_id), action, name),
        ).fetchone()
        return None if row is None else str(row["sealed"])

    async def keep_intent(self, request_id: UUID, action: str, name: str, sealed: str) -> None:
        self._connection.execute(
            "insert or replace into habeas_intents values (?, ?, ?, ?, ?)",
            (str(request_id), action, name, sealed, _text(datetime.now(UTC))),
        )


@asynccontextmanager
async def _transaction(connection: sqlite3.Connection) -> AsyncIterator[None]:
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _answer(row: sqlite3.Row) -> StoredAnswer:
    return StoredAnswer(
        task_id=UUID(row["task_id"]),
        request_id=UUID(row["request_id"]),
        action=row["action"],
        outcome=row["outcome"],
        ce_id=UUID(row["ce_id"]),
        answered_at=datetime.fromisoformat(row["answered_at"]),
        body=row["body"],
        asked_type=row["asked_type"],
        asked=row["asked"],
    )


def _ids(ids: Sequence[UUID]) -> str:
    return json.dumps([str(identifier) for identifier in ids])


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="microseconds")
