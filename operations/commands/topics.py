"""`habeas topics list|resume`: partitions that a service has stopped reading, and how they go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from habeas.contracts.cloudevents import rfc3339
from operations.commands.stack import JsonOption, RootOption
from operations.completion import services
from operations.connection import DEFAULT_ROOT, clock, variables
from operations.errors import OperationsError, UsageError
from operations.inspect.kafka import account_name
from operations.inspect.pauses import Paused, find_paused, resume
from operations.programs import SERVICES

ServiceOption = Annotated[str | None, typer.Option("--service", help="Of this service alone.", autocompletion=services)]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    topics = typer.Typer(no_args_is_help=True, help="Partitions that stand still after a flood of unreadable records.")
    topics.command("list")(list_them)
    topics.command("resume")(resume_them)
    app.add_typer(topics, name="topics")


def list_them(service: ServiceOption = None, root: RootOption = DEFAULT_ROOT, as_json: JsonOption = False) -> None:
    """List paused partitions: who paused them, since when, at which offset, how many records wait there."""
    found = asyncio.run(find_paused(variables(root=root), _chosen(service)))
    if as_json:
        print(json.dumps({"paused": [_as_json(each) for each in found]}, indent=1))
        return
    console = Console(highlight=False)
    if not found:
        console.print("No partition is paused.")
        return
    console.print(_table(found))
    console.print(
        f"{_partitions(len(found))} paused after a run of records that could not be decoded. `habeas dead-letters "
        "list` says why the first of them were refused; `habeas topics resume TOPIC` lets it go on.",
        soft_wrap=True,
    )


def resume_them(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic, as `list` has it.")],
    partition: Annotated[int | None, typer.Option("--partition", help="One partition of it; else all.", min=0)] = None,
    step: Annotated[
        bool, typer.Option("--step", help="Pause again after as many more undecodable records as the limit.")
    ] = False,
    service: ServiceOption = None,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Let paused partitions go on. What waits there now and cannot be decoded goes to the dead letters.

    Mend the cause first, and there is nothing to bury: a missing key, a sender gone wrong, a service too old to read
    what was sent. Records that come later pause the partition again if they are as bad.
    """
    environment = variables(root=root)
    resumed = asyncio.run(_resume(environment, _chosen(service), topic, partition, step=step))
    if as_json:
        print(json.dumps({"resumed": [_as_json(each) for each in resumed]}, indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    for each in resumed:
        console.print(
            f"{each.service} goes on with {each.topic}, partition {each.partition}, at offset {each.offset}: "
            f"{each.behind} record{'' if each.behind == 1 else 's'} to read."
        )


async def _resume(
    environment: dict[str, str], chosen: Sequence[str], topic: str, partition: int | None, *, step: bool
) -> list[Paused]:
    found = await find_paused(environment, chosen, topic, partition)
    resumed = await resume(environment, found, by=account_name(), now=clock(environment)(), step=step)
    if not resumed:
        where = topic if partition is None else f"{topic}, partition {partition},"
        raise OperationsError(
            f"{where} is not paused by {' or '.join(chosen)}: there is nothing to resume. `habeas topics list` shows "
            "what is."
        )
    return resumed


def _chosen(service: str | None) -> tuple[str, ...]:
    if service is None:
        return SERVICES
    if service not in SERVICES:
        raise UsageError(f"There is no service {service!r}, but {', '.join(SERVICES)}.")
    return (service,)


def _table(found: Sequence[Paused]) -> Table:
    """Two lines for each, so that a topic can be copied from a terminal of 80 columns."""
    table = Table(
        Column("topic, partition, paused by", overflow="fold"),
        Column("offset", justify="right", no_wrap=True),
        Column("since", no_wrap=True),
        Column("waiting", justify="right", no_wrap=True),
        box=None,
    )
    for each in found:
        place = f"{each.topic}\npartition {each.partition}, by {each.service}"
        table.add_row(place, str(each.offset), f"{each.since:%Y-%m-%d %H:%M}", str(each.behind))
    return table


def _partitions(many: int) -> str:
    return "1 partition is" if many == 1 else f"{many} partitions are"


def _as_json(each: Paused) -> dict[str, Any]:
    return {
        "service": each.service,
        "topic": each.topic,
        "partition": each.partition,
        "offset": each.offset,
        "since": rfc3339(each.since),
        "records_behind": each.behind,
    }
