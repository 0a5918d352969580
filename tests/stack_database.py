"""A fresh database for each test, made from a template that is migrated once per worker."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
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


class Databases:
    """Makes them."""

    def __init__(self, root: asyncpg.Connection, superuser: str, template: str, stand: Stand) -> None:
        self._root = root
        self._superuser = superuser
        self._template = template
        self._stand = stand

    async def fresh(self) -> Database:
        name = f"test_{secrets.token_hex(6)}"
        await self._root.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return Database(name, self._superuser, self._stand)

    async def drop(self, database: Database) -> None:
        await database.close()
        await self._root.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


@pytest.fixture(scope="session")
async def databases(stand: Stand) -> AsyncIterator[Databases]:
    superuser = os.environ["HABEAS_STACK_SUPERUSER"]
    template = f"template_{secrets.token_hex(6)}"
    root = await asyncpg.connect(superuser)
    await root.execute(f"CREATE DATABASE {template}")
    await migrate(_in(superuser, template))
    yield Databases(root, superuser, template, stand)
    await root.execute(f"DROP DATABASE {template} WITH (FORCE)")
    await root.close()


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    made = await databases.fresh()
    yield made
    await databases.drop(made)
