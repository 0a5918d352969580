"""What Docker says of containers, and what is said where there is no engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from operations.compose.engine import Engine, NoEngineError
from operations.compose.joined import Container, state_of
from operations.stack.supervisor import State


@pytest.mark.parametrize(
    ("known", "state"),
    [
        ({"Status": "running", "Health": {"Status": "starting"}}, State.STARTING),
        ({"Status": "running", "Health": {"Status": "healthy"}}, State.READY),
        ({"Status": "running", "Health": {"Status": "unhealthy"}}, State.NOT_READY),
        ({"Status": "running"}, State.READY),
        ({"Status": "restarting"}, State.RESTARTING),
        ({"Status": "exited", "Health": {"Status": "unhealthy"}}, State.STOPPED),
        ({}, State.STOPPED),
    ],
)
def test_states_are_the_supervisors(known: dict[str, Any], state: State) -> None:
    assert state_of(known) is state


async def test_a_container_tells_changes_and_them_alone() -> None:
    told: list[tuple[State, int | None]] = []
    container = Container("intake", lambda each: told.append((each.state, each.pid)))
    running = {"Id": "1", "State": {"Status": "running", "Pid": 7}}
    container.take(running)
    container.take(running)
    container.down()
    container.take({"Id": "1", "State": {"Status": "running", "Pid": 8}})
    assert told == [(State.READY, 7), (State.NOT_READY, 7), (State.READY, 8)]
    await container.wait_until(lambda each: each.pid == 8, timeout=1)


async def test_where_there_is_no_docker_the_way_on_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoEngineError, match="habeas demo"):
        await Engine().compose("ps")


@pytest.mark.engine
async def test_compose_takes_the_file_as_it_is() -> None:
    assert os.environ["HABEAS_TEST_STACK"] == "testcontainers"
    assert await Engine().project() == "habeas"
