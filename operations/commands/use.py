"""`habeas use`: one of the demonstration systems uses somebody's data, or says which limit keeps it from that."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from importlib import import_module
from typing import Annotated

import typer

from operations.commands.stack import JsonOption, RootOption
from operations.connection import DEFAULT_ROOT, variables
from operations.errors import OperationsError, UsageError
from operations.programs import SYSTEMS
from systems.use import Use

WHAT = {
    "billing": "an invoice run, by account id",
    "support": "a reply suggestion, by e-mail address",
    "analytics": "a page report by account id or cookie, a marketing message by e-mail address",
    "payments": "a charge, by payment customer id",
}


class NotUsedError(OperationsError):
    """A limit, or something else, stands in the way of the use."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("use")(use)


def use(
    system: Annotated[str, typer.Argument(help="; ".join(f"{name}: {what}" for name, what in WHAT.items()))],
    identifier: Annotated[str, typer.Argument(help="Whose data it is to use.")],
    as_json: JsonOption = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Have a system use somebody's data, as it does in its own work: restricted or objected to, it refuses (exit 1)."""
    if system not in SYSTEMS:
        raise UsageError(f"No such system: {system}. There are {', '.join(SYSTEMS)}.")
    os.environ |= variables(system, root, needed="HABEAS_DATA_DIR")
    done: Use = asyncio.run(import_module(f"systems.{system}.use").use(identifier))
    if as_json:
        print(json.dumps(asdict(done)))
    elif done.done:
        print(f"{system}: {done.what} for {done.purpose}: done")
    if not done.done:
        raise NotUsedError(f"{system}: no {done.what} for {done.purpose}: {done.why}.")
