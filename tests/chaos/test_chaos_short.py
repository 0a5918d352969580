"""A short run of the chaos, as somebody types it: services killed, sessions ended, nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.xdist_group("chaos")
@pytest.mark.timeout(240)
def test_nothing_is_lost_when_services_are_killed_under_load(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")}
    options = ("--minutes", "0.15", "--seed", "1", "--rate", "6", "--replicas", "1", "--json")
    done = subprocess.run(
        [sys.executable, "tests/chaos/run.py", *options, "--only", "short", "--root", str(tmp_path / "chaos")],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    result = json.loads(done.stdout)
    assert result["holds"]
    assert result["findings"] == []
    assert result["requests"] == 54
    assert result["faults"] >= 6
    assert result["dead_letters"] > 0
    assert "seed 1: the same requests and faults again with --seed 1" in done.stderr
