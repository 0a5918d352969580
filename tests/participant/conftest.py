"""A bench for each kind of store."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.participant.toys import Bench, Kit, Toy, journal_kit, postgres_kit, sqlite_kit


@pytest.fixture(params=["sqlite", "journal", "postgres"])
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    match request.param:
        case "sqlite":
            yield sqlite_kit(tmp_path)
        case "journal":
            yield journal_kit(tmp_path)
        case _:
            async with a_schema(request.getfixturevalue("stand").database("billing")) as url:
                yield postgres_kit(url)


@pytest.fixture
async def bench(kit: Kit) -> AsyncIterator[Bench]:
    bench = Bench(Toy(kit))
    await bench.start()
    yield bench
    await bench.stop()


@pytest.fixture
async def sqlite_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(Toy(sqlite_kit(tmp_path)))
    await bench.start()
    yield bench
    await bench.stop()


class a_schema:  # noqa: N801 - reads as what it gives
    """A PostgreSQL schema for one test: yields the URL of a database where it is the only one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = f"toy_{uuid4().hex}"

    async def __aenter__(self) -> str:
        await self._execute(f"create schema {self._name}")
        return f"{self._url}{'&' if '?' in self._url else '?'}search_path={self._name}"

    async def __aexit__(self, *_: object) -> None:
        await self._execute(f"drop schema {self._name} cascade")

    async def _execute(self, sql: str) -> None:
        import asyncpg

        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()
