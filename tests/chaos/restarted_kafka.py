"""The single broker killed and restarted: nobody can say or hear anything for a while."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from chaos_faults import Fault, Scenario, moments
from chaos_stage import Stage


async def _kill(stage: Stage) -> None:
    stage.kill("kafka")


def _draw(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 8.0, 16.0):
        yield Fault(at, "SIGKILL kafka", _kill)


KAFKA = Scenario("kafka", "the single broker killed and restarted", _draw)
