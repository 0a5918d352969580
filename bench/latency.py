"""How long a request takes where the workflow has time: at half the rate that it can do."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.house import House
from bench.load import ERASURE, Portal, submissions_of

TARGET_P99 = 0.25
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Seconds from the submission."""

    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Quantiles":
        ordered = sorted(values)
        return cls(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], ordered[-1])


@dataclass(frozen=True, slots=True)
class Latency:
    rate: float
    """Requests a second that were submitted."""
    accepted: Quantiles
    assigned: Quantiles
    completed: Quantiles

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def measure(house: House, rate: float, seconds: float) -> Latency:
    """Erasures at `rate` a second for `seconds`, after some to warm up that are not counted."""
    keyring = house.keyring("web")
    async with house.open(), Portal(house.client()) as portal:
        await portal.send(submissions_of(ERASURE, int(rate * 2), keyring), rate)
        await portal.all_closed()
        portal.courses.clear()
        portal.closed = 0
        await portal.send(submissions_of(ERASURE, int(rate * seconds), keyring), rate)
        await portal.all_closed()
        courses = list(portal.courses.values())
    return Latency(
        rate,
        Quantiles.of([course.accepted - course.submitted for course in courses if course.accepted]),
        Quantiles.of([course.assigned - course.submitted for course in courses if course.assigned]),
        Quantiles.of([course.closed - course.submitted for course in courses if course.closed]),
    )
