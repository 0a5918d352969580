"""A series of runs of crashes on a running PostgreSQL, each in a database of its own and with a seed of its own."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import structlog
from chaos_reckoning import Finding
from crash_points import POINTS, Point, Strikes
from crash_run import Place, crash

from operations.migrate import migrate

EVERY = 6
"""Of the passages of each point; so many runs strike all of them, each another part."""
MOST = 3
_TEMPLATE = "chaos_crashes"


@dataclass
class Series:
    """What came of it."""

    runs: int = 0
    deaths: int = 0
    repeats: Counter[str] = field(default_factory=Counter)
    struck: set[Point] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    @property
    def missed(self) -> list[str]:
        """Points at which nobody died."""
        return sorted(map(str, POINTS - self.struck))

    async def go_on(self, seed: int, place: Place) -> None:
        """One more run."""
        outcome = await crash(seed, Strikes(self.runs % EVERY, EVERY, MOST), place)
        self.runs += 1
        self.deaths += outcome.deaths
        self.repeats += outcome.repeats
        self.struck |= (+outcome.strikes.struck).keys()
        self.findings += [Finding(each.request_id, f"crashes of seed {seed}: {each.what}") for each in outcome.findings]


async def crashes(
    seed: int, runs: int, superuser_url: str, role_url: Callable[[str], str], tell: Callable[[str], None]
) -> Series:
    """So many runs, of `seed` and those after it. Raises what PostgreSQL raises where it is away."""
    series = Series()
    structlog.configure(processors=[_drop])  # the services' logs
    root = await asyncpg.connect(superuser_url)
    try:
        await root.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE} WITH (FORCE)")
        await root.execute(f"CREATE DATABASE {_TEMPLATE}")
        await migrate(_in(superuser_url, _TEMPLATE))
        for number in range(seed, seed + runs):
            async with _database(root, superuser_url, role_url) as place:
                await series.go_on(number, place)
            tell(f"  seed {number}: {series.deaths} deaths so far, at {len(series.struck)} points")
        await root.execute(f"DROP DATABASE {_TEMPLATE} WITH (FORCE)")
    finally:
        await root.close()
        structlog.reset_defaults()
    return series


def _drop(*_: Any) -> NoReturn:
    raise structlog.DropEvent


@asynccontextmanager
async def _database(
    root: asyncpg.Connection[asyncpg.Record], superuser_url: str, role_url: Callable[[str], str]
) -> AsyncIterator[Place]:
    name = f"{_TEMPLATE}_run"
    await root.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await root.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    with tempfile.TemporaryDirectory() as folder:
        yield Place(lambda service: _in(role_url(service), name), _in(superuser_url, name), Path(folder))
    await root.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _in(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
