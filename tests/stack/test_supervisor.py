"""Children are kept running, stop in time, and never outlive their supervisor."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from operations.errors import StartError
from operations.stack.folder import read_json
from operations.stack.health import answers_ready, waits_for_operators
from operations.stack.ports import HOST
from operations.stack.supervisor import Kind, Process, Program, State, clear_leftovers

REPOSITORY = Path(__file__).parents[2]
FOREVER = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


def program(folder: Path, code: str, ready: Callable[[], Awaitable[bool]] = yes, grace: float = 10.0) -> Program:
    command = [sys.executable, "-c", code]
    return Program("child", Kind.SERVICE, command, folder / "child.log", ready, environment=os.environ, grace=grace)


async def test_a_crashed_child_is_started_again(tmp_path: Path) -> None:
    seen: list[State] = []
    process = Process(program(tmp_path, FOREVER), lambda each: seen.append(each.state))
    process.start()
    await process.wait_ready()
    first = process.pid
    process.signal(signal.SIGKILL)
    await process.wait_until(lambda each: each.ready and each.pid != first)
    assert process.restarts == 1
    assert State.RESTARTING in seen
    await process.stop()
    assert process.state is State.STOPPED
    assert process.pid is None


async def test_who_waits_for_people_has_started_and_is_not_ready(tmp_path: Path) -> None:
    """Else a stack with a paused partition could not be started, nor the partition resumed."""
    seen: list[State] = []
    process = Process(replace(program(tmp_path, FOREVER, no), started=yes), lambda each: seen.append(each.state))
    process.start()
    await process.wait_ready()
    await process.wait_until(lambda each: each.state is State.NOT_READY)
    assert seen == [State.STARTING, State.READY, State.NOT_READY]
    await process.stop()


@pytest.mark.parametrize(
    ("findings", "waits"),
    [
        ({"paused": [{"topic": "dsr.x.v1", "partition": 0, "offset": 7}]}, True),
        ({"paused": []}, False),
        ({"paused": [{}], "database": False}, False),
        ({"paused": [{}], "consuming": False}, False),
        ({"paused": [{}], "exhausted": True}, False),
        ({"paused": None}, False),
        ([], False),
        ("nonsense", False),
    ],
)
async def test_only_a_pause_waits_for_people(findings: object, waits: bool) -> None:
    if isinstance(findings, dict):
        findings = {"ok": False, "consuming": True, "database": True, "exhausted": False, **findings}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + json.dumps(findings).encode())
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await waits_for_operators(port) is waits
        assert not await answers_ready(port)
    assert not await waits_for_operators(port)


async def test_it_stops_for_good_and_starts_again(tmp_path: Path) -> None:
    process = Process(program(tmp_path, FOREVER), lambda _: None)
    process.start()
    await process.wait_ready()
    await process.stop()
    process.start()
    await process.wait_ready()
    assert process.restarts == 0
    await process.stop()


async def test_who_ignores_the_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    async def deaf() -> bool:
        return "deaf" in (tmp_path / "child.log").read_text()

    process = Process(program(tmp_path, DEAF, deaf, grace=0.2), lambda _: None)
    process.start()
    await process.wait_ready()
    pid = process.pid
    assert pid is not None
    await process.stop()
    assert not psutil.pid_exists(pid)


async def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    process = Process(program(tmp_path, "raise SystemExit('no such luck')", no), lambda _: None)
    process.start()
    with pytest.raises(StartError, match="no such luck") as caught:
        await process.wait_ready(attempts=2)
    assert caught.value.log == str(tmp_path / "child.log")
    await process.stop()


async def test_a_stop_does_not_wait_for_the_pause_after_a_crash(tmp_path: Path) -> None:
    process = Process(program(tmp_path, "raise SystemExit(1)", no), lambda _: None)
    process.start()
    await process.wait_until(lambda each: each.restarts == 3)  # the next pause is 0.8 s
    async with asyncio.timeout(0.7):
        await process.stop()


def test_leftovers_are_known_by_their_start_time() -> None:
    child = subprocess.Popen([sys.executable, "-c", FOREVER])
    try:
        known = {"name": "child", "pid": child.pid, "created": psutil.Process(child.pid).create_time()}
        assert clear_leftovers([{**known, "created": known["created"] - 100}]) == []
        assert child.poll() is None
        assert clear_leftovers([{**known, "pid": None}]) == []
        assert clear_leftovers([known]) == ["child"]
        assert not psutil.pid_exists(child.pid)
    finally:
        child.kill()
        child.wait()


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from operations.stack import Ports, Stack

async def main() -> None:
    async with Stack(Path(sys.argv[1]), programs=[], ports=Ports(), keep=False):
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start clears leftovers")
def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    command = [sys.executable, "-c", SUPERVISOR, str(root)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "up\n"
        children = psutil.Process(supervisor.pid).children(recursive=True)
        assert {each["name"] for each in read_json(root / "state.json")["processes"]} == {"kafka", "postgres", "smtp"}
        assert len(children) > 3  # PostgreSQL has children of its own
        supervisor.kill()
        _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    # And the folder is free and whole: the same stack starts again on the same data and ports.
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "up\n"
        supervisor.send_signal(signal.SIGINT)
        supervisor.wait(30)
