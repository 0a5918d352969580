"""A service killed every second or two."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from chaos_faults import Fault, Scenario, moments
from chaos_stage import Stage

from operations.programs import SERVICES


def replica(random: Random, replicas: int) -> str:
    """The name of one of the running services."""
    service, number = random.choice(SERVICES), random.randint(1, replicas)
    return service if number == 1 else f"{service}-{number}"


def _kill(name: str, at: float) -> Fault:
    async def strike(stage: Stage) -> None:
        stage.kill(name)

    return Fault(at, f"SIGKILL {name}", strike)


def _draw(random: Random, seconds: float, replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 1.0, 2.0):
        yield _kill(replica(random, replicas), at)


def _draw_all(random: Random, seconds: float, replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 9.0, 14.0):
        for service in SERVICES:
            for number in range(1, replicas + 1):
                yield _kill(service if number == 1 else f"{service}-{number}", at)


KILLED = Scenario("killed-services", "SIGKILL of a random service every second or two", _draw)
ALL_KILLED = Scenario("all-killed", "SIGKILL of every service at once, again and again", _draw_all)
