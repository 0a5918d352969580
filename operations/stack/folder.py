"""The folder `.habeas/`: one user at a time, files that are whole or absent, nothing readable by others."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import psutil  # type: ignore[import-untyped]

from operations.errors import DiskFullError, LockedError, UsageError

NEEDED = 700 << 20  # bytes free to start: Kafka's segments, PostgreSQL's WAL, logs


class Lock:
    """Held by the one process that runs a stack in this folder. Released by the system when that process ends."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = filelock.FileLock(root / "lock", timeout=0)
        self._holder = root / "holder.json"  # a file of its own: taking the lock empties the lock file

    def acquire(self) -> None:
        """Take the lock, or raise LockedError saying who holds it."""
        try:
            self._lock.acquire()
        except filelock.Timeout:
            holder = read_json(self._holder)
            raise LockedError(
                str(self._root), holder.get("pid"), holder.get("command", "?"), holder.get("since", "?")
            ) from None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        write_json(self._holder, {"pid": os.getpid(), "command": command, "since": since})

    @property
    def held(self) -> bool:
        return self._lock.is_locked

    def release(self) -> None:
        if self._lock.is_locked:
            self._holder.unlink(missing_ok=True)
            self._lock.release()


def check_disk(folder: Path, needed: int = NEEDED) -> None:
    """Raise DiskFullError unless `needed` bytes are free under `folder`."""
    free = psutil.disk_usage(str(folder)).free
    if free < needed:
        raise DiskFullError(str(folder), free, needed)


def write_private(path: Path, text: str) -> None:
    """Write `text` so that the file is whole or as before, and readable by its owner alone."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_private(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in `path`, empty if the file is not there."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return dict(content)


def dotenv(variables: Mapping[str, str]) -> str:
    """Return `variables` as lines that both a dotenv reader and `sh` understand."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(variables.items()))


def _quoted(value: str) -> str:
    """No dotenv reader knows what `sh` makes of an apostrophe, so a folder's name with one gets double quotes."""
    if "'" not in value:
        return shlex.quote(value)
    if set(value) & set('"$`\\'):
        raise UsageError(f"A folder's name may not have both an apostrophe and one of \" $ ` \\: {value}")
    return f'"{value}"'
