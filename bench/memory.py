"""What the services hold in memory while very many requests pass, and when very many come at once."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.house import House
from bench.load import ERASURE, Portal, Submission, submissions_of
from bench.rounds import Tell, check_outcomes

LIMIT: Final = 150.0
"""Megabytes of each service, resident, at any time."""

FLAT: Final = 1.05
"""The median of the last quarter, at most, as a multiple of that of the second."""

BURST: Final = 1.10
"""The most in the burst, at most, as a multiple of the most before it."""

_UNDER_WAY: Final = 4_000
_CHUNK: Final = 500
_SAMPLE_EVERY: Final = 1.0
_TELL_EVERY: Final = 20.0

Megabytes = Mapping[str, float]
"""By service."""


@dataclass(frozen=True, slots=True)
class Memory:
    requests: int
    seconds: float
    second_quarter: Megabytes
    """The median while the second quarter of the requests passed."""
    last_quarter: Megabytes
    largest: Megabytes
    burst: int
    """Requests that were submitted at once, afterwards."""
    accepted_after: float
    """Seconds until all of those were accepted."""
    largest_in_burst: Megabytes

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Sample:
    closed: int
    megabytes: Megabytes


async def measure(house: House, requests: int, burst: int, tell: Tell) -> Memory:
    """Erasures: `requests` as fast as they go, then `burst` at once. Raises `StalledError`, `WrongOutcomeError`."""
    keyring = house.keyring("web")
    async with house.open(), Portal(house.client()) as portal:
        began = time.perf_counter()
        async with _sampled(house, portal, requests, tell) as passing:
            for start in range(0, requests, _CHUNK):
                await portal.until(lambda: len(portal.courses) - portal.closed <= _UNDER_WAY - _CHUNK)
                await portal.send(submissions_of(ERASURE, min(_CHUNK, requests - start), keyring))
            await portal.all_closed()
        seconds = time.perf_counter() - began
        tell(f"memory: {burst:,} submissions at once")
        batch: list[Submission] = []
        while len(batch) < burst:
            batch += submissions_of(ERASURE, min(_CHUNK, burst - len(batch)), keyring)
            await asyncio.sleep(0)  # the portal's connections live on
        began = time.perf_counter()
        async with _sampled(house, portal, requests + burst, tell) as bursting:
            await portal.send(batch)
            await portal.until(lambda: portal.accepted == len(portal.courses))
            accepted_after = time.perf_counter() - began
            tell(f"memory: all accepted after {accepted_after:,.0f} s")
            await portal.all_closed()
        check_outcomes(portal)
    return Memory(
        requests=requests,
        seconds=seconds,
        second_quarter=_median(_between(passing, requests * 0.25, requests * 0.5)),
        last_quarter=_median(_between(passing, requests * 0.75, requests)),
        largest=_largest(passing),
        burst=burst,
        accepted_after=accepted_after,
        largest_in_burst=_largest(bursting),
    )


@asynccontextmanager
async def _sampled(house: House, portal: Portal, requests: int, tell: Tell) -> AsyncIterator[Sequence[_Sample]]:
    """Samples are taken, and progress told, as long as the block lasts."""
    samples = [_Sample(portal.closed, house.memory())]
    began, closed_before = time.perf_counter(), portal.closed

    async def sample() -> None:
        told = began
        while True:
            await asyncio.sleep(_SAMPLE_EVERY)
            samples.append(_Sample(portal.closed, house.memory()))
            now = time.perf_counter()
            if now - told >= _TELL_EVERY:
                told, rate = now, (portal.closed - closed_before) / (now - began)
                left = f"{(requests - portal.closed) / rate / 60:.0f} min left" if rate else "none closed yet"
                most = ", ".join(f"{name} {value:.0f}" for name, value in samples[-1].megabytes.items())
                tell(f"memory: {portal.closed:,} of {requests:,} closed, {rate:,.0f}/s, {left}; MB: {most}")

    task = asyncio.create_task(sample(), name="memory-samples")
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        samples.append(_Sample(portal.closed, house.memory()))


def _between(samples: Sequence[_Sample], first: float, last: float) -> Sequence[_Sample]:
    """Those while between `first` and `last` requests were closed; the nearest, where a short look has none."""
    found = [sample for sample in samples if first <= sample.closed <= last]
    return found or [min(samples, key=lambda sample: abs(sample.closed - last))]


def _median(samples: Sequence[_Sample]) -> Megabytes:
    return {name: statistics.median(each.megabytes[name] for each in samples) for name in samples[0].megabytes}


def _largest(samples: Sequence[_Sample]) -> Megabytes:
    return {name: max(each.megabytes[name] for each in samples) for name in samples[0].megabytes}
