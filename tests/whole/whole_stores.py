"""What is in the files of the four systems' stores, whatever their own programs say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import asyncpg
from stand import Stand

from systems import sample


def files_with(folder: Path, *words: str) -> list[Path]:
    """The files under `folder` that hold any of `words`. One that goes while we look (a journal) holds nothing."""
    wanted = [word.encode() for word in words]
    found = []
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError, IsADirectoryError):
            if any(word in path.read_bytes() for word in wanted):
                found.append(path)
    return found


async def rows_with(stand: Stand, table: str, *words: str) -> list[str]:
    """The rows of one of billing's tables that hold any of `words`, as text."""
    connection = await asyncpg.connect(stand.database("billing"))
    try:
        rows = await connection.fetch(f"select r::text as r from {table} r")
    finally:
        await connection.close()
    return [row["r"] for row in rows if any(word in row["r"] for word in words)]


async def billing_files_with(stand: Stand, *words: str) -> list[Path] | None:
    """The files of billing's tables and their indexes that hold any of `words`; None where we may not read them."""
    connection = await asyncpg.connect(stand.database("billing"))
    try:
        rows = await connection.fetch(
            """select pg_relation_filepath(c.oid) as path from pg_class c
               where c.relname = any($1) or c.oid in
                   (select indexrelid from pg_index join pg_class t on t.oid = indrelid where t.relname = any($1))""",
            ["accounts", "invoices"],
        )
    finally:
        await connection.close()
    wanted = [word.encode() for word in words]
    paths = [stand.root / "postgres" / "data" / row["path"] for row in rows]
    try:
        contents = await asyncio.gather(*(asyncio.to_thread(path.read_bytes) for path in paths))
    except OSError:
        return None
    return [path for path, content in zip(paths, contents, strict=True) if any(word in content for word in wanted)]


async def untouched(stand: Stand, numbers: Iterable[int]) -> sample.Person:
    """The first of these whom no earlier run on this stack has erased."""
    for person in map(sample.person, numbers):
        if await rows_with(stand, "accounts", person.email):
            return person
    raise AssertionError("all of them have been erased on this stack: take a fresh one")
