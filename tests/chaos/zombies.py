"""A service stopped until it is thrown out of its group, which then comes back believing that it is in it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from chaos_faults import Fault, Scenario, moments
from chaos_stage import Stage
from killed_services import replica

LONGER_THAN_A_SESSION = (7.0, 11.0)  # seconds; a member that says nothing for six is out


def _draw(random: Random, seconds: float, replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 3.0, 7.0):
        name, length = replica(random, replicas), random.uniform(*LONGER_THAN_A_SESSION)

        async def strike(stage: Stage, name: str = name, length: float = length) -> None:
            await stage.freeze(name, length)

        yield Fault(at, f"SIGSTOP {name}, SIGCONT after {length:.1f} s", strike)


ZOMBIES = Scenario("zombies", "SIGSTOP longer than the session's time-out, then SIGCONT", _draw)
