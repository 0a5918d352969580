"""`Postgres`: answers in the same PostgreSQL database as the system's data. Needs the package asyncpg."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from habeas.participant.answers import Known, Session, Settled, StoredAnswer
from habeas.settings import load

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_TABLES = """
create table if not exists habeas_answers (
    task_id uuid primary key, request_id uuid not null, action text not null, outcome text not null,
    ce_id uuid not null unique, answered_at timestamptz not null, body bytea not null,
    asked_type text not null, asked text not null
);
create index if not exists habeas_answers_request on habeas_answers (request_id, action);
create table if not exists habeas_cancellations (
    task_id uuid primary key, request_id uuid not null, cancelled_at timestamptz not null default now()
);
create index if not exists habeas_cancellations_request on habeas_cancellations (request_id);
create table if not exists habeas_deliveries (
    task_id uuid primary key, deliveries integer not null, begun_at timestamptz not null default now()
);
"""

# One process at a time creates tables: `create table if not exists` alone races.
_PREPARING = 0x68616265

_PASSING = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)


class DatabaseSettings(BaseSettings):
    """`HABEAS_DATABASE_URL`."""

    model_config = SettingsConfigDict(env_prefix="HABEAS_", extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: SecretStr


class Postgres:
    """Answers beside the system's data: one transaction for both.

    `url` defaults to HABEAS_DATABASE_URL. `prepare` gets a connection at each start, to create tables, one process at
    a time. Functions get the connection inside the transaction and must not commit.
    """

    remembers = False

    def __init__(
        self, *, prepare: Callable[[Connection], Awaitable[None]] | None = None, url: str | None = None
    ) -> None:
        self._prepare = prepare
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @property
    def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._pool is None:
            raise RuntimeError("the store is not open")
        return self._pool

    async def open(self) -> None:
        await self.close()
        url = self._url or load(DatabaseSettings).database_url.get_secret_value()
        self._pool = await asyncpg.create_pool(url, min_size=1, max_size=2, command_timeout=60)
        async with self._pool.acquire() as connection:
            await connection.execute("select pg_advisory_lock($1)", _PREPARING)
            try:
                await connection.execute(_TABLES)
                if self._prepare is not None:
                    await self._prepare(connection)
            finally:
                await connection.execute("select pg_advisory_unlock($1)", _PREPARING)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    def unavailable(self, error: Exception) -> bool:
        if isinstance(error, asyncpg.InterfaceError):  # also what is wrong with the calling code
            return "closed" in str(error)
        return isinstance(error, _PASSING)

    @asynccontextmanager
    async def outside(self) -> AsyncIterator[Connection]:
        async with self.pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session[Connection]]:
        async with self.pool.acquire() as connection, connection.transaction():
            yield _PostgresSession(connection)

    async def cancel(self, cancellations: Sequence[tuple[UUID, UUID]]) -> None:
        tasks, requests = zip(*cancellations, strict=True)
        await self.pool.execute(
            """insert into habeas_cancellations (task_id, request_id)
               select * from unnest($1::uuid[], $2::uuid[]) on conflict do nothing""",
            tasks,
            requests,
        )

    async def deliveries(self, task_ids: Sequence[UUID]) -> dict[UUID, int]:
        rows = await self.pool.fetch(
            "select task_id, deliveries from habeas_deliveries where task_id = any($1)", task_ids
        )
        return {row["task_id"]: row["deliveries"] for row in rows}

    async def count(self, task_ids: Sequence[UUID], step: int = 1) -> None:
        await self.pool.execute(
            """insert into habeas_deliveries as d (task_id, deliveries)
               select id, $2 from unnest($1::uuid[]) id
               where not exists (select from habeas_answers a where a.task_id = id)
               order by id
               on conflict (task_id) do update set deliveries = d.deliveries + $2""",
            task_ids,
            step,
        )

    async def forget(self, before: datetime) -> None:
        await self.pool.execute("delete from habeas_answers where answered_at < $1", before)
        await self.pool.execute("delete from habeas_cancellations where cancelled_at < $1", before)
        await self.pool.execute("delete from habeas_deliveries where begun_at < $1", before)


class _PostgresSession:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def resource(self) -> Connection:
        return self._connection

    def savepoint(self) -> AbstractAsyncContextManager[object]:
        return self._connection.transaction()

    async def known(self, task_ids: Sequence[UUID], request_ids: Sequence[UUID]) -> Known:
        # After a rebalance another process may hold the same records: the second one waits here, then finds the answer.
        await self._connection.execute(
            """select pg_advisory_xact_lock(key)
               from (select distinct hashtextextended(id::text, 0) as key
                     from unnest($1::uuid[]) id order by key) keys""",
            request_ids,
        )
        answers = await self._connection.fetch(
            "select * from habeas_answers where task_id = any($1) or request_id = any($2)", task_ids, request_ids
        )
        cancelled = await self._connection.fetch(
            "select task_id from habeas_cancellations where task_id = any($1) or request_id = any($2)",
            task_ids,
            request_ids,
        )
        return Known.of([_answer(row) for row in answers], [row["task_id"] for row in cancelled])

    async def keep(self, answers: Sequence[StoredAnswer], settled: Sequence[Settled] = ()) -> None:  # noqa: ARG002
        columns: list[list[Any]] = [
            [answer.task_id for answer in answers],
            [answer.request_id for answer in answers],
            [answer.action for answer in answers],
            [str(answer.outcome) for answer in answers],
            [answer.ce_id for answer in answers],
            [answer.answered_at for answer in answers],
            [answer.body for answer in answers],
            [answer.asked_type for answer in answers],
            [answer.asked for answer in answers],
        ]
        await self._connection.execute(
            """insert into habeas_answers select * from unnest(
                   $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::bytea[],
                   $8::text[], $9::text[])""",
            *columns,
        )
        await self._connection.execute("delete from habeas_deliveries where task_id = any($1)", columns[0])

    async def intent(self, request_id: UUID, action: str, name: str) -> str | None:
        raise NotImplementedError("effect and answer share a transaction here: nothing is remembered in between")

    async def keep_intent(self, request_id: UUID, action: str, name: str, sealed: str) -> None:
        raise NotImplementedError("effect and answer share a transaction here: nothing is remembered in between")


def _answer(row: asyncpg.Record) -> StoredAnswer:
    return StoredAnswer(
        task_id=row["task_id"],
        request_id=row["request_id"],
        action=row["action"],
        outcome=row["outcome"],
        ce_id=row["ce_id"],
        answered_at=row["answered_at"],
        body=row["body"],
        asked_type=row["asked_type"],
        asked=row["asked"],
    )
