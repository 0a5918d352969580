"""Faults and scenarios: a scenario draws its faults from a seed beforehand, so that a seed always means the same ones.

A new scenario is a module with a `Scenario` (or several), named in `chaos_scenarios.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from chaos_stage import Stage

SHORTEST_SLOT, LONGEST_SLOT = 6.0, 40.0
"""Seconds that a scenario has before the next one."""
_LULL = 0.125
"""Part of a slot at whose end nothing new is done to anybody."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is done to the stack."""

    at: float
    """Seconds from the start of the scenario; in a plan, of the run."""
    what: str
    """For the reader of the report."""
    strike: Callable[[Stage], Coroutine[None, None, None]] = field(repr=False)
    """Does it, and undoes it where it does not undo itself."""


Draw = Callable[[Random, float, int], Iterator[Fault]]
"""From chance, the seconds there are, and how many of each service there are."""


async def _nothing(_stage: Stage) -> None:
    return


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    about: str
    draw: Draw = field(repr=False)
    heal: Callable[[Stage], Awaitable[None]] = field(default=_nothing, repr=False)
    """Ends whatever a fault may have left behind. Harmless where there is nothing."""


@dataclass(frozen=True, slots=True)
class Slot:
    scenario: Scenario
    begins: float
    """Seconds from the start of the run."""
    faults: Sequence[Fault]
    """With their time in the run."""


def plan(seed: int, scenarios: Sequence[Scenario], seconds: float, replicas: int) -> list[Slot]:
    """The run's slots: each scenario in an order of chance, then each again, until the time is over."""
    random = Random(f"{seed}/plan")
    slots: list[Slot] = []
    order: list[Scenario] = []
    begins = 0.0
    length = min(seconds, max(SHORTEST_SLOT, min(LONGEST_SLOT, seconds / len(scenarios))))
    while begins + length <= seconds + 0.001:
        if not order:
            order = random.sample(list(scenarios), len(scenarios))
        scenario = order.pop()
        drawn = scenario.draw(Random(f"{seed}/{scenario.name}/{begins:g}"), length * (1 - _LULL), replicas)
        faults = [replace(fault, at=begins + fault.at) for fault in drawn]
        slots.append(Slot(scenario, begins, sorted(faults, key=lambda fault: fault.at)))
        begins += length
    return slots


async def carry_out(slots: Sequence[Slot], stage: Stage) -> int:
    """All of the plan, each fault at its time; faults may overlap. Returns how many there were."""
    clock = asyncio.get_running_loop().time
    start = clock()
    count = 0
    async with asyncio.TaskGroup() as group:
        for slot in slots:
            await asyncio.sleep(max(0.0, start + slot.begins - clock()))
            stage.tell(f"— {slot.scenario.name}: {slot.scenario.about}")
            for fault in slot.faults:
                await asyncio.sleep(max(0.0, start + fault.at - clock()))
                stage.tell(f"  {fault.what}")
                group.create_task(fault.strike(stage))
                count += 1
    return count


def moments(random: Random, seconds: float, shortest: float, longest: float) -> Iterator[float]:
    """Instants between 0 and `seconds`, as far apart as chance has it."""
    at = random.uniform(0.2, shortest)
    while at < seconds:
        yield at
        at += random.uniform(shortest, longest)
