"""Load, what has to hold of it whatever happens, and hands to make things happen."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import orjson
from aiokafka import AIOKafkaConsumer
from stand import Portal, Stand, eventually, somebody

from habeas.contracts.status import StatusChanged
from systems import sample

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = ("intake", "fanout", "collector", "notifier")


async def flood(web: Portal, numbers: range) -> list[UUID]:
    """Access requests of these people, all at once."""
    people = map(sample.person, numbers)
    return list(await asyncio.gather(*(web.submit(somebody(each.email, name=each.name)) for each in people)))


async def some(web: Portal, request_ids: list[UUID], state: str, count: int = 1) -> None:
    """Waits until that many of them have been in the state."""
    wanted = set(request_ids)

    async def there() -> bool:
        return sum(any(each.state == state for each in web.statuses(one)) for one in wanted) >= count

    await eventually(there)


async def check_all_closed_once(web: Portal, stand: Stand, request_ids: list[UUID]) -> None:
    """Each closes once, whatever was said twice on the way; each mail is one mail, however often it was sent."""
    closed = await asyncio.gather(*(web.closed(request_id) for request_id in request_ids))
    for request_id, status in zip(request_ids, closed, strict=True):
        assert status.outcome in {"completed", "partially_completed"}
        # What a killed process had committed and not sent yet comes with a sweeper, later than what followed it.
        await eventually(lambda one=request_id: _is_without_gap(web, one))  # type: ignore[misc]
        check_statuses(web.statuses(request_id))
        await eventually(lambda one=request_id: _has_all_mails(stand, one))  # type: ignore[misc]
        mails = stand.mails(request_id)
        assert set(mails) == {"acknowledged", status.outcome}
        for repeats in mails.values():
            assert len({mail["Message-ID"] for mail in repeats}) == 1
            assert len({mail.get_content_type() for mail in repeats}) == 1


async def _is_without_gap(web: Portal, request_id: UUID) -> bool:
    versions = {status.version for status in web.statuses(request_id)}
    return len(versions) == max(versions)


async def _has_all_mails(stand: Stand, request_id: UUID) -> bool:
    return len(stand.mails(request_id)) == 2


def check_statuses(statuses: list[StatusChanged]) -> None:
    """Versions rise by one; a repeated one says the same; closed is said once, last."""
    by_version: dict[int, StatusChanged] = {}
    for status in statuses:
        assert by_version.setdefault(status.version, status) == status
    assert sorted(by_version) == list(range(1, len(by_version) + 1))
    assert [version for version, status in by_version.items() if status.state == "closed"] == [len(by_version)]


def strike(stand: Stand, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    """Sends a signal to a process of the stack and all it has started."""
    os.killpg(stand.process(name).pid, number)


async def restarted(stand: Stand, name: str, before: int) -> None:
    """Waits until the supervisor has it running anew, and ready."""

    async def again() -> bool:
        try:
            async with httpx.AsyncClient(timeout=2) as http:
                ready = (await http.get(f"{stand.http(name)}/health/ready")).status_code == 200
        except httpx.HTTPError:
            return False
        return ready and stand.process(name).pid != before

    await eventually(again)


async def end_sessions(stand: Stand, name: str) -> int:
    """Ends what a program has open in PostgreSQL, as an administrator or a failover would. Returns how many."""
    connection = await asyncpg.connect(stand.database(name))
    try:
        ended = await connection.fetch(
            """select pg_terminate_backend(pid) from pg_stat_activity
               where usename = current_user and datname = current_database() and pid <> pg_backend_pid()"""
        )
    finally:
        await connection.close()
    return len(ended)


@dataclass(frozen=True)
class Replica:
    """A further process of a service, ours to end."""

    process: asyncio.subprocess.Process
    address: str

    async def metric(self, name: str) -> float:
        return await metric(self.address, name)

    async def is_ready(self) -> bool:
        async with httpx.AsyncClient(timeout=5) as http:
            return (await http.get(f"{self.address}/health/ready")).status_code == 200

    async def is_leaving(self) -> bool:
        """Told to stop: not ready any more, while the batch in hand goes on."""
        return not await self.is_ready()

    async def stop(self) -> int:
        """SIGTERM; returns the exit code. Raises TimeoutError where it takes longer than a supervisor would wait."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            return await self.process.wait()


@asynccontextmanager
async def replicas(stand: Stand, *names: str) -> AsyncIterator[list[Replica]]:
    """One more of each service, with partitions of its own."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HABEAS_")}
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "operations.programs", "service", name),
            env=inherited | stand.env(name) | {"HABEAS_HTTP_PORT": "0"},
            cwd=REPOSITORY,
            stderr=asyncio.subprocess.PIPE,
        )
        for name in names
    ]
    drains: list[asyncio.Task[bytes]] = []
    try:
        started = []
        for process in processes:
            assert process.stderr is not None
            started.append(Replica(process, await _address(process.stderr)))
            drains.append(asyncio.create_task(process.stderr.read()))
        for each in started:
            await eventually(each.is_ready)
        yield started
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await asyncio.gather(*drains)


async def _address(log: asyncio.StreamReader) -> str:
    while True:
        line = orjson.loads(await log.readline())
        if line["event"] == "http_listening":
            return "http://{}:{}".format(*line["address"])


async def metric(address: str, name: str) -> float:
    """The sum of all series of a metric whose line begins so."""
    async with httpx.AsyncClient(timeout=5) as http:
        lines = (await http.get(f"{address}/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def written(stand: Stand, topic: str) -> int:
    """How many records have ever been written to it."""
    consumer = AIOKafkaConsumer(topic, group_id=None, **stand.kafka("operators"))
    await consumer.start()
    try:
        return sum((await consumer.end_offsets(consumer.assignment())).values())
    finally:
        await consumer.stop()
