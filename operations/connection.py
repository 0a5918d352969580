"""Which stack a command talks to: the one that `HABEAS_*` names, else the local one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dotenv

from habeas.settings import KafkaSettings
from operations.errors import UsageError
from operations.topology import OPERATORS
from shared.clock import Clock, clock_with

DEFAULT_ROOT = Path(".habeas")
CLOCK_VARIABLE = "HABEAS_CLOCK_OFFSET_FILE"


def variables(
    name: str = OPERATORS, root: Path = DEFAULT_ROOT, needed: str = "HABEAS_KAFKA_BOOTSTRAP_SERVERS"
) -> dict[str, str]:
    """Return the `HABEAS_*` variables to act as `name`: ours if `needed` is among them, else the local stack's.

    Raises UsageError when there are neither.
    """
    if needed in os.environ:
        return {key: value for key, value in os.environ.items() if key.startswith("HABEAS_")}
    return local_variables(name, root)


def local_variables(name: str, root: Path = DEFAULT_ROOT) -> dict[str, str]:
    """Return the `HABEAS_*` variables of `name` in the local stack. Raises UsageError when there is none."""
    file = root / "env" / name
    if not file.is_file():
        names = sorted(each.name for each in file.parent.iterdir()) if file.parent.is_dir() else []
        if names:
            raise UsageError(f"The local stack has no {name!r}, but {', '.join(names)}. Name another with --root.")
        raise UsageError(
            f"There is no local stack to act in as {name} ({file} is missing), and HABEAS_* names no other. "
            "Start the local one with `habeas up`, or set the variables of the one to use."
        )
    return {key: value for key, value in dotenv.dotenv_values(file, interpolate=False).items() if value is not None}


def client_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return aiokafka's connection options for these `HABEAS_*` variables."""
    prefix = "HABEAS_KAFKA_"
    given = {key.removeprefix(prefix).lower(): value for key, value in environment.items() if key.startswith(prefix)}
    return KafkaSettings(**given).client_options()  # type: ignore[arg-type]


def clock(environment: Mapping[str, str]) -> Clock:
    """Return the clock of the stack that these variables belong to: a local one's may be ahead."""
    file = environment.get(CLOCK_VARIABLE)
    return clock_with(Path(file) if file else None)
