"""A bench for each kind of store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.participant.schemas import a_schema
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
