"""Where things are in a container made from our image, and what the compose file calls them."""

from __future__ import annotations

import os
from pathlib import Path

from operations.programs import SERVICES

USER = 10001  # uid and gid of everything that runs in our image; the Dockerfile says it too

HOME = Path("/habeas")  # the image's working folder
OWN = HOME / ".habeas"  # what one container may know of the stack: `env/<name>`, `keys/<name>.json`
STORE = HOME / "store"
DATA = HOME / "data"
CLOCK = HOME / "clock"
SECRETS = HOME / "secrets"  # in the generator alone: each one's volume under its name
CODE = Path("/opt/habeas")
REGISTRY = CODE / "registry/ale.toml"

VAULT = "vault"  # the generator's own volume: all of it, remembered
KAFKA = "kafka"
POSTGRES = "postgres"
PROCESSOR = "processor"

HTTP_PORT = 8080
KAFKA_PORT = 9092
KAFKA_HOST_PORT = 9094  # in the container; published on the loopback interface for programs outside
KAFKA_CONTROLLER_PORT = 9093
SMTP_PORT = 1025
MAIL_API_PORT = 8025


def folders(root: Path, systems: tuple[str, ...]) -> list[Path]:
    """Return the folders that volumes are mounted on.

    A volume takes its owner from the image's folder the first time, so each has to be there.
    """
    owners = (VAULT, "operators", KAFKA, POSTGRES, *SERVICES, *systems, PROCESSOR)
    return [*(root / path.name for path in (OWN, STORE, DATA, CLOCK)), *(root / SECRETS.name / each for each in owners)]


def make_folders(root: Path, systems: tuple[str, ...], owner: int = USER) -> None:
    """Make them, for `owner` alone to write to. Part of the image's build."""
    for path in folders(root, systems):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o750)
        os.chown(path, owner, owner)
