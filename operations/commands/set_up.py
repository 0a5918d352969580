"""`habeas migrate` and `habeas topology apply|show`: what a stack needs before services can run."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from operations import migrate as migration
from operations import topology as wanted
from operations.commands.stack import JsonOption, RegistryOption, RootOption
from operations.connection import DEFAULT_ROOT, variables
from operations.inspect.drift import Difference, difference, look
from operations.stack.folder import read_json
from operations.stack.kafka import admin_client
from operations.stack.stack import REGISTRY

PartitionsOption = Annotated[int, typer.Option(help="Partitions of each new topic.", min=1)]
ReplicationOption = Annotated[int, typer.Option(help="Copies of each new topic.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("migrate")(migrate)
    topology = typer.Typer(help="Topics, principals and ACLs, from the registry.", no_args_is_help=True)
    topology.command("apply")(apply)
    topology.command("show")(show)
    app.add_typer(topology, name="topology")


def migrate(root: RootOption = DEFAULT_ROOT) -> None:
    """Create or upgrade the services' schemas, at HABEAS_DATABASE_URL or in the local stack."""
    url = variables(root=root, needed="HABEAS_DATABASE_URL")["HABEAS_DATABASE_URL"]
    done = asyncio.run(migration.migrate(url))
    for schema, files in done.items():
        print(f"{schema}: {', '.join(files) if files else 'up to date'}")


def show(
    registry: RegistryOption = REGISTRY,
    partitions: Annotated[int | None, typer.Option(help="Partitions of each topic.", min=1)] = None,
    replication: Annotated[int | None, typer.Option(help="Copies of each topic.", min=1)] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Only how the cluster differs from it; exit code 1 where it does.")
    ] = False,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Show what the registry asks for. Needs no stack, except for --diff."""
    topology = wanted.desired(*wanted.participants(registry), partitions or 4, replication or 1)
    if diff:
        present = look(admin_client(variables(root=root)), topology)
        _show_difference(difference(topology, present, partitions, replication), as_json=as_json)
        return
    if as_json:
        print(json.dumps(topology.as_json(), indent=1))
        return
    table = Table(Column("topic", no_wrap=True), "written by", "read by", "kept", "limit", box=None)
    for topic in topology.topics:
        may = {
            operation: ", ".join(
                acl.principal for acl in topology.acls if (acl.name, acl.operation) == (topic.name, operation)
            )
            for operation in ("READ", "WRITE")
        }
        kept = "the last of each key" if topic.compacted else f"{wanted.KEPT.days} days"
        table.add_row(topic.name, may["WRITE"], may["READ"], kept, f"{topic.limit >> 20} MB")
    console = Console()
    console.print(table)
    groups = (acl for acl in topology.acls if acl.resource == "GROUP")
    console.print(
        "\nGroups: " + ", ".join(f"{acl.principal} {acl.name}{'*' if acl.prefixed else ''}" for acl in groups)
    )


def _show_difference(found: Sequence[Difference], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"differs": bool(found), "differences": [each.as_json() for each in found]}, indent=1))
    elif not found:
        print("The cluster is as the registry asks.")
    else:
        for each in found:
            change = f": {each.found} instead of {each.wanted}" if each.wanted else ""
            print(f"{each.kind:<8} {each.what:<10} {each.name}{change}")
        print(
            "\n`habeas topology apply` adds what is missing and sets what is other (never the number of partitions or "
            "copies). What is extra it leaves alone: removing it is for a person."
        )
    if found:
        raise typer.Exit(1)


def apply(
    registry: RegistryOption = REGISTRY,
    partitions: PartitionsOption = 4,
    replication: ReplicationOption = 1,
    passwords: Annotated[
        Path | None, typer.Option(help="JSON file {name: password} for principals that are new to the cluster.")
    ] = None,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Create the topics, principals and ACLs that are missing. Nothing is ever removed; run it as often as you like."""
    if passwords is not None:
        known = read_json(passwords)
    else:
        known = (
            {} if "HABEAS_KAFKA_BOOTSTRAP_SERVERS" in os.environ else read_json(root / "secrets.json").get("kafka", {})
        )
    topology = wanted.desired(*wanted.participants(registry), partitions, replication)
    changes = wanted.apply(admin_client(variables(root=root)), topology, known)
    if as_json:
        print(json.dumps(changes.as_json(), indent=1))
        return
    for kind, lines in changes.as_json().items():
        for line in lines:
            print(f"{kind:<12} {line}")
    print("Applied." if changes else "Nothing to do: the cluster has all of it.")
