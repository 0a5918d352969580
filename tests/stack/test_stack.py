"""The stack as others use it."""

import asyncio
import json
from pathlib import Path

from operations.stack import Ports, Stack
from operations.stack.folder import read_json


def test_without_a_loop_of_ones_own(tmp_path: Path) -> None:
    """As a test run's controller does: up, hand the environments on as JSON, and down when all is done."""
    with asyncio.Runner() as runner:
        stack = Stack(tmp_path, programs=[], ports=Ports(), keep=False)
        runner.run(stack.up())
        try:
            handed_on = json.loads(json.dumps(stack.environments))
            assert handed_on["intake"] == stack.env("intake")
            state = {each["name"]: each["state"] for each in read_json(tmp_path / "state.json")["processes"]}
            assert state == {"kafka": "ready", "postgres": "ready", "smtp": "ready"}
        finally:
            runner.run(stack.down())
    assert {path.name for path in tmp_path.iterdir()} <= {"lock"}
