"""Paused partitions as operators see them, and how they are resumed: in the tables of the service that paused them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from operations.inspect.database import SQL, changing, reading
from operations.inspect.kafka import bounds
from operations.inspect.kafka import reading as reading_topic


@dataclass(frozen=True, slots=True)
class Paused:
    """A partition that `service` does not read on from `offset`, since `since`; `end` is where it ends now."""

    service: str
    topic: str
    partition: int
    offset: int
    since: datetime
    end: int

    @property
    def behind(self) -> int:
        """Records that wait there. Those that compaction or retention took are counted still."""
        return max(0, self.end - self.offset)


async def find_paused(
    environment: Mapping[str, str], services: Sequence[str], topic: str | None = None, partition: int | None = None
) -> list[Paused]:
    """What these services have paused: all, or of one topic, or one partition of it.

    Raises OperationsError, EnvironmentFaultError.
    """
    rows = []
    for service in services:
        async with reading(environment, service) as connection:
            rows += [(service, row) for row in await connection.fetch(SQL["paused"], topic, partition)]
    ends: dict[tuple[str, int], int] = {}
    for name in {row["topic"] for _, row in rows}:
        async with reading_topic(environment, name) as consumer:
            _, end = await bounds(consumer)
            ends |= {(each.topic, each.partition): offset for each, offset in end.items()}
    return [
        Paused(
            service,
            row["topic"],
            row["partition"],
            row["at_offset"],
            row["paused_at"],
            ends.get((row["topic"], row["partition"]), row["at_offset"]),
        )
        for service, row in rows
    ]


async def resume(
    environment: Mapping[str, str], paused: Sequence[Paused], *, by: str, now: datetime, step: bool
) -> list[Paused]:
    """Let them go on; return those that still stood. Undecodable records up to their end, as it was when they were
    found, pause them no more; with `step` those do, too.

    Raises OperationsError, EnvironmentFaultError.
    """
    resumed = []
    for each in paused:
        through = each.offset if step else max(each.offset, each.end)
        async with changing(environment, each.service) as connection:
            if await connection.fetchval(SQL["resume"], each.topic, each.partition, each.offset, now, through, by):
                resumed.append(each)
    return resumed
