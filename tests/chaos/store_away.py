"""The object store is away: where its folder was there is a file, which stops root as well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random

from chaos_faults import Fault, Scenario, moments
from chaos_stage import Stage


def _take_away(stage: Stage) -> None:
    stage.store.rename(stage.store.with_name("store.away"))
    stage.store.write_text("")


def _bring_back(stage: Stage) -> None:
    away = stage.store.with_name("store.away")
    if away.is_dir():
        if stage.store.is_file():
            stage.store.unlink()
        away.rename(stage.store)


async def _back(stage: Stage) -> None:
    _bring_back(stage)


def _draw(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 9.0, 13.0):
        length = random.uniform(3.0, 8.0)

        async def strike(stage: Stage, length: float = length) -> None:
            if stage.store.is_dir():
                _take_away(stage)
                try:
                    await asyncio.sleep(length)
                finally:
                    _bring_back(stage)

        yield Fault(at, f"object store away for {length:.1f} s", strike)


STORE = Scenario("store", "the object store away", _draw, _back)
