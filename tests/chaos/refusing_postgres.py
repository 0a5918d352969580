"""PostgreSQL answers, and says no: the disk is full, or a statement takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Final

import asyncpg
from chaos_faults import Fault, Scenario, moments
from chaos_stage import REFUSING, Stage

_TABLES: Final = (
    "intake.requests",
    "intake.outbox",
    "fanout.requests",
    "fanout.findings",
    "fanout.outbox",
    "collector.cases",
    "collector.results",
    "collector.outbox",
    "notifier.notices",
    "notifier.outbox",
)
_FULL: Final = """
    create or replace function public.chaos_full() returns trigger language plpgsql as $$
    begin
        raise exception using errcode = 'disk_full', message = 'could not extend file: No space left on device';
    end $$
"""
_LONGER_THAN_A_TIMEOUT: Final = 32.0  # seconds; a service's statement has 30
_CANCEL: Final = """
    select count(*) filter (where pg_cancel_backend(pid)) from pg_stat_activity
    where datname = 'habeas' and state = 'active' and application_name like 'habeas-%'
"""
_LOCK_PATIENCE: Final = "set lock_timeout = '2s'"


async def _fill(stage: Stage, tables: tuple[str, ...], length: float) -> None:
    await until_done(stage, _FULL)
    try:
        for table in tables:
            await until_done(
                stage,
                f"create or replace trigger chaos_full before insert or update on {table} "
                "for each statement execute function public.chaos_full()",
            )
        with stage.noted(REFUSING, "postgres"):
            await asyncio.sleep(length)
    finally:
        await _empty(stage)


async def _empty(stage: Stage) -> None:
    for table in _TABLES:
        await until_done(stage, f"drop trigger if exists chaos_full on {table}")


async def until_done(stage: Stage, statement: str) -> None:
    """Whoever holds the table lets go of it some time, and a server that goes away comes back."""
    while True:
        try:
            async with stage.database() as connection:
                await connection.execute(_LOCK_PATIENCE)
                await connection.execute(statement)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await asyncio.sleep(0.2)
        else:
            return


def _draw_full(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 8.0, 12.0):
        length = random.uniform(2.0, 7.0)
        tables = tuple(random.sample(_TABLES, random.choice((1, 2, len(_TABLES)))))

        async def strike(stage: Stage, tables: tuple[str, ...] = tables, length: float = length) -> None:
            await _fill(stage, tables, length)

        where = ", ".join(tables) if len(tables) < len(_TABLES) else "all tables"
        yield Fault(at, f"disk full (53100) for {length:.1f} s under {where}", strike)


async def _hold(stage: Stage, table: str) -> None:
    async with stage.database() as connection, connection.transaction():
        await connection.execute(f"lock table {table} in access exclusive mode")
        with stage.noted(REFUSING, "postgres"):
            await asyncio.sleep(_LONGER_THAN_A_TIMEOUT)


async def _cancel(stage: Stage, length: float) -> None:
    clock = asyncio.get_running_loop().time
    until = clock() + length
    async with stage.database() as connection:
        with stage.noted(REFUSING, "postgres"):
            while clock() < until:
                await connection.fetchval(_CANCEL)
                await asyncio.sleep(0.02)


def _draw_slow(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    if seconds > _LONGER_THAN_A_TIMEOUT:
        table = random.choice(_TABLES)

        async def hold(stage: Stage, table: str = table) -> None:
            await _hold(stage, table)

        yield Fault(1.0, f"{table} locked for {_LONGER_THAN_A_TIMEOUT:g} s", hold)
    for at in moments(random, seconds, 5.0, 10.0):
        length = random.uniform(1.0, 4.0)

        async def cancel(stage: Stage, length: float = length) -> None:
            await _cancel(stage, length)

        yield Fault(at, f"every statement that is met is cancelled, for {length:.1f} s", cancel)


POSTGRES_FULL = Scenario("postgres-full", "no space left on PostgreSQL's device", _draw_full, _empty)
POSTGRES_SLOW = Scenario("postgres-slow", "statements that run into their time-out", _draw_slow)
