"""`habeas demo`: the main job, watched live."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from operations.errors import UsageError
from operations.stack.jars import kafka_jars

if TYPE_CHECKING:
    from operations.demo.run import Wishes

PLAIN_WIDTH = 140  # columns, where no terminal says how many there are

DRAWN = (".svg", ".txt")


class Against(StrEnum):
    """Where the demo is played."""

    LOCAL = "local"
    COMPOSE = "compose"


ROOTS = {Against.LOCAL: Path(".habeas/demo"), Against.COMPOSE: Path(".habeas/compose")}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("demo")(demo)


def demo(
    root: Annotated[
        Path | None,
        typer.Option("--root", help="The demo's own folder; what is in it is replaced. Default: .habeas/demo."),
    ] = None,
    against: Annotated[
        Against, typer.Option("--against", help="A local stack of its own, or the one that runs in containers.")
    ] = Against.LOCAL,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the stack's data as well: `habeas up --root …` goes on with them.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Line by line, as where there is no terminal.")] = False,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Draw what was to be seen: FILE.svg, or FILE.txt.")
    ] = None,
) -> None:
    """Start a local stack, submit requests, kill one service, stop one system, and check that nothing was lost."""
    began = monotonic()
    if record and record.suffix not in DRAWN:
        raise UsageError(f"{record}: give a name that ends with {' or '.join(DRAWN)}.")
    if against is Against.COMPOSE and keep:
        raise UsageError("--keep is for a stack of the demo's own; the one in containers stays as it is in any case.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # symbols that a terminal has no letters for
    plain = plain or not sys.stdout.isatty()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    if against is Against.LOCAL:
        kafka_jars()  # before anything is drawn: the first time it shows how far the download is
    from operations.demo.run import Wishes  # noqa: PLC0415 - takes time that `habeas --help` need not

    wishes = Wishes(root or ROOTS[against], began, against.value, keep, plain, record)
    raise typer.Exit(asyncio.run(_run(console, wishes)))


async def _run(console: Console, wishes: Wishes) -> int:
    from operations.demo.run import run  # noqa: PLC0415 - as above

    playing = asyncio.create_task(run(console, wishes))
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:  # once: a second time would cut the stopping short
            interrupted = True
            console.print("Stopping everything.")
            playing.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    try:
        return await playing
    except asyncio.CancelledError:
        console.print("Stopped before the end; everything is down.")
        return 1
