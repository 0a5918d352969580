"""`habeas ps`: what runs, ready or not, and how far behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import psutil  # type: ignore[import-untyped]
import typer
from confluent_kafka import KafkaException
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from operations.commands.stack import JsonOption, RootOption
from operations.connection import DEFAULT_ROOT, local_variables
from operations.errors import OperationsError, UsageError
from operations.inspect.durations import spelled
from operations.lag import lag_by_name
from operations.stack.folder import read_json
from operations.stack.health import answers_ready
from operations.stack.kafka import admin_client
from operations.topology import OPERATORS

EVERY = 2.0  # seconds between two looks of --watch


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("ps")(ps)


def ps(
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")] = False,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Show what runs in the local stack: name, pid, ready or not, how many messages behind."""
    if watch and as_json:
        raise UsageError("--watch is for people: ask for --json as often as you like instead.")
    if as_json:
        print(json.dumps(asyncio.run(_look(root)), indent=1))
        return
    console = Console()
    if not watch:
        console.print(_table(asyncio.run(_look(root))))
        return
    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(_table(asyncio.run(_look(root))), refresh=True)
                time.sleep(EVERY)
    except KeyboardInterrupt:
        return


async def _look(root: Path) -> list[dict[str, Any]]:
    """Each process as it is now. Raises OperationsError when no stack runs in `root`."""
    holder = read_json(root / "holder.json").get("pid")
    if holder is None or not psutil.pid_exists(holder):
        raise OperationsError(f"No stack runs in {root}. Start one with `habeas up`.")
    processes = read_json(root / "state.json").get("processes", [])
    try:
        lag = await asyncio.to_thread(lag_by_name, admin_client(local_variables(OPERATORS, root)))
    except KafkaException:
        lag = {}
    answers = await asyncio.gather(*(_ready(known) for known in processes))
    wanted = ("name", "kind", "pid", "port", "state", "started_at", "restarts")
    return [
        {**{key: known[key] for key in wanted}, "ready": answer, "lag": lag.get(known["name"])}
        for known, answer in zip(processes, answers, strict=True)
    ]


async def _ready(known: dict[str, Any]) -> bool:
    if known["kind"] in ("service", "system"):
        return await answers_ready(known["port"])
    return bool(known["state"] == "ready")


def _table(rows: Sequence[dict[str, Any]]) -> Group:
    table = Table("name", "pid", "port", "ready", "up", "restarts", box=None)
    table.add_column("lag", justify="right")
    for row in rows:
        ready = Text("ready", style="green") if row["ready"] else Text(row["state"], style="bold red")
        lag = "" if row["lag"] is None else str(row["lag"])
        up = _up(row["started_at"]) if row["pid"] else ""
        table.add_row(row["name"], str(row["pid"] or ""), str(row["port"]), ready, up, str(row["restarts"]), lag)
    return Group(table, Text(totals(rows)))


def totals(rows: Sequence[dict[str, Any]]) -> str:
    """One line on all of it: how many are ready, how far behind, how often started again."""
    ready = sum(row["ready"] for row in rows)
    lags = [row["lag"] for row in rows if row["lag"] is not None]
    kafka = any(row["name"] == "kafka" and row["ready"] for row in rows)
    unknown = "nobody has consumed yet" if kafka else "lag unknown while Kafka does not answer"
    behind = f"{sum(lags)} messages behind" if lags else unknown
    return f"{ready} of {len(rows)} ready, {behind}, {sum(row['restarts'] for row in rows)} restarts"


def _up(since: str | None) -> str:
    """How long, in the largest unit."""
    if since is None:
        return ""
    length = datetime.now(UTC) - datetime.fromisoformat(since)
    for unit in (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)):
        if length >= unit:
            return spelled(length - length % unit)
    return spelled(length)
