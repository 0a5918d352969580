"""A folder of Parquet files that several processes read and one at a time changes.

A change writes a new file, has it on disk, and puts it in the old one's place: a reader sees either the old or the
new, and what was erased is in no file any more. Instants are UTC.
"""

import datetime as dt
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

_PATIENCE = 30.0
"""Seconds to wait for another process's change; then SQLite says that it is locked, and the task is tried again."""


class Files:
    """A connection of DuckDB in memory reads the files; it spills nothing to disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locked = False
        self._db = duckdb.connect(
            config={
                "memory_limit": "128MB",
                "threads": "1",
                "temp_directory": "",
                "autoinstall_known_extensions": "false",
            }
        )
        folder.mkdir(mode=0o700, exist_ok=True)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes a file meanwhile. The lock is the operating system's: it ends with the process."""
        if self._locked:
            yield
            return
        path = self.folder / "lock.db"
        path.touch(mode=0o600)
        lock = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
        try:
            lock.execute("begin exclusive")
            self._locked = True
            yield
        finally:
            self._locked = False
            lock.close()

    def remove_leftovers(self) -> None:
        """What a process that died while it wrote has left."""
        with self.changing():
            for leftover in self.folder.rglob("*.new"):
                leftover.unlink()

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        cursor = self._db.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def replace(self, path: Path, sql: str, **parameters: Any) -> None:
        """Puts the query's result in the file's place."""
        with self.changing():
            fresh = path.with_suffix(".new")
            # Uncompressed, so that grep can check what is in a file and what is not any more.
            self._db.execute(f"copy ({sql}) to '{fresh}' (format parquet, compression uncompressed)", parameters)
            fresh.chmod(0o600)
            put_in_place(fresh, path)

    def write(self, path: Path, columns: dict[str, str], rows: Sequence[Sequence[object]]) -> None:
        """A file of these rows; `columns` are names and types."""
        selected = ", ".join(f"unnest(${name}::{kind}[]) as {name}" for name, kind in columns.items())
        values = {name: [row[index] for row in rows] for index, name in enumerate(columns)}
        self.replace(path, f"select {selected}", **values)


def put_in_place(fresh: Path, path: Path) -> None:
    """Durable when it returns."""
    _sync(fresh)
    fresh.replace(path)
    _sync(path.parent)


def utc(instant: dt.datetime) -> dt.datetime:
    """As the files hold it."""
    return instant.astimezone(dt.UTC).replace(tzinfo=None)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
