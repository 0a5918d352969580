"""The workflow as a fraction of the bare pipe: pipe - workflow - pipe, in rounds on one broker, ratio of medians.

Machines are noisy and differ; what one run measures side by side on one machine says something about the code.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench import pipe
from bench.house import House
from bench.load import ACCESS, ERASURE, WITH_MAIL, Kind, Portal, submissions_of

KINDS: Final = (ERASURE, WITH_MAIL, ACCESS)

WARM_WITHIN: Final = 0.05
"""The broker is warm when two bare runs differ by less."""

_WARM_RUNS: Final = 6

_FIRST_PIPE: Final = 20_000
_FIRST_WORKFLOW: Final = 1_500
"""Requests of a first run, whose rate says how many the measured ones take."""

Tell = Callable[[str], None]


class UnsteadyError(Exception):
    """Two bare runs never came close to each other: something else is using the machine."""


class WrongOutcomeError(Exception):
    """Requests ended otherwise than foreseen: what was measured is not the workflow."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run of the workflow."""

    requests: int
    seconds: float
    cpu_us: dict[str, float]
    """Microseconds of CPU a request, by process; the portal is the benchmark itself."""
    memory_mb: dict[str, float]
    written: dict[str, float]
    """Rows, bytes of write-ahead log and bytes in Kafka a request."""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@dataclass(slots=True)
class Ratios:
    """All rounds, and what they come to."""

    pipe: list[float] = field(default_factory=list)
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def ratio(self, kind: str) -> float:
        return statistics.median(run.rate for run in self.runs[kind]) / statistics.median(self.pipe)

    def rate(self, kind: str) -> float:
        return statistics.median(run.rate for run in self.runs[kind])

    def as_json(self) -> dict[str, Any]:
        return {
            "pipe_requests_per_second": self.pipe,
            "workflow": {kind: [asdict(run) | {"rate": run.rate} for run in runs] for kind, runs in self.runs.items()},
            "ratio": {kind: self.ratio(kind) for kind in self.runs},
        }


async def warm_up(house: House, seconds: float, within: float, tell: Tell) -> float:
    """Run the bare pipe until two runs differ by less than `within`. Returns its rate. Raises `UnsteadyError`."""
    tell("warming the broker with the bare pipe")
    rate = await pipe.requests_per_second(house.client(), _FIRST_PIPE)
    for _ in range(_WARM_RUNS):
        before, rate = rate, await pipe.requests_per_second(house.client(), int(rate * seconds))
        tell(f"  bare pipe: {rate:,.0f} requests/s, {abs(rate / before - 1):.1%} from the run before")
        if abs(rate / before - 1) < within:
            return rate
    raise UnsteadyError(
        f"{_WARM_RUNS} bare runs in a row differ by {within:.0%} or more: let the machine rest from other work"
    )


async def measure(
    house: House,
    rounds: int,
    seconds: float,
    kinds: tuple[Kind, ...],
    tell: Tell,
    *,
    within: float = WARM_WITHIN,
) -> Ratios:
    """`rounds` of pipe - workflow - pipe for each of `kinds`, at least `seconds` each, on a warm broker."""
    found = Ratios(runs={kind.name: [] for kind in kinds})
    rate = await warm_up(house, seconds, within, tell)
    guess = {kind.name: 0.0 for kind in kinds}
    for number in range(1, rounds + 1):
        for kind in kinds:
            found.pipe.append(rate := await pipe.requests_per_second(house.client(), int(rate * seconds * 1.1)))
            tell(f"round {number}: bare pipe {rate:,.0f} requests/s")
            run = await _workflow(house, kind, guess[kind.name], seconds)
            guess[kind.name] = run.rate
            found.runs[kind.name].append(run)
            cpu = sum(run.cpu_us.values())
            tell(f"round {number}: {kind.name} {run.rate:,.0f} requests/s, {cpu:,.0f} us of CPU each")
    found.pipe.append(await pipe.requests_per_second(house.client(), int(rate * seconds * 1.1)))
    tell(f"last: bare pipe {found.pipe[-1]:,.0f} requests/s")
    return found


async def _workflow(house: House, kind: Kind, guess: float, seconds: float) -> Run:
    """A run of `seconds` at least; of a longer one where the first was too short."""
    async with house.open():
        if not guess:
            await run_once(house, kind, _FIRST_WORKFLOW // 5)
            guess = (await run_once(house, kind, _FIRST_WORKFLOW)).rate
        else:
            await run_once(house, kind, _FIRST_WORKFLOW // 5)  # connections, statements, caches
        while True:
            run = await run_once(house, kind, int(guess * seconds * 1.15))
            if run.seconds >= seconds:
                return run
            guess = max(guess * 1.15, run.rate)


def check_outcomes(portal: Portal) -> None:
    """Raises `WrongOutcomeError` unless each request was completed, once, with one answer of each system."""
    requests = len(portal.courses)
    if portal.outcomes != {"completed": requests} or portal.repeated or portal.incomplete:
        raise WrongOutcomeError(
            f"{portal.outcomes} of {requests} requests, {portal.repeated} closed twice, "
            f"{portal.incomplete} without one answer of each system"
        )


async def run_once(house: House, kind: Kind, requests: int, rate: float | None = None) -> Run:
    """`requests` at once, or `rate` a second, from the first submission to the last `closed`."""
    batch = submissions_of(kind, requests, house.keyring("web"))
    async with Portal(house.client()) as portal:
        written, before, ours = await house.written(), house.cpu_seconds(), time.process_time()
        started = time.perf_counter()
        await portal.send(batch, rate)
        await portal.all_closed()
        seconds = time.perf_counter() - started
        after = house.cpu_seconds()
        portals = time.process_time() - ours
        check_outcomes(portal)
    cpu = {name: (after[name] - before[name]) / requests * 1e6 for name in after}
    cpu["portal"] = portals / requests * 1e6
    now = await house.written()
    return Run(requests, seconds, cpu, house.memory(), {name: (now[name] - written[name]) / requests for name in now})
