"""Processes die at every point between their writes, and nothing is lost, done twice or decided otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_points import POINTS, Point, Strikes
from crash_run import Place, crash

from tests.stack_database import Databases

RUNS = 3
EVERY = 6
"""Of the passages of each point; so many runs strike all of them, each another part."""
MOST = 3


@pytest.mark.timeout(300)
async def test_whoever_dies_at_whatever_point_leaves_nothing_undone(databases: Databases, tmp_path: Path) -> None:
    """As many runs as there have to be until each point was struck, three at least; the seed is the run's number."""
    struck: set[Point] = set()
    for run in range(EVERY):
        if run >= RUNS and struck >= POINTS:
            break
        database = await databases.fresh()
        folder = tmp_path / str(run)
        folder.mkdir()
        outcome = await crash(run, Strikes(run, EVERY, MOST), Place(database.url, database.superuser_url, folder))
        await databases.give_back(database)
        struck |= (+outcome.strikes.struck).keys()
        assert [str(finding) for finding in outcome.findings] == []
        assert outcome.requests == 15
        assert outcome.deaths >= len(POINTS) // 2
        assert outcome.repeats.keys() <= {"its yes was not committed"}
    assert sorted(map(str, POINTS - struck)) == []
