"""The local stack's clock: ahead by what a file says, never backwards, and nobody else's."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from operations.connection import CLOCK_VARIABLE, clock
from operations.inspect.durations import duration, spelled
from shared.clock import ClockError, OffsetClock, clock_with, system_clock
from tests.operators.keyboard import habeas

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clock"


@pytest.fixture
def stack(tmp_path: Path, file: Path) -> Path:
    """The folder of a stack that does not run."""
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "operators").write_text(f"{CLOCK_VARIABLE}={file}\n")
    return tmp_path


def test_it_follows_the_file_forwards(file: Path) -> None:
    now = OffsetClock(file, lambda: NOON)
    assert now() == NOON
    file.write_text("60\n")
    assert now() == NOON + timedelta(minutes=1)
    file.write_text("3600\n")
    os.utime(file, ns=(1, 1))  # whatever the file system's resolution is, it was changed
    assert now() == NOON + timedelta(hours=1)


def test_it_never_goes_backwards(file: Path) -> None:
    file.write_text("3600\n")
    now = OffsetClock(file, lambda: NOON)
    assert now() == NOON + timedelta(hours=1)
    file.write_text("60\n")
    os.utime(file, ns=(1, 1))
    assert now() == NOON + timedelta(hours=1)
    file.unlink()
    assert now() == NOON + timedelta(hours=1)
    assert OffsetClock(file, lambda: NOON)() == NOON  # a new process, after a reset


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "9" * 11, "é"])
def test_a_file_that_says_no_offset_is_told(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ClockError, match="habeas clock reset"):
        OffsetClock(file)()


def test_without_the_variable_there_is_nothing_to_advance(file: Path) -> None:
    assert clock_with(None) is system_clock
    assert clock({}) is system_clock
    file.write_text("86400\n")
    assert clock({CLOCK_VARIABLE: str(file)})() - system_clock() > timedelta(hours=23)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("31d", timedelta(days=31)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        (" 1D12h ", timedelta(hours=36)),
        ("", None),
        ("0d", None),
        ("31", None),
        ("-1d", None),
        ("1.5h", None),
        ("5s", None),
        ("999999999d", None),
    ],
)
def test_durations(text: str, length: timedelta | None) -> None:
    assert duration(text) == length


def test_durations_are_spelled_as_they_are_read() -> None:
    assert spelled(timedelta(days=31)) == "31d"
    assert spelled(timedelta(days=1, hours=2, minutes=3, seconds=4)) == "1d2h3m4s"
    assert spelled(timedelta()) == "0s"


def test_advancing_adds_up_and_is_shown(stack: Path, file: Path) -> None:
    assert habeas("clock", "advance", "31d", "--root", str(stack)).code == 0
    said = habeas("clock", "advance", "12h", "--root", str(stack))
    assert "31d12h ahead" in said.out
    assert file.read_text() == f"{(31 * 24 + 12) * 3600}\n"
    shown = json.loads(habeas("clock", "show", "--root", str(stack), "--json").out)
    assert shown["offset_seconds"] == (31 * 24 + 12) * 3600
    ahead = datetime.fromisoformat(shown["now"]) - system_clock()
    assert timedelta(days=31, hours=11, minutes=59) < ahead <= timedelta(days=31, hours=12)


def test_a_stopped_stack_can_be_reset(stack: Path, file: Path) -> None:
    assert habeas("clock", "advance", "1d", "--root", str(stack)).code == 0
    said = habeas("clock", "reset", "--root", str(stack))
    assert (said.code, file.exists()) == (0, False)
    assert "as the system's clock" in said.out
    assert habeas("clock", "reset", "--root", str(stack)).code == 0


def test_a_running_stack_cannot_be_reset(stack: Path, file: Path) -> None:
    file.write_text("60\n")
    (stack / "holder.json").write_text(json.dumps({"pid": os.getpid()}))
    said = habeas("clock", "reset", "--root", str(stack))
    assert said.code == 1
    assert "Stop it first" in said.words
    assert file.read_text() == "60\n"


def test_a_broken_file_is_told_and_mended_by_a_reset(stack: Path, file: Path) -> None:
    file.write_text("tomorrow")
    assert "habeas clock reset" in habeas("clock", "show", "--root", str(stack)).err
    assert habeas("clock", "reset", "--root", str(stack)).code == 0
    assert habeas("clock", "show", "--root", str(stack)).code == 0


@pytest.mark.parametrize("command", [("show",), ("advance", "31d"), ("reset",)])
def test_no_other_stack_is_touched(stack: Path, file: Path, command: tuple[str, ...]) -> None:
    said = habeas("clock", *command, "--root", str(stack), HABEAS_KAFKA_BOOTSTRAP_SERVERS="kafka.example.org:9092")
    assert said.code == 2
    assert "only a local stack's" in said.words
    assert not file.exists()


def test_a_local_stack_may_be_named_by_its_variables(tmp_path: Path, file: Path) -> None:
    named = {"HABEAS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", CLOCK_VARIABLE: str(file)}
    assert habeas("clock", "advance", "90m", "--root", str(tmp_path / "none"), **named).code == 0
    assert file.read_text() == "5400\n"


@pytest.mark.parametrize("text", ["tomorrow", "31", "99999d"])
def test_what_is_no_duration_is_a_usage_error(stack: Path, file: Path, text: str) -> None:
    assert habeas("clock", "advance", text, "--root", str(stack)).code == 2
    assert not file.exists()


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    said = habeas("clock", "show", "--root", str(tmp_path / "none"))
    assert said.code == 2
    assert "habeas up" in said.err
