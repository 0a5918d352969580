"""A disk that is full in earnest: PostgreSQL's tables on a small file system in memory, filled up by somebody else.

Root alone can mount one; for others the disk is full only by a trigger (`refusing_postgres.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from chaos_faults import Fault, Scenario
from chaos_stage import REFUSING, Stage
from refusing_postgres import until_done

from operations.stack.postgres import unprivileged_user

POSSIBLE: Final = os.name == "posix" and os.geteuid() == 0 and shutil.which("mount") is not None
_SIZE: Final = 256 << 20  # bytes of the file system
_TABLES: Final = (
    "collector.results",
    "collector.outbox",
    "collector.cases",
    "fanout.outbox",
    "intake.requests",
    "intake.outbox",
    "notifier.notices",
    "notifier.outbox",
)
_SPACE: Final = "chaos_small"
_PREFIX: Final = "habeas-chaos-"


async def _run(*command: str) -> int:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


async def _move_to_small_disk(stage: Stage) -> None:
    if await _place(stage) is not None:  # they are there from an earlier turn: all go back at the end
        return
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    if await _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", folder) != 0:
        shutil.rmtree(folder)
        stage.tell("  no file system may be mounted here: the disk stays as it is")
        return
    place = _for_postgres(Path(folder))
    await until_done(stage, f"create tablespace {_SPACE} location '{place}'")
    for table in _TABLES:
        await until_done(stage, f"alter table {table} set tablespace {_SPACE}")


def _for_postgres(folder: Path) -> Path:
    place = folder / "space"
    place.mkdir(mode=0o700)
    user = unprivileged_user()
    if user is not None:
        folder.chmod(0o711)
        os.chown(place, user.uid, user.gid)
    return place


async def _place(stage: Stage) -> Path | None:
    """Of the small file system, if the tables are on it."""
    async with stage.database() as connection:
        found = await connection.fetchval(
            "select pg_tablespace_location(oid) from pg_tablespace where spcname = $1", _SPACE
        )
    return Path(found).parent if found else None


async def _fill(stage: Stage, length: float) -> None:
    folder = await _place(stage)
    if folder is None:
        return
    ballast = folder / "ballast"
    try:
        with stage.noted(REFUSING, "postgres"):
            await asyncio.to_thread(_write_until_full, ballast)
            await asyncio.sleep(length)
    finally:
        ballast.unlink(missing_ok=True)


def _write_until_full(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
                    file.flush()


async def _move_back(stage: Stage) -> None:
    folder = await _place(stage)
    if folder is None:
        return
    (folder / "ballast").unlink(missing_ok=True)
    for table in _TABLES:
        await until_done(stage, f"alter table {table} set tablespace pg_default")
    await until_done(stage, "checkpoint")  # removes the files that the tables have left there
    await until_done(stage, f"drop tablespace if exists {_SPACE}")
    await _run("umount", "--lazy", str(folder))  # a session may still have a file open that is gone
    with contextlib.suppress(OSError):
        folder.rmdir()


def _draw(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    yield Fault(0.2, f"tables move to a file system of {_SIZE >> 20} MiB", _move_to_small_disk)
    at = random.uniform(5.0, 8.0)
    while at < seconds:
        length = random.uniform(3.0, 8.0)

        async def strike(stage: Stage, length: float = length) -> None:
            await _fill(stage, length)

        yield Fault(at, f"that file system is full for {length:.1f} s", strike)
        at += length + random.uniform(3.0, 6.0)


FULL_DISK = Scenario("full-disk", "a file system in memory that fills up under PostgreSQL (root)", _draw, _move_back)
