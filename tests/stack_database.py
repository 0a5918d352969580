"""A fresh database for each test, made from a template that is migrated once per worker."""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from stand import Stand

from operations.migrate import migrate
from shared.database import Pool, create_pool


def _in(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


class Database:
    """One test's database: every service's schema, migrated and empty."""

    def __init__(self, name: str, superuser: str, stand: Stand) -> None:
        self.name = name
        self.superuser_url = _in(superuser, name)
        self._stand = stand
        self._pools = AsyncExitStack()

    def url(self, service: str) -> str:
        return _in(self._stand.database(service), self.name)

    async def pool(self, service: str, size: int = 6) -> Pool:
        """As the service's own role, on its own schema; closed at the end of the test."""
        pool = await create_pool(self.url(service), schema=service, size=size)
        self._pools.callback(pool.terminate)
        return pool

    async def cut_connections(self) -> int:
        """End every session on this database, as a restart of PostgreSQL would. Returns how many."""
        root = await asyncpg.connect(_in(self.superuser_url, "postgres"))
        try:
            return int(
                await root.fetchval(
                    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1",
                    self.name,
                )
            )
        finally:
            await root.close()

    async def allow_connections(self, allowed: bool) -> None:
        root = await asyncpg.connect(_in(self.superuser_url, "postgres"))
        try:
            await root.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS {allowed}")
        finally:
            await root.close()

    async def close(self) -> None:
        await self._pools.aclose()


# What a test may have changed beside rows: relations, constraints, functions, triggers, who may connect.
_SHAPE = """
    SELECT md5(string_agg(thing, ';' ORDER BY thing)) FROM (
        SELECT 'relation ' || relnamespace::regnamespace || relname || relkind::text || relnatts FROM pg_class
        WHERE relnamespace >= 16384
        UNION ALL SELECT 'constraint ' || conrelid::regclass || conname || convalidated FROM pg_constraint
        UNION ALL SELECT 'trigger ' || tgrelid::regclass || tgname FROM pg_trigger
        UNION ALL SELECT 'function ' || pronamespace::regnamespace || proname FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT 'role ' || setrole || setconfig::text FROM pg_db_role_setting
            WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
        UNION ALL SELECT 'connections ' || datallowconn FROM pg_database WHERE datname = current_database()
    ) AS things (thing)
"""
_TABLES = """
    SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> 'migrations'
        AND pg_relation_size(format('%I.%I', schemaname, tablename)::regclass) > 0
"""
_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"


class Databases:
    """Makes them, and uses them again: to create and to drop one takes longer than most tests."""

    def __init__(self, root: asyncpg.Connection, superuser: str, template: str, stand: Stand) -> None:
        self._root = root
        self._superuser = superuser
        self._template = template
        self._stand = stand
        self._shape: str | None = None
        self._empty: list[str] = []

    async def fresh(self) -> Database:
        if self._empty:
            return Database(self._empty.pop(), self._superuser, self._stand)
        name = f"test_{secrets.token_hex(6)}"
        await self._root.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return Database(name, self._superuser, self._stand)

    async def give_back(self, database: Database) -> None:
        await database.close()
        if await self._emptied(database.name):
            self._empty.append(database.name)
        else:
            await self._root.execute(f"DROP DATABASE {database.name} WITH (FORCE)")

    async def drop_all(self) -> None:
        for name in self._empty:
            await self._root.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _emptied(self, name: str) -> bool:
        """Whether it is as a fresh one is: what a test has changed beside rows stays a test's own."""
        if not await self._root.fetchval("SELECT datallowconn FROM pg_database WHERE datname = $1", name):
            return False
        if self._shape is None:
            self._shape = await self._in(self._template, lambda connection: connection.fetchval(_SHAPE))
        return bool(await self._in(name, self._empty_tables))

    async def _empty_tables(self, connection: asyncpg.Connection) -> bool:
        await connection.execute(_OTHERS.replace("$1", "current_database()"))
        if await connection.fetchval(_SHAPE) != self._shape:
            return False
        used = await connection.fetchval(_TABLES)
        if used is not None:
            await connection.execute(f"TRUNCATE {used} CASCADE")
        await connection.execute("SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence")
        return True

    async def _in(self, name: str, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        connection = await asyncpg.connect(_in(self._superuser, name))
        try:
            return await work(connection)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
async def databases(stand: Stand) -> AsyncIterator[Databases]:
    superuser = os.environ["HABEAS_STACK_SUPERUSER"]
    template = f"template_{secrets.token_hex(6)}"
    root = await asyncpg.connect(superuser)
    await root.execute(f"CREATE DATABASE {template}")
    await migrate(_in(superuser, template))
    made = Databases(root, superuser, template, stand)
    yield made
    await made.drop_all()
    await root.execute(f"DROP DATABASE {template} WITH (FORCE)")
    await root.close()


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    made = await databases.fresh()
    yield made
    await databases.give_back(made)
