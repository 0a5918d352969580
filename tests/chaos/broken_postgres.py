"""PostgreSQL goes away and comes back: shut down at once and restarted, its sessions ended, read-only for a while."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from random import Random
from typing import Final

from chaos_faults import Fault, Scenario, moments
from chaos_stage import REFUSING, SESSIONS_ENDED, Stage

from operations.programs import SERVICES

_END: Final = """
    select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
    where datname = 'habeas' and usename = any($1::text[]) and pid <> pg_backend_pid()
"""


async def end_sessions(stage: Stage, *roles: str) -> None:
    """As an administrator does, or a failover."""
    async with stage.database() as connection:
        with stage.noted(SESSIONS_ENDED, "postgres"):
            await connection.fetchval(_END, list(roles))


async def _shut_down(stage: Stage) -> None:
    process = stage.process("postgres")
    with stage.noted(SESSIONS_ENDED, "postgres"):
        process.signal(signal.SIGQUIT)  # "immediate": no checkpoint, no farewell; recovery at the next start
        before = process.restarts
        await process.wait_until(lambda found: found.restarts > before and found.ready)


def _draw_shut_down(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 7.0, 12.0):
        yield Fault(at, "immediate shutdown of postgres", _shut_down)


def _draw_cut(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 0.7, 3.0):
        roles = tuple(sorted(random.sample(SERVICES, random.randint(1, len(SERVICES)))))

        async def strike(stage: Stage, roles: tuple[str, ...] = roles) -> None:
            await end_sessions(stage, *roles)

        yield Fault(at, f"sessions ended of {', '.join(roles)}", strike)


def _draw_read_only(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 11.0, 15.0):
        length = random.uniform(3.0, 9.0)

        async def strike(stage: Stage, length: float = length) -> None:
            await _set_read_only(stage, read_only=True)
            try:
                with stage.noted(REFUSING, "postgres"):
                    await end_sessions(stage, *SERVICES)
                    await asyncio.sleep(length)
            finally:
                await _writable(stage)

        yield Fault(at, f"failover to a postgres that is read-only for {length:.1f} s", strike)


async def _set_read_only(stage: Stage, *, read_only: bool) -> None:
    """Of every session, those that are open too, as on a standby that is promoted after a while."""
    change = "set default_transaction_read_only = on" if read_only else "reset default_transaction_read_only"
    async with stage.database() as connection:
        await connection.execute(f"alter system {change}")
        await connection.execute("select pg_reload_conf()")


async def _writable(stage: Stage) -> None:
    await _set_read_only(stage, read_only=False)


POSTGRES_SHUT_DOWN = Scenario("postgres-shut-down", "immediate shutdown and restart of PostgreSQL", _draw_shut_down)
POSTGRES_CUT = Scenario("postgres-cut", "sessions ended, one service's or several", _draw_cut)
POSTGRES_READ_ONLY = Scenario(
    "postgres-read-only", "a failover target that is read-only for a while", _draw_read_only, _writable
)
