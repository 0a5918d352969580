"""Kafka's nodes killed one at a time: any of them, the active controller, whoever leads a partition of tasks.

With one node each of these is that node, and everybody waits for it. Of three, two go on: replication 3 and
`min.insync.replicas` 2 bear the loss of one, so the next dies only when the last has all copies again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from weakref import WeakKeyDictionary

from chaos_faults import Fault, Scenario, moments
from chaos_script import SYSTEMS
from chaos_stage import Stage
from confluent_kafka import KafkaException

from habeas.contracts.topics import tasks
from operations.stack import Stack

_BACK_WITHIN = 240.0
"""Seconds for a node to start and catch up, while services are killed around it."""

_Find = Callable[[Stage], Awaitable[str]]

_turns: WeakKeyDictionary[Stack, asyncio.Lock] = WeakKeyDictionary()
"""One at a time, also where a fault drawn for one slot reaches into the next."""


def _any(random: Random) -> tuple[str, _Find]:
    chance = random.random()

    async def find(stage: Stage) -> str:
        names = stage.stack.kafka.names
        return names[int(chance * len(names))]

    return "a Kafka node", find


def _controller(_random: Random) -> tuple[str, _Find]:
    async def find(stage: Stage) -> str:
        return stage.stack.kafka.controller()

    return "Kafka's active controller", find


def _leader(random: Random) -> tuple[str, _Find]:
    topic = tasks(random.choice(SYSTEMS))

    async def find(stage: Stage) -> str:
        while True:
            try:
                return await stage.stack.kafka.leader(topic)
            except (KafkaException, LookupError):  # between two leaders
                await asyncio.sleep(0.2)

    return f"the leader of {topic}/0", find


def _draw(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 4.0, 9.0):
        whom, find = random.choice((_any, _controller, _leader))(random)

        async def strike(stage: Stage, whom: str = whom, find: _Find = find) -> None:
            turn = _turns.setdefault(stage.stack, asyncio.Lock())
            if turn.locked():
                stage.tell(f"  {whom} is let live: the cluster has not got over the last one")
                return
            async with turn:
                await stage.stack.wait_in_sync(_BACK_WITHIN)
                name = await find(stage)
                stage.tell(f"  {name} dies as {whom}")
                stage.kill(name)

        yield Fault(at, f"SIGKILL {whom}, unless a node is away", strike)


async def _heal(stage: Stage) -> None:
    await stage.stack.wait_in_sync(_BACK_WITHIN)


BROKERS = Scenario("brokers", "SIGKILL of one Kafka node after the other: any, the controller, a leader", _draw, _heal)
