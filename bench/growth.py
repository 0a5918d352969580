"""Whether open requests slow the others down: throughput and timers with none, many and very many in the tables.

Each number of open requests has a database of its own on the same server. They are measured by turns in one run, since
machines are noisy.
"""

import asyncio
import shutil
import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench.house import EMPTY, SYSTEMS, House, copy_database
from bench.load import ERASURE, WITH_MAIL, Portal, submissions_of
from bench.multiply import Template, multiply, template_of
from bench.pipe import StalledError
from bench.rounds import Run, Tell, run_once
from bench.timers import Turn, turns_of

TARGET: Final = 0.85
"""Of the throughput with empty tables, with most open requests."""

_BYTES: Final = 12_000
"""That an open request takes on the disk."""

_BESIDES: Final = 5_000_000_000
"""Bytes for what is measured and for the write-ahead log."""

_WARM_UP: Final = 500
_FIRST: Final = 1_000
_QUIET: Final = 3.0
"""Seconds without a change in the tables after which nothing more follows from a request."""


class NoRoomError(Exception):
    """The disk has no room for so many open requests."""


@dataclass(slots=True)
class Growth:
    rows: dict[str, int]
    """Of one open request, by table."""
    megabytes: dict[int, float] = field(default_factory=dict)
    """Of the database, by the number of open requests."""
    runs: dict[int, list[Run]] = field(default_factory=dict)
    timers: dict[int, list[Turn]] = field(default_factory=dict)

    def rate(self, size: int) -> float:
        return statistics.median(run.rate for run in self.runs[size])

    @property
    def ratio(self) -> float:
        """The throughput with most open requests, as a fraction of that with fewest."""
        return self.rate(max(self.runs)) / self.rate(min(self.runs))

    def as_json(self) -> dict[str, Any]:
        return {
            "rows_of_a_request": self.rows,
            "database_megabytes": self.megabytes,
            "runs": {size: [asdict(run) | {"rate": run.rate} for run in runs] for size, runs in self.runs.items()},
            "timers": {size: [asdict(turn) for turn in turns] for size, turns in self.timers.items()},
            "ratio": self.ratio,
        }


async def measure(house: House, sizes: Sequence[int], rounds: int, seconds: float, tell: Tell) -> Growth:
    """`rounds` over all `sizes`, there and back, about `seconds` each.

    Raises `NoRoomError`, `StalledError`, `WrongOutcomeError`.
    """
    needed, free = sum(sizes) * _BYTES + _BESIDES, shutil.disk_usage(house.stack.root).free
    if free < needed:
        raise NoRoomError(
            f"{needed / 1e9:.0f} GB are needed under {house.stack.root}, and {free / 1e9:.0f} are free: make room, or "
            "ask for fewer open requests (--open)"
        )
    tell("growth: one request, to be multiplied")
    template = await _open_request(house.on(EMPTY))
    found = Growth(template.rows)
    houses = {size: house.on(f"bench_growth_{size}") for size in sorted(sizes)}
    for size, each in houses.items():
        await copy_database(house, EMPTY, each.database)
        found.megabytes[size] = await _load(each, template, size, tell)
        found.timers[size] = await turns_of(each)
        for turn in found.timers[size]:
            tell(f"  {turn.name}: {turn.milliseconds:.2f} ms, {turn.cpu_us:,.0f} us of CPU")
        found.runs[size] = []
    guess = 0.0
    for number in range(1, rounds + 1):
        for size in houses if number % 2 else reversed(houses):
            async with houses[size].open():
                await run_once(houses[size], ERASURE, _WARM_UP)
                guess = guess or (await run_once(houses[size], ERASURE, _FIRST)).rate
                run = await run_once(houses[size], ERASURE, int(guess * seconds * 1.1))
            found.runs[size].append(run)
            cpu = sum(run.cpu_us.values())
            tell(f"growth, round {number}: {size:,} open: {run.rate:,.0f} requests/s, {cpu:,.0f} us of CPU each")
    return found


async def _open_request(house: House) -> Template:
    """One that was accepted and acknowledged by mail, and whose systems have not answered."""
    async with house.open(without=[SYSTEMS]), Portal(house.client()) as portal:
        (submission,) = batch = submissions_of(WITH_MAIL, 1, house.keyring("web"))
        await portal.send(batch)
        await portal.until(lambda: any(course.assigned for course in portal.courses.values()))
        database = await house.connect()
        try:
            await _until_quiet(lambda: _fingerprint(database))
        finally:
            await database.close()
        reference = next(iter(portal.courses.values())).reference
    database = await house.connect()
    try:
        return await template_of(database, submission.request_id, reference)
    finally:
        await database.close()


async def _fingerprint(database: Any) -> Any:
    """Changes with every row that is written."""
    return await database.fetchval("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables")


async def _until_quiet(look: Callable[[], Any]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(60):
            before, now = None, await look()
            while before != now:
                await asyncio.sleep(_QUIET)
                before, now = now, await look()
            return
    raise StalledError("the tables never came to rest after a single request")


async def _load(house: House, template: Template, size: int, tell: Tell) -> float:
    """Returns the database's size in megabytes."""
    shown = 0

    def told(done: int) -> None:
        nonlocal shown
        if done == size or done >= shown + size / 10:
            shown = done
            tell(f"  {done:,} of {size:,} open requests loaded")

    await multiply(house.connect, template, size, told)
    database = await house.connect()
    try:
        return int(await database.fetchval("SELECT pg_database_size(current_database())")) / 1e6
    finally:
        await database.close()
