"""Two replicas of a service: what they share, what it brings here, and that nothing is lost as they come and go."""

import asyncio
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import aiohttp
import psutil  # type: ignore[import-untyped]
from confluent_kafka import ConsumerGroupState

from bench.house import House
from bench.load import ERASURE, WITH_MAIL, Portal, submissions_of
from bench.pipe import StalledError
from bench.rounds import Run, Tell, check_outcomes, run_once
from operations.programs import SERVICES
from operations.stack.kafka import admin_client
from operations.stack.ports import HOST

LEAST_SHARE: Final = 0.3
"""Of the records, for either of two replicas that share the work."""

_WARM_UP: Final = 500
_FIRST: Final = 1_000
_UNDER_LOAD: Final = 0.25
"""Of the rate of erasures without mails: with them, and while a group finds itself anew, there is room left."""

_PATIENCE: Final = 60.0
"""Seconds in which a group comes to rest after a member came or went."""

_BOTH: Final = 100
"""Requests that are closed while two replicas share the work, before one goes."""


@dataclass(frozen=True, slots=True)
class Replicas:
    service: str
    cores: int
    one: list[Run]
    two: list[Run]
    partitions: list[int]
    """Of each of the two."""
    records: list[int]
    """That each of the two took, in all rounds."""
    changes: int
    """Replicas that came or went under load."""
    requests: int
    """That were submitted under load: each was closed once, with one answer of each system."""
    said_again: int
    """Of their statuses."""

    @property
    def ratio(self) -> float:
        return statistics.median(run.rate for run in self.two) / statistics.median(run.rate for run in self.one)

    @property
    def least_share(self) -> float:
        return min(self.records) / max(1, sum(self.records))

    def as_json(self) -> dict[str, Any]:
        runs = {
            "one": [asdict(run) | {"rate": run.rate} for run in self.one],
            "two": [asdict(run) | {"rate": run.rate} for run in self.two],
        }
        return asdict(self) | runs | {"ratio": self.ratio, "least_share": self.least_share}


async def measure(house: House, service: str, rounds: int, seconds: float, tell: Tell) -> Replicas:
    """One and two replicas of `service` by turns; then a change of each service under load.

    Raises `StalledError`, `WrongOutcomeError`.
    """
    one, two = [], []
    partitions, records = [0, 0], [0, 0]
    second = house.second(service)
    async with house.open():
        await run_once(house, ERASURE, _WARM_UP)
        guess = (await run_once(house, ERASURE, _FIRST)).rate
        for number in range(1, rounds + 1):
            one.append(await run_once(house, ERASURE, int(guess * seconds * 1.1)))
            second.start()
            try:
                await second.wait_ready()
                partitions = await _members(house, service, 2)
                await run_once(house, ERASURE, _WARM_UP)
                before = await _taken(house, service, second.name)
                two.append(await run_once(house, ERASURE, int(guess * seconds * 1.1)))
                after = await _taken(house, service, second.name)
            finally:
                await second.stop()
            await _members(house, service, 1)
            records = [had + now - then for had, now, then in zip(records, after, before, strict=True)]
            tell(f"replicas, round {number}: one {service} {one[-1].rate:,.0f} requests/s, two {two[-1].rate:,.0f}")
    requests, said_again = await _changed_under_load(house, guess * _UNDER_LOAD, tell)
    cores = psutil.cpu_count()
    return Replicas(service, cores, one, two, partitions, records, 2 * len(SERVICES), requests, said_again)


async def _changed_under_load(house: House, rate: float, tell: Tell) -> tuple[int, int]:
    """Beside each service a second one is started, then the first is stopped. Returns requests, statuses said again."""
    seconds = [house.second(service) for service in SERVICES]
    try:
        async with house.open(), Portal(house.client()) as portal:
            enough = asyncio.Event()
            feeding = asyncio.create_task(_feed(house, portal, rate, enough), name="feed")
            try:
                for service, second in zip(SERVICES, seconds, strict=True):
                    second.start()
                    await second.wait_ready()
                    await _members(house, service, 2)
                    await portal.until(_more(portal, _BOTH))
                    await house.processes[service].stop()
                    await _members(house, service, 1)
                    await portal.until(_more(portal, _BOTH))
                    tell(f"replicas: one {service} added, one removed; {portal.closed:,} closed at {rate:,.0f}/s")
            finally:
                enough.set()
                await feeding
            await portal.all_closed()
            check_outcomes(portal)
            return len(portal.courses), portal.said_again
    finally:
        await asyncio.gather(*(second.stop() for second in seconds))


def _more(portal: Portal, requests: int) -> Callable[[], bool]:
    wanted = portal.closed + requests
    return lambda: portal.closed >= wanted


async def _feed(house: House, portal: Portal, rate: float, enough: asyncio.Event) -> None:
    keyring = house.keyring("web")
    while not enough.is_set():
        await portal.send(submissions_of(WITH_MAIL, max(1, int(rate)), keyring), rate)


async def _members(house: House, service: str, count: int) -> list[int]:
    """Waits until the group has come to rest with `count` members. Returns the partitions of each."""
    admin, group = admin_client(house.stack.env("operators")), f"habeas.{service}"

    def look() -> list[int] | None:
        found = admin.describe_consumer_groups([group])[group].result()
        partitions = [len(member.assignment.topic_partitions) for member in found.members]
        is_at_rest = found.state is ConsumerGroupState.STABLE and len(partitions) == count and all(partitions)
        return partitions if is_at_rest else None

    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                partitions = await asyncio.to_thread(look)
                if partitions is not None:
                    return partitions
                await asyncio.sleep(0.25)
    except TimeoutError:
        raise StalledError(f"{group} never came to rest with {count} members that have partitions") from None


async def _taken(house: House, *names: str) -> list[int]:
    """Records that each of these processes has taken from Kafka, by its own count."""
    async with aiohttp.ClientSession() as session:
        return [await _count(session, house.http_port(name)) for name in names]


async def _count(session: aiohttp.ClientSession, port: int) -> int:
    async with session.get(f"http://{HOST}:{port}/metrics") as response:
        lines = (await response.text()).splitlines()
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("habeas_records_total{")))
