"""Kafka's jars, fetched once into the user's cache folder.

`kafka.lock` beside this file says which: size, SHA-256 and coordinate of each, as the resolver found them; `python -m
operations.stack.download` writes it anew. What is in the cache is checked against it on every start, so whatever
interrupted or damaged a download is healed by the next run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from operations.stack.folder import check_disk

VERSION = "4.3.0"
LOCK_FILE = Path(__file__).with_name("kafka.lock")


@dataclass(frozen=True, slots=True)
class Jar:
    bytes: int
    sha256: str
    group: str
    artifact: str
    version: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def cache_folder() -> Path:
    """Return the user's cache folder for Habeas (`$XDG_CACHE_HOME/habeas`, else `~/.cache/habeas`)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "habeas"


def kafka_jars(cache: Path | None = None) -> list[Path]:
    """Return Kafka's jars, fetching what is missing.

    Raises OfflineError when something is missing and cannot be fetched, DiskFullError when there is no room for it.
    """
    cache = cache or cache_folder()
    jars = locked_jars()
    folder = cache / f"kafka-{VERSION}"
    if _missing(folder, jars):
        cache.mkdir(parents=True, exist_ok=True)
        check_disk(cache, 3 * sum(jar.bytes for jar in jars))
        with filelock.FileLock(cache / f"kafka-{VERSION}.lock"):
            if missing := _missing(folder, jars):  # nobody else fetched them while we waited
                from operations.stack.download import fetch  # noqa: PLC0415 - costs time that only the first run needs

                fetch(missing, folder)
    return [folder / jar.filename for jar in jars]


def locked_jars() -> list[Jar]:
    """Return the jars that `kafka.lock` names."""
    jars = []
    for line in LOCK_FILE.read_text().splitlines():
        if line and not line.startswith("#"):
            size, digest, coordinate = line.split()
            jars.append(Jar(int(size), digest, *coordinate.split(":")))
    return jars


def _missing(folder: Path, jars: Sequence[Jar]) -> list[Jar]:
    def whole(jar: Jar) -> bool:
        try:
            return sha256_of(folder / jar.filename) == jar.sha256
        except FileNotFoundError:
            return False

    return [jar for jar in jars if not whole(jar)]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
