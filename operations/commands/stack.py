"""`habeas up`, `service` and `system`: the local stack and its programs."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from operations import completion, programs
from operations.connection import DEFAULT_ROOT, variables
from operations.errors import UsageError
from operations.stack import PROGRAMS, Ports, Stack
from operations.stack.stack import PROCESSOR, REGISTRY
from operations.stack.supervisor import Process
from operations.topology import OPERATORS

RootOption = Annotated[Path, typer.Option("--root", help="The stack's folder.")]
RegistryOption = Annotated[
    Path, typer.Option("--registry", envvar="HABEAS_REGISTRY", help="The controller's registry, a TOML file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("up")(up)
    app.command("service")(service)
    app.command("system")(system)


def _port(use: str) -> Any:
    help_text = f"Port for {use}. Default: a free one."
    return typer.Option(f"--{use}-port", envvar=f"HABEAS_STACK_{use.upper()}_PORT", help=help_text, min=1, max=65535)


def up(
    without: Annotated[
        str,
        typer.Option(metavar="NAME,…", help="Services and systems to leave out.", autocompletion=completion.programs),
    ] = "",
    root: RootOption = DEFAULT_ROOT,
    registry: RegistryOption = REGISTRY,
    brokers: Annotated[
        int, typer.Option(help="Kafka's nodes; with three, any one may die and nobody waits for it.", min=1)
    ] = 1,
    kafka_port: Annotated[int | None, _port("kafka")] = None,
    postgres_port: Annotated[int | None, _port("postgres")] = None,
    smtp_port: Annotated[int | None, _port("smtp")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget everything that an earlier run left.")] = False,
) -> None:
    """Run the local stack, its services and systems, in the foreground, until Ctrl-C."""
    left_out = {name.strip() for name in without.split(",") if name.strip()}
    if unknown := left_out - {*PROGRAMS}:
        raise UsageError(f"--without: no such program: {', '.join(sorted(unknown))}. There are {', '.join(PROGRAMS)}.")
    if "payments" in left_out:
        left_out.add(PROCESSOR)  # which only payments talks to
    console = Console(highlight=False)
    stack = Stack(
        root,
        [name for name in PROGRAMS if name not in left_out],
        registry=registry,
        ports=Ports(kafka_port, postgres_port, smtp_port),
        brokers=brokers,
        fresh=fresh,
        tell=console.print,
        on_change=lambda process: _tell_change(console, process),
    )
    asyncio.run(_run(stack, console))


async def _run(stack: Stack, console: Console) -> None:
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    stop = asyncio.create_task(asked_to_stop.wait())
    start = asyncio.create_task(stack.up())
    await asyncio.wait({stop, start}, return_when=asyncio.FIRST_COMPLETED)
    if not start.done():
        start.cancel()
    try:
        await start
    except asyncio.CancelledError:
        console.print("Stopped before everything was up.")
        return
    try:
        console.print(_where_to_find(stack))
        await stop
    finally:
        console.print("Stopping.")
        await stack.down()


def _tell_change(console: Console, process: Process) -> None:
    again = f" (start {process.restarts + 1})" if process.restarts else ""
    pid = f" pid {process.pid}" if process.pid else ""
    console.print(f"{datetime.now().astimezone():%H:%M:%S} {process.name:<10} {process.state}{pid}{again}")


def _where_to_find(stack: Stack) -> Table:
    table = Table.grid(padding=(0, 2))
    kafka = stack.env(OPERATORS)["HABEAS_KAFKA_BOOTSTRAP_SERVERS"]
    for what, where in (
        ("Kafka", f"{kafka} (SASL/SCRAM-SHA-512)"),
        ("PostgreSQL", f"127.0.0.1:{stack.ports['postgres']} (databases habeas, billing)"),
        ("Mails", f"{stack.mail} (SMTP on 127.0.0.1:{stack.ports['smtp']})"),
        ("Environments", f"{stack.root / 'env'}: to join as NAME, `set -a; . {stack.root / 'env'}/NAME`"),
        ("Logs", str(stack.root / "log")),
        ("Registry", str(stack.registry)),
        ("State", "`habeas ps`; stop with Ctrl-C"),
    ):
        table.add_row(what, where)
    return table


def service(
    name: Annotated[
        str, typer.Argument(help="intake, fanout, collector or notifier", autocompletion=completion.services)
    ],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Run one service against the stack that HABEAS_* names, else in its place in the local one."""
    os.environ |= variables(name, root)
    programs.run_service(name)


def system(
    name: Annotated[
        str, typer.Argument(help="billing, support, analytics or payments", autocompletion=completion.systems)
    ],
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Run one of the four systems against the stack that HABEAS_* names, else in its place in the local one."""
    os.environ |= variables(name, root)
    programs.run_system(name)
