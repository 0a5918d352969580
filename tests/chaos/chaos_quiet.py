"""Waiting until all is said: everything closed, every mail answered for, nothing left to send or to read."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
from chaos_office import Office
from chaos_stage import Stage
from chaos_systems import System
from confluent_kafka import KafkaException

from operations.lag import lag_by_name
from operations.programs import SERVICES
from operations.stack.environment import CLOCK
from operations.stack.kafka import admin_client
from operations.topology import OPERATORS
from shared.clock import read_offset

STUCK_AFTER: Final = 75.0
"""Seconds without any change after which nothing more is expected: longer than a lease of the dead, a sweep, a retry of
an assembly and a restart take together."""
LEASE: Final = 320.0
"""Seconds after which even a mail that is claimed by one who does not know of it has gone to another."""
_FURTHEST: Final = timedelta(days=2)
"""The clock goes no further: after three days a mail is given up."""
_UNDER_WAY: Final = """
    select {outboxes}, (select count(*) from notifier.notices where next_attempt_at is not null),
        (select count(*) from collector.assemblies),
        (select count(*) from notifier.notices where lease_until > clock_timestamp()),
        (select min(next_attempt_at) from notifier.notices where state = 'deferred'),
        (select min(due_at) from collector.assemblies)
""".format(outboxes=", ".join(f"(select count(*) from {name}.outbox)" for name in SERVICES))


@dataclass(frozen=True, slots=True)
class Left:
    """What is not done yet. Empty: nothing."""

    open_requests: int = 0
    being_said: int = 0
    outbox: dict[str, int] = field(default_factory=dict)
    notices: int = 0
    answers: int = 0
    leased: int = 0
    """Of the notices those that some notifier has claimed."""
    lag: dict[str, int] = field(default_factory=dict)
    next_by_the_clock: datetime | None = None

    @property
    def is_nothing(self) -> bool:
        numbers = (self.open_requests, self.being_said, self.notices, self.answers)
        return not any((*numbers, *self.outbox.values(), *self.lag.values()))

    def __str__(self) -> str:
        parts = {
            "open requests": self.open_requests,
            "being said": self.being_said,
            "notices": self.notices,
            "answers": self.answers,
            "mails claimed": self.leased,
            **{f"outbox of {name}": count for name, count in self.outbox.items()},
            **{f"lag of {name}": count for name, count in self.lag.items()},
        }
        return ", ".join(f"{name} {count}" for name, count in parts.items() if count) or "nothing"


async def until_quiet(stage: Stage, office: Office, systems: tuple[System, ...], deadline: float) -> Left:
    """What is left when nothing changes any more, or after `deadline` seconds. The workflow's clock is advanced to
    whatever waits by it."""
    began = changed = time.monotonic()
    before: object = None
    while True:
        left = await _left(stage, office, systems)
        now = time.monotonic()
        seen = (str(left), office.closed, stage.mail.accepted, office.last_news)
        if seen != before:
            before, changed = seen, now
        stuck = now - changed > (LEASE if left.leased else STUCK_AFTER)
        if left.is_nothing or stuck or now - began > deadline:
            return left
        _advance_to(left.next_by_the_clock, stage)
        if changed == now:
            stage.tell(f"  left: {left}")
        await asyncio.sleep(1.0)


def _advance_to(due: datetime | None, stage: Stage) -> None:
    if due is None:
        return
    offset = read_offset(stage.stack.root / CLOCK)
    ahead = due - (datetime.now(UTC) + offset)
    if timedelta() < ahead and offset + ahead < _FURTHEST:
        stage.advance_clock(ahead + timedelta(seconds=1))


async def _left(stage: Stage, office: Office, systems: tuple[System, ...]) -> Left:
    lag = await asyncio.to_thread(_lag, stage)
    async with stage.database() as connection:
        try:
            row = await connection.fetchrow(_UNDER_WAY)
        except asyncpg.PostgresError:
            row = None
    if row is None:
        return Left(being_said=-1)
    *outboxes, notices, answers, leased, deferred, postponed = row
    dues = [due for due in (deferred, postponed) if due is not None]
    return Left(
        open_requests=len(office.scripts) - office.closed,
        being_said=office.busy + sum(system.busy for system in systems),
        outbox={name: count for name, count in zip(SERVICES, outboxes, strict=True) if count},
        notices=notices,
        answers=answers,
        leased=leased,
        lag={name: count for name, count in lag.items() if count},
        next_by_the_clock=min(dues, default=None),
    )


def _lag(stage: Stage) -> dict[str, int]:
    try:
        found = lag_by_name(admin_client(stage.stack.env(OPERATORS)))
    except KafkaException:
        return {"cluster": -1}
    return {name: count for name, count in found.items() if name in SERVICES}
