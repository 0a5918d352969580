"""The stack as others use it."""

import asyncio
import json
from pathlib import Path

from operations.stack import Ports, Stack
from operations.stack.folder import read_json

ROOT = Path(__file__).parents[2]


def test_without_a_loop_of_ones_own(tmp_path: Path) -> None:
    """As a test run's controller does: up, hand the environments on as JSON, and down when all is done.

    The registry is somebody's own: the demonstration's systems are not in it, and another has a place of its own.
    """
    registry = tmp_path / "own.toml"
    before, _, _ = (ROOT / "registry" / "ale.toml").read_text().partition("[systems.billing]")
    registry.write_text(before + (ROOT / "examples" / "newsletter" / "system.toml").read_text())
    with asyncio.Runner() as runner:
        stack = Stack(tmp_path / "stack", programs=["billing"], registry=registry, ports=Ports(), keep=False)
        runner.run(stack.up())
        try:
            handed_on = json.loads(json.dumps(stack.environments))
            assert handed_on["intake"] == stack.env("intake")
            assert handed_on["newsletter"]["HABEAS_HTTP_PORT"] == str(stack.ports["newsletter"])
            state = {each["name"]: each["state"] for each in read_json(stack.root / "state.json")["processes"]}
            assert state == {"kafka": "ready", "postgres": "ready", "smtp": "ready"}
        finally:
            runner.run(stack.down())
    assert {path.name for path in stack.root.iterdir()} <= {"lock"}
