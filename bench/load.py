"""The portal of the benchmark: requests made ahead of time, sent as fast as Kafka takes them, followed to their end."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import murmur2

from bench.batches import Ready, send_batches
from bench.pipe import SYSTEMS, StalledError, producer
from habeas.contracts import Keyring, Place
from habeas.contracts.catalogue import seal_personal, write
from habeas.contracts.cloudevents import encode
from habeas.contracts.submission import Identity, Proof, Requester, RequestSubmitted, Subject, SubmissionPersonal
from habeas.contracts.topics import status, submissions
from habeas.contracts.vocabulary import NotifyBy, Right

PORTAL = "web"

_ALL_SYSTEMS = sorted(SYSTEMS)

_AFTER_THE_LAST = 30.0
"""Seconds without a status after which requests are stuck."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is asked for: `name` is what a table calls it."""

    name: str
    right: Right
    notify_by: NotifyBy


ERASURE = Kind("workflow", Right.ERASURE, NotifyBy.PORTAL)
WITH_MAIL = Kind("with_mail", Right.ERASURE, NotifyBy.HABEAS)
ACCESS = Kind("access", Right.ACCESS, NotifyBy.PORTAL)


@dataclass(frozen=True, slots=True)
class Submission:
    """One record, ready to be sent."""

    request_id: UUID
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    place: int
    """Modulo the number of partitions: which of them a producer would take."""


def submissions_of(kind: Kind, count: int, keyring: Keyring) -> list[Submission]:
    """Different people, each proven by everything a system can want, so that all are asked at once."""
    now = datetime.now(UTC)
    return [_submission(kind, keyring, now) for _ in range(count)]


def _submission(kind: Kind, keyring: Keyring, now: datetime) -> Submission:
    request_id = uuid4()
    proof = Proof(method="portal_login", at=now, level="high")
    address = f"{request_id.hex}@example.org"
    personal = SubmissionPersonal(
        subject=Subject(
            name="Ada Example",
            identities=tuple(
                Identity(identity_type=identity_type, identity_value=value, proof=proof)
                for identity_type, value in (
                    ("email", address),
                    ("account_id", f"acc-{request_id.hex}"),
                    ("payment_customer_id", f"pay-{request_id.hex}"),
                )
            ),
        ),
        requester=Requester(email=address),
    )
    body = RequestSubmitted(
        request_id=request_id,
        submitted_time=now,
        received_at=now - timedelta(seconds=1),
        right=kind.right,
        jurisdiction="DE-BE",
        notify_by=kind.notify_by,
        personal=seal_personal(keyring, Place(PORTAL, RequestSubmitted.TYPE, request_id), personal),
    )
    key, value, headers = encode(write(body, subject=request_id, source=PORTAL, now=now))
    return Submission(request_id, key, value, headers, murmur2(key) & 0x7FFFFFFF)


@dataclass
class Course:
    """When a request came to each point, in seconds of `time.perf_counter`."""

    submitted: float
    accepted: float | None = None
    assigned: float | None = None
    closed: float | None = None
    reference: str = ""
    version: int = 0
    """Of the newest status that was heard."""


@dataclass
class Portal:
    """Sends and follows. Use it in `async with`."""

    client: Mapping[str, Any]
    courses: dict[str, Course] = field(default_factory=dict)
    closed: int = 0
    repeated: int = 0
    """Times that a closed request was closed anew."""
    incomplete: int = 0
    """Requests that were closed without one answer of each system."""
    accepted: int = 0
    said_again: int = 0
    """Statuses that came twice, or after a newer one: readers leave them out."""
    outcomes: dict[str, int] = field(default_factory=dict)
    told: Callable[[int], None] = lambda _: None

    async def __aenter__(self) -> Self:
        self._producer: AIOKafkaProducer = producer(self.client)
        self._consumer = AIOKafkaConsumer(status(PORTAL), **self.client, group_id=None, auto_offset_reset="latest")
        await self._producer.start()
        await self._consumer.start()
        for partition in self._consumer.assignment():
            await self._consumer.position(partition)  # where the topic ends now
        self._heard = asyncio.Condition()
        self._last = time.perf_counter()
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()

    async def send(self, batch: Sequence[Submission], rate: float | None = None) -> None:
        """All of `batch`: at once, or `rate` a second. Returns when Kafka has them."""
        topic = submissions(PORTAL)
        partitions = len(await self._producer.partitions_for(topic))
        if rate is None:
            records: dict[tuple[str, int], list[Ready]] = {}
            now = time.perf_counter()
            for each in batch:
                self.courses[str(each.request_id)] = Course(now)
                records.setdefault((topic, each.place % partitions), []).append(
                    Ready(each.key, each.value, each.headers)
                )
            await send_batches(self._producer, records)
            return
        sent = []
        began = time.perf_counter()
        for number, each in enumerate(batch):
            if (early := began + number / rate - time.perf_counter()) > 0.002:
                await asyncio.sleep(early)
            self.courses[str(each.request_id)] = Course(time.perf_counter())
            sent.append(
                await self._producer.send(
                    topic, each.value, key=each.key, headers=each.headers, partition=each.place % partitions
                )
            )
        await asyncio.gather(*sent)

    async def all_closed(self) -> None:
        """Wait until every request that was sent is closed. Raises `StalledError`."""
        await self.until(lambda: self.closed >= len(self.courses))

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for what is seen in the statuses. Raises `StalledError` when none comes any more."""
        self._last = time.perf_counter()
        while not reached():
            if self._reader.done():
                self._reader.result()
            if time.perf_counter() - self._last > _AFTER_THE_LAST:
                raise StalledError(f"{len(self.courses) - self.closed} of {len(self.courses)} requests are stuck")
            with suppress(TimeoutError):
                async with asyncio.timeout(1), self._heard:
                    await self._heard.wait()

    async def _read(self) -> None:
        while True:
            found = await self._consumer.getmany(timeout_ms=200)
            now = time.perf_counter()
            heard = [record for batch in found.values() for record in batch]
            for record in heard:
                self._hear(orjson.loads(record.value or b"null"), now)
            if heard:
                self._last = now
                self.told(self.closed)
                async with self._heard:
                    self._heard.notify_all()

    def _hear(self, said: dict[str, Any] | None, now: float) -> None:
        course = self.courses.get(said["request_id"]) if said and "state" in said else None
        if said is None or course is None:
            return  # not ours
        if said["version"] <= course.version:
            self.said_again += 1
            return
        course.version = said["version"]
        if course.accepted is None:
            course.accepted, course.reference = now, said["reference"]
            self.accepted += 1
        if course.assigned is None and said["state"] not in ("received", "triage", "waiting"):
            course.assigned = now
        if said["state"] == "closed":
            self.repeated += course.closed is not None
            self.closed += course.closed is None
            course.closed = course.closed or now
            self.outcomes[said["outcome"]] = self.outcomes.get(said["outcome"], 0) + 1
            finished = [each["system"] for each in said["systems"] if each["state"] == "finished"]
            self.incomplete += sorted(finished) != _ALL_SYSTEMS
