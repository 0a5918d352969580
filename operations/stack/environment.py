"""The environment of each program: the variables it needs, and none that another alone may hold."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from operations.programs import SERVICES
from operations.stack.folder import dotenv, write_private
from operations.stack.kafka import client_variables
from operations.stack.ports import HOST
from operations.stack.postgres import Postgres
from operations.topology import OPERATORS

CLOCK = "clock"  # the file in the stack's folder that says how far its clock is ahead
OWN_DATABASE = {"billing": "billing"}  # systems that keep their data in PostgreSQL, and the database's name


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is to know about a stack that runs or is about to."""

    root: Path
    registry: Path
    portals: Sequence[str]
    systems: Sequence[str]
    ports: Mapping[str, int]
    keys: Mapping[str, Path]
    postgres: Postgres
    passwords: Mapping[str, str] = field(repr=False)  # Kafka's, by principal


def environments(stack: Surroundings) -> dict[str, dict[str, str]]:
    """Return `HABEAS_*` for each service, system and portal, the operators, and the payment processor's stand-in."""
    store = {"HABEAS_STORE_URL": (stack.root / "store").as_uri()}
    clock = {"HABEAS_CLOCK_OFFSET_FILE": str(stack.root / CLOCK)}
    registry = {"HABEAS_REGISTRY": str(stack.registry)}
    public = {"HABEAS_PUBLIC_URL": f"http://{HOST}:{stack.ports['notifier']}"}
    found: dict[str, dict[str, str]] = {}
    for name in (*SERVICES, OPERATORS, *stack.portals, *stack.systems):
        found[name] = {
            **client_variables(f"{HOST}:{stack.ports['kafka']}", name, stack.passwords[name]),
            "HABEAS_KEYS": str(stack.keys[name]),
            **clock,
        }
    for name in SERVICES:
        found[name] |= registry | {"HABEAS_DATABASE_URL": stack.postgres.url(name)}
    for name in ("collector", "notifier"):
        found[name] |= store
    found["notifier"] |= public | {"HABEAS_SMTP_URL": f"smtp://{HOST}:{stack.ports['smtp']}"}
    found[OPERATORS] |= registry | public | store | {"HABEAS_DATABASE_URL": stack.postgres.url(OPERATORS)}
    for name in stack.systems:
        found[name]["HABEAS_DATA_DIR"] = str(stack.root / "data" / name)
        if name in OWN_DATABASE:
            found[name]["HABEAS_DATABASE_URL"] = stack.postgres.url(name, OWN_DATABASE[name])
    if "payments" in stack.systems:
        found["processor"] = {"HABEAS_DATA_DIR": str(stack.root / "data" / "processor")}
        found["payments"]["HABEAS_PROCESSOR_URL"] = f"http://{HOST}:{stack.ports['processor']}"
    for name in found.keys() & stack.ports.keys():
        found[name]["HABEAS_HTTP_PORT"] = str(stack.ports[name])
    return found


def write_environments(folder: Path, found: Mapping[str, Mapping[str, str]]) -> None:
    """Write each as a dotenv file that its owner alone may read."""
    folder.mkdir(exist_ok=True, mode=0o700)
    for name, variables in found.items():
        write_private(folder / name, dotenv(variables))


def plain_environment() -> dict[str, str]:
    """Return our own environment without anything of Habeas's: what every child gets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")}
