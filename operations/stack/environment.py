"""The environment of each program: the variables it needs, and none that another alone may hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from operations.programs import SERVICES
from operations.stack.folder import dotenv, write_private
from operations.stack.kafka import client_variables, node_name
from operations.stack.ports import HOST
from operations.stack.postgres import Postgres
from operations.topology import OPERATORS

CLOCK = "clock"  # the file in the stack's folder that says how far its clock is ahead
CALLERS = {"billing", "payments"}  # of the payment processor: billing tells it of corrections
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
    brokers: int = 1


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a stack are, as its programs see them."""

    kafka: str  # bootstrap servers
    database: Callable[[str, str], str]  # the URL for a role and a database
    smtp: str  # URL
    public: str  # URL under which people reach the answers' pages
    processor: str  # URL
    store: str  # URL
    registry: str
    clock: str  # see CLOCK
    keys: Callable[[str], str]  # a principal's key file
    data: Callable[[str], str]  # a system's own folder
    http_ports: Mapping[str, int]


def environments(stack: Surroundings) -> dict[str, dict[str, str]]:
    """Return `HABEAS_*` for each service, system and portal, the operators, and the payment processor's stand-in."""
    places = Places(
        kafka=",".join(f"{HOST}:{stack.ports[node_name(number)]}" for number in range(1, stack.brokers + 1)),
        database=stack.postgres.url,
        smtp=f"smtp://{HOST}:{stack.ports['smtp']}",
        public=f"http://{HOST}:{stack.ports['notifier']}",
        processor=f"http://{HOST}:{stack.ports['processor']}",
        store=(stack.root / "store").as_uri(),
        registry=str(stack.registry),
        clock=str(stack.root / CLOCK),
        keys=lambda name: str(stack.keys[name]),
        data=lambda name: str(stack.root / "data" / name),
        http_ports=stack.ports,
    )
    return environments_at(places, stack.portals, stack.systems, stack.passwords)


def environments_at(
    places: Places, portals: Sequence[str], systems: Sequence[str], passwords: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Return what `environments` does, for a stack whose parts are anywhere. `passwords` are Kafka's, by principal."""
    store, registry = {"HABEAS_STORE_URL": places.store}, {"HABEAS_REGISTRY": places.registry}
    public = {"HABEAS_PUBLIC_URL": places.public}
    found: dict[str, dict[str, str]] = {}
    for name in (*SERVICES, OPERATORS, *portals, *systems):
        found[name] = {
            **client_variables(places.kafka, name, passwords[name]),
            "HABEAS_KEYS": places.keys(name),
            "HABEAS_CLOCK_OFFSET_FILE": places.clock,
        }
    for name in SERVICES:
        found[name] |= registry | {"HABEAS_DATABASE_URL": places.database(name, "habeas")}
    for name in ("collector", "notifier"):
        found[name] |= store
    found["notifier"] |= public | {"HABEAS_SMTP_URL": places.smtp}
    found[OPERATORS] |= registry | public | store | {"HABEAS_DATABASE_URL": places.database(OPERATORS, "habeas")}
    for name in systems:
        found[name]["HABEAS_DATA_DIR"] = places.data(name)
        if name in OWN_DATABASE:
            found[name]["HABEAS_DATABASE_URL"] = places.database(name, OWN_DATABASE[name])
    if "payments" in systems:
        found["processor"] = {"HABEAS_DATA_DIR": places.data("processor")}
        for name in CALLERS & found.keys():
            found[name]["HABEAS_PROCESSOR_URL"] = places.processor
    for name in found.keys() & places.http_ports.keys():
        found[name]["HABEAS_HTTP_PORT"] = str(places.http_ports[name])
    return found


def write_environments(folder: Path, found: Mapping[str, Mapping[str, str]]) -> None:
    """Write each as a dotenv file that its owner alone may read."""
    folder.mkdir(exist_ok=True, mode=0o700)
    for name, variables in found.items():
        write_private(folder / name, dotenv(variables))


def plain_environment() -> dict[str, str]:
    """Return our own environment without anything of Habeas's: what every child gets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")}
