"""`habeas status`: one request, system by system."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from habeas.contracts.cloudevents import rfc3339
from operations.commands.stack import JsonOption, RootOption
from operations.connection import DEFAULT_ROOT, clock, variables
from operations.inspect.cases import Attempt, Case, find_case, is_overdue
from operations.inspect.database import reading
from operations.inspect.references import request_named


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("status")(status)


def status(
    request: Annotated[
        str, typer.Argument(metavar="ID|REFERENCE", help="The request's id, or its reference, however it was written.")
    ],
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Show one request, system by system: what was asked, answered and told, and when. It names no person."""
    named = request_named(request)
    environment = variables(root=root, needed="HABEAS_DATABASE_URL")

    async def find(named: UUID | str) -> Case:
        async with reading(environment) as connection:
            return await find_case(connection, named)

    case = asyncio.run(find(named))
    now = clock(environment)()
    if as_json:
        print(json.dumps(_as_json(case, now), indent=1))
    else:
        _print(case, now)


def _print(case: Case, now: datetime) -> None:
    console = Console(highlight=False)
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(case, now):
        facts.add_row(name, value)
    console.print(facts)
    if case.status is not None and case.status.systems:
        systems = Table("system", "state", "outcome", "reason", box=None)
        for item in case.status.systems:
            systems.add_row(item.system, item.state, item.outcome or "", item.reason or "")
        console.print("\n[bold]Systems[/]", systems, sep="\n")
    if case.attempts:
        console.print("\n[bold]Tasks[/]", _tasks(case.attempts), sep="\n")
    if case.deliveries:
        told = Table(Column("told", no_wrap=True), "whom", "what", "mail", box=None)
        for each in case.deliveries:
            told.add_row(_instant(each.at), each.recipient, each.notice, each.result)
        console.print("\n[bold]Told[/]", told, sep="\n")


def _facts(case: Case, now: datetime) -> list[tuple[str, str]]:
    """Name and value of each line of the head."""
    opened, said = case.opened, case.status
    facts = [
        ("Reference", str(opened.get("reference"))),
        ("Id", str(case.request_id)),
        ("Portal", str(opened.get("portal"))),
        ("Right", f"{opened.get('right')}, {opened.get('regulation') or 'no regulation'}"),
    ]
    if said is None:
        return [*facts, ("State", "opened; the collector has published no status yet")]
    if said.state == "triage":
        facts.append(("Revision", f"{opened.get('version', 1)}: what `habeas classify --authorised` vouches for"))
    facts += [
        ("Received", _instant(said.received_at)),
        (
            "State",
            f"{said.state}{f' for {said.waiting_for}' if said.waiting_for else ''}, since {_instant(said.since)}",
        ),
    ]
    if said.outcome:
        facts.append(("Outcome", said.outcome))
    if said.reason:
        ground = f" ({said.reason.ground})" if said.reason.ground else ""
        facts.append(("Reason", f"{said.reason.code}{ground}"))
    if said.due:
        late = ", [bold red]overdue[/]" if is_overdue(said, now) else ""
        extended = f", extended from {_instant(said.due.original_at)}" if said.due.extended else ""
        facts += [("Due", f"{said.due.on} ({_instant(said.due.at)}){extended}{late}"), ("Rule", escape(said.due.rule))]
    if said.answer:
        until = f" until {_instant(said.answer.expires_at)}" if said.answer.expires_at else ""
        facts.append(("Answer", f"to be collected{until}" if said.answer.available else "no longer there"))
    return facts


def _tasks(attempts: tuple[Attempt, ...]) -> Table:
    names = (Column(name, no_wrap=True) for name in ("system", "action", "due", "answered", "outcome"))
    table = Table(*names, Column("did", overflow="fold"), box=None)
    for each in attempts:
        did = "\n".join(
            f"{item.count} {item.category} {item.did}{f' ({item.ground})' if item.ground else ''}"
            for item in each.summary
        )
        outcome = each.outcome or each.state or ("asked" if each.current else "not answered")
        table.add_row(
            each.system,
            each.action or "",
            f"{each.due_at:%m-%d}" if each.due_at else "",
            f"{each.answered_at:%m-%d %H:%M}" if each.answered_at else "",
            outcome,
            did,
        )
    return table


def _as_json(case: Case, now: datetime) -> dict[str, Any]:
    said = case.status
    return {
        "request_id": str(case.request_id),
        "reference": case.opened.get("reference"),
        "portal": case.opened.get("portal"),
        "decision": case.opened.get("decision"),
        "revision": case.opened.get("version", 1),
        "status": {**said.model_dump(mode="json"), "overdue": is_overdue(said, now)} if said else None,
        "tasks": [
            {
                "system": each.system,
                "task_id": str(each.task_id),
                "action": each.action,
                "current": each.current,
                "due_at": each.due_at and rfc3339(each.due_at),
                "state": each.state,
                "outcome": each.outcome,
                "answered_at": each.answered_at and rfc3339(each.answered_at),
                "summary": [item.model_dump(mode="json") for item in each.summary],
            }
            for each in case.attempts
        ],
        "told": [
            {
                "notice": each.notice,
                "recipient": each.recipient,
                "ordinal": each.ordinal,
                "result": each.result,
                "at": rfc3339(each.at),
            }
            for each in case.deliveries
        ],
    }


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
