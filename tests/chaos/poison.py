"""Records that cannot be decoded: one now and then among the good, and floods that pause their partition.

After a flood its service is killed: it must find the pause again, and stand at the same record, until an operator
resumes the partition.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final
from uuid import UUID, uuid4

from chaos_faults import Fault, Scenario, moments
from chaos_script import PORTAL, SYSTEMS
from chaos_stage import Stage
from chaos_wire import Speaker, client_options

from habeas.contracts import Reason
from habeas.contracts.result import TaskFinished
from habeas.contracts.submission import RequestSubmitted
from habeas.contracts.topics import results, submissions
from operations.topology import OPERATORS

_PLACES: Final = {
    submissions(PORTAL): (PORTAL, "intake", RequestSubmitted.TYPE),
    **{results(system): (system, "collector", TaskFinished.TYPE) for system in SYSTEMS},
}
"""By topic who writes it, who reads it, and what."""
_KINDS: Final = {Reason.NOT_JSON: b"{", Reason.MEMBER_MISSING: b"{}", Reason.TYPE_UNKNOWN: b"{}"}
_SPRINKLED: Final = 4
"""Of each kind that comes in between, so many at a time: of eight requests a second about one record in ten."""
_FLOOD: Final = 150
"""More than the hundred after which a partition is paused."""
_PATIENCE: Final = 40.0
"""Seconds until a flood has paused its partition."""
_RESTARTED: Final = 8.0
"""Seconds until a killed service reads again: its group misses it after six."""
_PAUSED: Final = """
    select partition, at_offset from {service}.paused_partitions where topic = $1 and resumed_through is null
"""


def _poison(reason: Reason, ce_type: str, ce_id: UUID, subject: UUID) -> tuple[bytes, list[tuple[str, bytes]]]:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(ce_id),
        "ce_source": "chaos/poison",
        "ce_type": "dsr.chaos.unheard-of.v1" if reason is Reason.TYPE_UNKNOWN else ce_type,
        "ce_time": "2026-03-02T10:00:00Z",
        "ce_subject": str(subject),
        "content-type": "application/json",
    }
    return _KINDS[reason], [(name, value.encode()) for name, value in headers.items()]


def _foretold(stage: Stage, topic: str, reason: Reason) -> UUID:
    ce_id = uuid4()
    stage.foreseen.records.add(ce_id)
    stage.foreseen.reasons[ce_id] = reason
    if topic == submissions(PORTAL):
        stage.foreseen.rejected.add(ce_id)
    return ce_id


async def _sprinkle(stage: Stage, topic: str) -> None:
    """Some of each kind, each under a key of its own."""
    writer, _, ce_type = _PLACES[topic]
    speaker = Speaker(client_options(stage.stack.env(writer)))
    try:
        for reason in list(_KINDS) * _SPRINKLED:
            subject = uuid4()
            value, headers = _poison(reason, ce_type, _foretold(stage, topic, reason), subject)
            await speaker.send(topic, str(subject).encode(), value, headers)
    finally:
        await speaker.close()


async def _flood(stage: Stage, topic: str) -> None:
    writer, service, ce_type = _PLACES[topic]
    subject = uuid4()
    # In one batch of the producer, so that no good record comes in between.
    speaker = Speaker({**client_options(stage.stack.env(writer)), "max_batch_size": 512 * 1024, "linger_ms": 300})
    said = []
    for _ in range(_FLOOD):
        value, headers = _poison(Reason.NOT_JSON, ce_type, _foretold(stage, topic, Reason.NOT_JSON), subject)
        said.append(speaker.send(topic, str(subject).encode(), value, headers))
    await asyncio.gather(*said)
    await speaker.close()
    at = await _paused(stage, service, topic)
    if at is None:
        return stage.complain(f"a flood on {topic} did not pause its partition")
    for name in stage.replicas:
        if name.partition("-")[0] == service:
            stage.kill(name)
    await asyncio.sleep(_RESTARTED)
    again = await _paused(stage, service, topic)
    if again != at:
        stage.complain(f"{topic} was paused at {at}, and after a restart at {again}")
    if not any(name.partition("-")[0] == service for name in stage.not_ready()):
        stage.complain(f"{service} is ready while it has paused {topic}")
    await _resume(stage, topic)


async def _paused(stage: Stage, service: str, topic: str) -> tuple[int, int] | None:
    """Partition and offset, once it is paused."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        async with stage.database() as connection:
            row = await connection.fetchrow(_PAUSED.format(service=service), topic)
        if row is not None:
            return row["partition"], row["at_offset"]
        await asyncio.sleep(0.2)
    return None


async def _resume(stage: Stage, topic: str) -> None:
    """As an operator does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")}
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "operations", "topics", "resume", topic],
        env={**kept, **stage.stack.env(OPERATORS)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
        timeout=60,
    )


async def _heal(stage: Stage) -> None:
    """Whatever still stands goes on."""
    for topic, (_, service, _) in _PLACES.items():
        async with stage.database() as connection:
            row = await connection.fetchrow(_PAUSED.format(service=service), topic)
        if row is not None:
            await _resume(stage, topic)


def _draw(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    for at in moments(random, seconds, 2.0, 4.0):
        topic = random.choice(list(_PLACES))

        async def sprinkle(stage: Stage, topic: str = topic) -> None:
            await _sprinkle(stage, topic)

        yield Fault(at, f"{len(_KINDS) * _SPRINKLED} undecodable records among those of {topic}", sprinkle)
    flooded = random.choice(list(_PLACES))

    async def flood(stage: Stage) -> None:
        await _flood(stage, flooded)

    yield Fault(
        random.uniform(1.0, 3.0), f"{_FLOOD} undecodable records in a row on {flooded}, its service killed", flood
    )


POISON = Scenario(
    "poison", "undecodable records among the good, and a flood of them that pauses its partition", _draw, _heal
)
