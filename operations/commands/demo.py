"""`habeas demo`: the main job, watched live."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console

from operations.stack.jars import kafka_jars

DEFAULT_ROOT = Path(".habeas/demo")
PLAIN_WIDTH = 140  # columns, where no terminal says how many there are


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("demo")(demo)


def demo(
    root: Annotated[
        Path, typer.Option("--root", help="The demo's own folder; what is in it is replaced.")
    ] = DEFAULT_ROOT,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the stack's data as well: `habeas up --root …` goes on with them.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Line by line, as where there is no terminal.")] = False,
) -> None:
    """Start a local stack, submit requests, kill one service, stop one system, and check that nothing was lost."""
    began = monotonic()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # symbols that a terminal has no letters for
    plain = plain or not sys.stdout.isatty()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    kafka_jars()  # before anything is drawn: the first time it shows how far the download is
    raise typer.Exit(asyncio.run(_run(console, root, keep, plain, began)))


async def _run(console: Console, root: Path, keep: bool, plain: bool, began: float) -> int:
    from operations.demo.run import run  # noqa: PLC0415 - takes time that `habeas --help` need not

    playing = asyncio.create_task(run(console, root, keep=keep, plain=plain, began=began))
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
