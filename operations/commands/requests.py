"""`habeas requests`: what is open, soonest due first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from habeas.contracts.status import StatusChanged
from habeas.contracts.vocabulary import RequestState, Right, SystemState
from operations.commands.stack import JsonOption, RootOption
from operations.connection import DEFAULT_ROOT, clock, variables
from operations.errors import UsageError
from operations.inspect.cases import COUNTED, Found, Wanted, find_requests, is_overdue
from operations.inspect.database import reading


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("requests")(requests)


def requests(
    overdue: Annotated[bool, typer.Option("--overdue", help="Those whose due time has passed.")] = False,
    due_before: Annotated[
        str | None, typer.Option(metavar="DATE", help="Due before this day of the controller's calendar: 2026-04-01.")
    ] = None,
    state: Annotated[RequestState | None, typer.Option(help="Those in this state.")] = None,
    right: Annotated[Right | None, typer.Option(help="Those that ask for this right.")] = None,
    closed_too: Annotated[
        bool, typer.Option("--all", help="Closed ones too, after the open ones, latest first.")
    ] = False,
    limit: Annotated[int, typer.Option(help="How many to show, at most.", min=1, max=10_000)] = 50,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """List open requests, soonest due first. Nothing in the list names a person."""
    environment = variables(root=root, needed="HABEAS_DATABASE_URL")
    now = clock(environment)()
    wanted = Wanted(now, overdue, _day(due_before), state, right, closed_too)

    async def find() -> Found:
        async with reading(environment) as connection:
            return await find_requests(connection, wanted, limit)

    found = asyncio.run(find())
    if as_json:
        rows = [{**each.model_dump(mode="json"), "overdue": is_overdue(each, now)} for each in found.requests]
        answer = {"requests": rows, "shown": len(rows), "total": found.total, "counted_all": found.counted_all}
        print(json.dumps(answer, indent=1))
        return
    console = Console(highlight=False)
    if found.requests:
        console.print(_table(found.requests, now))
    console.print(_how_many(found, wanted))


def _table(found: Sequence[StatusChanged], now: datetime) -> Table:
    table = Table(Column("reference", no_wrap=True), box=None, pad_edge=False, collapse_padding=True)
    table.add_column("right", overflow="fold")
    table.add_column("state, why", overflow="fold")
    table.add_column("due", no_wrap=True)
    table.add_column("left", justify="right", no_wrap=True)
    table.add_column("systems", justify="right", no_wrap=True)
    for each in found:
        state = each.outcome or (f"{each.state} for {each.waiting_for}" if each.waiting_for else each.state)
        why = f"\n{each.reason.code}" if each.reason else ""
        asked = [item for item in each.systems if item.state != SystemState.EXCLUDED]
        done = sum(item.state == SystemState.FINISHED for item in asked)
        table.add_row(
            each.reference,
            each.right,
            f"{state}{why}",
            str(each.due.on) if each.due else "none",
            _left(each, now),
            f"{done}/{len(asked)}" if asked else "",
        )
    return table


def _left(status: StatusChanged, now: datetime) -> Text:
    """Days until it is due, or since it was."""
    if status.state == RequestState.CLOSED or status.due is None:
        return Text("")
    if is_overdue(status, now):
        days = max(0, (now - status.due.at).days)
        return Text(f"overdue {days} d" if days else "overdue", style="bold red")
    return Text(f"{(status.due.at - now).days} d")


def _how_many(found: Found, wanted: Wanted) -> str:
    kind = "" if wanted.closed_too else "closed " if wanted.state == RequestState.CLOSED else "open "
    if not found.requests:
        return f"No {kind}request is like that." if wanted.narrowed else f"There is no {kind}request."
    total = str(found.total) if found.counted_all else f"more than {COUNTED}"
    shown = len(found.requests)
    more = "" if shown == found.total else " `--limit` shows more."
    return f"{shown} of {total} {kind}request{'' if found.total == 1 else 's'}.{more}"


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--due-before {text!r} is no date: write it as 2026-04-01.") from None
