"""Processes die at every point between their writes, and nothing is lost, done twice or decided otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_run import Place
from crash_series import EVERY, Series

from tests.stack_database import Databases

RUNS = 3


@pytest.mark.timeout(300)
async def test_whoever_dies_at_whatever_point_leaves_nothing_undone(databases: Databases, tmp_path: Path) -> None:
    """As many runs as there have to be until each point was struck, three at least; the seed is the run's number."""
    series = Series()
    while series.runs < RUNS or (series.missed and series.runs < EVERY):
        database = await databases.fresh()
        folder = tmp_path / str(series.runs)
        folder.mkdir()
        await series.go_on(series.runs, Place(database.url, database.superuser_url, folder))
        await databases.give_back(database)
        assert [str(finding) for finding in series.findings] == []
    assert series.missed == []
    assert series.deaths > 100
    assert series.repeats.keys() == {"its yes was not committed"}
