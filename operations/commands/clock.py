"""`habeas clock show|advance|reset`: the local stack's clock, so that a month can pass in a minute."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import psutil  # type: ignore[import-untyped]
import typer

from operations.commands.stack import JsonOption, RootOption
from operations.connection import CLOCK_VARIABLE, DEFAULT_ROOT, variables
from operations.errors import OperationsError, UsageError
from operations.inspect.durations import duration, spelled
from operations.stack.folder import read_json, write_private
from shared.clock import ClockError, OffsetClock, read_offset

FURTHEST = timedelta(days=36_500)  # a hundred years: no calendar of a rule reaches further


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    clock = typer.Typer(no_args_is_help=True, help="The local stack's clock. No other stack's can be changed.")
    clock.command("show")(show)
    clock.command("advance")(advance)
    clock.command("reset")(reset)
    app.add_typer(clock, name="clock")


def show(root: RootOption = DEFAULT_ROOT, as_json: JsonOption = False) -> None:
    """Say what time it is for the services, and how far that is ahead."""
    _tell(_offset_file(root), as_json=as_json)


def advance(
    by: Annotated[str, typer.Argument(metavar="DURATION", help="How far: 31d, 12h, 90m, 1d12h.")],
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Let time pass. The services follow at once; their timers fire within a minute."""
    step = duration(by)
    if step is None:
        raise UsageError(f"{by!r} is no duration: write days, hours and minutes as 31d, 12h, 90m or 1d12h.")
    file = _offset_file(root)
    offset = _offset(file) + step
    if offset > FURTHEST:
        raise UsageError(f"{by} is too far: a stack's clock may be {FURTHEST.days} days ahead at most.")
    write_private(file, f"{int(offset.total_seconds())}\n")
    _tell(file, as_json=as_json)


def reset(root: RootOption = DEFAULT_ROOT, as_json: JsonOption = False) -> None:
    """Take the clock back to the system's time. Only while the stack is stopped: no clock may run backwards."""
    file = _offset_file(root)
    holder = read_json(file.parent / "holder.json").get("pid")
    if holder is not None and psutil.pid_exists(holder):
        raise OperationsError(
            f"The stack in {file.parent} runs (process {holder}), and time cannot run backwards under it. Stop it "
            "first; what it has noted at later times stays, so `habeas up --fresh` is often what is wanted."
        )
    file.unlink(missing_ok=True)
    _tell(file, as_json=as_json)


def _offset_file(root: Path) -> Path:
    """Return the file that keeps the offset. Raises UsageError where there is no clock to change."""
    file = variables(root=root).get(CLOCK_VARIABLE)
    if not file:
        raise UsageError(
            f"The stack that HABEAS_* names keeps the system's time and has no {CLOCK_VARIABLE}: only a local stack's "
            "clock can be changed. Unset HABEAS_KAFKA_BOOTSTRAP_SERVERS to mean the local one; if that one was started "
            "by an earlier version, start it again."
        )
    return Path(file)


def _offset(file: Path) -> timedelta:
    try:
        return read_offset(file)
    except ClockError as error:
        raise OperationsError(str(error)) from None


def _tell(file: Path, *, as_json: bool) -> None:
    offset = _offset(file)
    now = OffsetClock(file)().isoformat(timespec="seconds").replace("+00:00", "Z")
    if as_json:
        print(json.dumps({"now": now, "offset_seconds": int(offset.total_seconds())}, indent=1))
    else:
        print(f"{now}, " + (f"{spelled(offset)} ahead of the system's clock" if offset else "as the system's clock"))
