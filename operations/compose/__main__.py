"""`python -m operations.compose …`: what the compose file's own one-shot services run, and how a machine outside joins.

`folders`, `secrets`, `roles`, `processor` and `hand-out` are for containers made from our image; `join` is for the
machine on which `docker compose` runs.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import sys
from pathlib import Path
from typing import Annotated

import typer

from operations.compose import places
from operations.compose.secrets import Outside, as_json, create_roles, generate, hand_out
from operations.connection import local_variables
from operations.errors import OperationsError
from operations.topology import participants

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

KafkaOption = Annotated[
    str, typer.Option(envvar="HABEAS_COMPOSE_KAFKA", help="host:port by which programs outside reach Kafka.")
]
PublicOption = Annotated[
    str, typer.Option(envvar="HABEAS_COMPOSE_PUBLIC", help="URL by which people reach the answers' pages.")
]


@app.command()
def folders() -> None:
    """Make the folders that volumes are mounted on: part of the image's build."""
    places.make_folders(places.HOME, participants(places.REGISTRY)[1])


@app.command()
def secrets(kafka: KafkaOption, public: PublicOption) -> None:
    """Make the secrets that are missing, and give each container its own."""
    written = generate(places.SECRETS, places.REGISTRY, Outside(kafka, public))
    print(f"secrets of {', '.join(written)}")


@app.command("hand-out")
def hand_out_(kafka: KafkaOption, public: PublicOption) -> None:
    """Print what the portals and the operators need outside, as JSON: for `join` alone."""
    print(as_json(hand_out(places.SECRETS, places.REGISTRY, Outside(kafka, public))))


@app.command()
def roles() -> None:
    """Create PostgreSQL's roles and databases."""
    asyncio.run(create_roles(places.OWN))
    print("roles and databases are there")


@app.command()
def processor() -> None:
    """Run the payment processor that the demonstration's adapter talks to."""
    os.environ |= local_variables(places.PROCESSOR, places.OWN)
    runpy.run_module("systems.payments.processor", run_name="__main__")


@app.command()
def join(root: Annotated[Path, typer.Option(help="Where to write them.")] = Path(".habeas/compose")) -> None:
    """Write the portals' and operators' environments and keys to a folder, for commands with --root."""
    from operations.compose.engine import Engine  # noqa: PLC0415 - containers have no engine to talk to
    from operations.compose.joined import take_secrets  # noqa: PLC0415

    names = asyncio.run(take_secrets(Engine(), root.absolute()))
    print(f"{root}/env has {', '.join(names)}: use `--root {root}`")


if __name__ == "__main__":
    try:
        app()
    except OperationsError as error:
        print(f"habeas: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
