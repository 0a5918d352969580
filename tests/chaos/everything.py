"""Faults of all kinds, one on top of the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from chaos_faults import Fault, Scenario, moments
from chaos_stage import Stage

_WINDOW = 20.0  # seconds that a scenario draws for; the first that it draws is taken


def mixture(name: str, about: str, scenarios: Sequence[Scenario], apart: tuple[float, float]) -> Scenario:
    """A scenario whose faults come from any of these, so many seconds `apart`."""

    def draw(random: Random, seconds: float, replicas: int) -> Iterator[Fault]:
        for at in moments(random, seconds, *apart):
            drawn = random.choice(scenarios).draw(random, _WINDOW, replicas)
            yield replace(next(drawn), at=at)

    async def heal(stage: Stage) -> None:
        for scenario in scenarios:
            await scenario.heal(stage)

    return Scenario(name, about, draw, heal)
