"""What whole-system tests stand on: a running local stack, seen as its users see it.

Nothing here reaches into a service: portals and operators speak Kafka as their own principals, mails are read from the
sink's folder, processes are known by their pids.

All tests share one stack, so each file takes people of the sample (`systems.sample`) of its own, and visitors alike:

    people    1-99     access          visitors  1-49     access
            100-129    journeys                 50-99     erasure
            130-199    rights                  150-199    rights
            200-299    erasure                 100-149    privacy
            300-399    privacy
            400-799    faults
            800-999    erasure, again on the same stack

Bad input and permissions need nobody: strangers ask there.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from dotenv import dotenv_values

from habeas.contracts import CloudEvent, KeyFile, Keyring, Place
from habeas.contracts.catalogue import read, read_personal, seal_personal, write
from habeas.contracts.cloudevents import decode, encode
from habeas.contracts.dead_letter import DeadLetter, RawRecord, dead_letter_id
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.submission import Identity, Proof, Requester, RequestSubmitted, Subject, SubmissionPersonal
from habeas.contracts.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS, status, submissions

PATIENCE = 75.0
"""Seconds that anything may take on a busy machine, faults beside it included: Kafka misses a killed consumer after
ten, a sweeper sends what it left after fifteen. Waiting ends as soon as it has happened."""


class Stand:
    """A stack's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._mails: dict[Path, EmailMessage] = {}

    def env(self, name: str) -> dict[str, str]:
        return {key: value or "" for key, value in dotenv_values(self.root / "env" / name).items()}

    def keyring(self, name: str) -> Keyring:
        return KeyFile(Path(self.env(name)["HABEAS_KEYS"])).keyring()

    def kafka(self, name: str) -> dict[str, Any]:
        env = self.env(name)
        return {
            "bootstrap_servers": env["HABEAS_KAFKA_BOOTSTRAP_SERVERS"],
            "security_protocol": env["HABEAS_KAFKA_SECURITY_PROTOCOL"],
            "sasl_mechanism": env["HABEAS_KAFKA_SASL_MECHANISM"],
            "sasl_plain_username": env["HABEAS_KAFKA_SASL_USERNAME"],
            "sasl_plain_password": env["HABEAS_KAFKA_SASL_PASSWORD"],
        }

    def database(self, name: str) -> str:
        return self.env(name)["HABEAS_DATABASE_URL"]

    def process(self, name: str) -> psutil.Process:
        """As it runs now; another one after a restart."""
        state = json.loads((self.root / "state.json").read_text())
        return psutil.Process(next(each["pid"] for each in state["processes"] if each["name"] == name))

    def log(self, name: str) -> str:
        return (self.root / "log" / f"{name}.log").read_text()

    def http(self, name: str) -> str:
        """Where a process answers `/health/ready` and `/metrics`."""
        return f"http://127.0.0.1:{self.env(name)['HABEAS_HTTP_PORT']}"

    def mails(self, request_id: UUID) -> dict[str, list[EmailMessage]]:
        """By notice. A mail that the workflow knows to be accepted is here already."""
        found: dict[str, list[EmailMessage]] = defaultdict(list)
        for path in sorted((self.root / "mail").glob("*.eml")):
            if path not in self._mails:
                self._mails[path] = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            mail = self._mails[path]
            if mail["X-Habeas-Request"] == str(request_id):
                found[str(mail["X-Habeas-Notice"])].append(mail)
        return found

    @asynccontextmanager
    async def producer(self, name: str) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            **self.kafka(name), enable_idempotence=True, max_request_size=DEAD_LETTER_LIMIT + 65_536
        )
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @asynccontextmanager
    async def watching(self, name: str, topic: str, *, earliest: bool = True) -> AsyncIterator[Watch]:
        """Everything on a topic, as one who may read it."""
        consumer = AIOKafkaConsumer(
            topic,
            **self.kafka(name),
            group_id=None,
            auto_offset_reset="earliest" if earliest else "latest",
            max_partition_fetch_bytes=2 * DEAD_LETTER_LIMIT,
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        watch = Watch(consumer)
        task = asyncio.create_task(watch.run())
        try:
            yield watch
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await consumer.stop()

    @asynccontextmanager
    async def portal(self, name: str = "web") -> AsyncIterator[Portal]:
        async with self.producer(name) as producer, self.watching(name, status(name)) as watch:
            yield Portal(name, self.keyring(name), producer, watch)

    @asynccontextmanager
    async def operators(self) -> AsyncIterator[DeadLetters]:
        async with self.watching("operators", DEAD_LETTERS) as watch:
            yield DeadLetters("operators", self.keyring("operators"), watch)


@dataclass
class Watch:
    """The records of a topic so far, and a way to wait for one."""

    consumer: AIOKafkaConsumer
    records: list[Any] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _error: Exception | None = None

    async def run(self) -> None:
        try:
            async for record in self.consumer:
                async with self._news:
                    self.records.append(record)
                    self._news.notify_all()
        except Exception as error:
            async with self._news:
                self._error = error
                self._news.notify_all()

    async def first(self, wanted: Callable[[Any], bool], patience: float = PATIENCE) -> Any:
        """The first record that is `wanted`, now or later. Raises TimeoutError, or what ended the reading."""
        seen = 0
        async with asyncio.timeout(patience), self._news:
            while True:
                for record in self.records[seen:]:
                    if wanted(record):
                        return record
                seen = len(self.records)
                if self._error is not None:
                    raise self._error
                await self._news.wait()


@dataclass(frozen=True)
class Portal:
    """An upstream portal, as one would be written."""

    name: str
    keyring: Keyring
    producer: AIOKafkaProducer
    watch: Watch

    def submission(
        self,
        personal: SubmissionPersonal,
        right: str = "access",
        request_id: UUID | None = None,
        personal_token: str | None = None,
        **members: Any,
    ) -> CloudEvent:
        """A submission as an event; `members` override, `personal_token` takes the place of the sealed part."""
        now = datetime.now(UTC)
        request_id = request_id or uuid4()
        place = Place(self.name, RequestSubmitted.TYPE, request_id)
        body = RequestSubmitted(
            **{
                "request_id": request_id,
                "submitted_time": now,
                "received_at": now,
                "right": right,
                "jurisdiction": "DE-BE",
                "personal": personal_token or seal_personal(self.keyring, place, personal),
                **members,
            }
        )
        return write(body, subject=request_id, source=f"portals/{self.name}", now=now)

    async def publish(self, event: CloudEvent) -> Any:
        """Returns where Kafka put it: topic, partition, offset."""
        key, value, headers = encode(event)
        return await self.send(value, key=key, headers=headers)

    async def send(self, value: bytes | None, *, key: bytes | None, headers: Any, partition: int | None = None) -> Any:
        return await self.producer.send_and_wait(
            submissions(self.name), value, key=key, headers=headers, partition=partition
        )

    async def submit(self, personal: SubmissionPersonal, right: str = "access", **members: Any) -> UUID:
        event = self.submission(personal, right, **members)
        await self.publish(event)
        return event.subject

    def statuses(self, request_id: UUID) -> list[StatusChanged]:
        """All seen so far, in the topic's order."""
        return [found for record in self.watch.records if (found := _status(record, request_id)) is not None]

    async def until(
        self, request_id: UUID, wanted: Callable[[StatusChanged], bool], patience: float = PATIENCE
    ) -> StatusChanged:
        def is_wanted(record: Any) -> bool:
            found = _status(record, request_id)
            return found is not None and wanted(found)

        found = _status(await self.watch.first(is_wanted, patience), request_id)
        assert found is not None
        return found

    async def closed(self, request_id: UUID, patience: float = PATIENCE) -> StatusChanged:
        return await self.until(request_id, lambda found: found.state == "closed", patience)

    async def rejected(self, ce_id: UUID) -> SubmissionRejected:
        record = await self.watch.first(
            lambda record: record.key == str(ce_id).encode() and _type(record) == SubmissionRejected.TYPE
        )
        return read(decode(record.key, record.value, record.headers), SubmissionRejected)


@dataclass(frozen=True)
class DeadLetters:
    """Those of the services, read by `operators`, or a system's own."""

    reader: str
    keyring: Keyring
    watch: Watch

    async def of(self, place: Any) -> tuple[DeadLetter, RawRecord]:
        """That of the record which Kafka put at `place` (topic, partition, offset), now or later; opened."""
        record = await self.watch.first(lambda record: record.key == _dead_letter_key(place))
        letter = read(decode(record.key, record.value, record.headers, limit=DEAD_LETTER_LIMIT), DeadLetter)
        where = Place(self.reader, DeadLetter.TYPE, letter.dead_letter_id)
        return letter, read_personal(self.keyring, where, letter.personal, RawRecord)

    def has(self, place: Any) -> bool:
        """Whether there is one already."""
        return any(record.key == _dead_letter_key(place) for record in self.watch.records)


def somebody(
    address: str, *, identity_type: str = "email", method: str | None = "portal_login", name: str = "Somebody"
) -> SubmissionPersonal:
    """A person with one identity, proven by `method` (None: not at all); mails go to `address` where it is one."""
    proof = Proof(method=method, at=datetime.now(UTC), level="substantial") if method else None
    mail = address if identity_type == "email" else f"{uuid4().hex}@example.org"
    return SubmissionPersonal(
        subject=Subject(
            name=name, identities=(Identity(identity_type=identity_type, identity_value=address, proof=proof),)
        ),
        requester=Requester(name=name, email=mail),
    )


async def eventually(look: Callable[[], Awaitable[bool]], patience: float = PATIENCE) -> None:
    """Looks again and again until it is so: for what nobody announces. Raises TimeoutError."""
    async with asyncio.timeout(patience):
        while not await look():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.05)


def _dead_letter_key(place: Any) -> bytes:
    return str(dead_letter_id(place.topic, place.partition, place.offset)).encode()


def _type(record: Any) -> str:
    return bytes(dict(record.headers).get("ce_type", b"")).decode()


def _status(record: Any, request_id: UUID) -> StatusChanged | None:
    if record.key != str(request_id).encode() or _type(record) != StatusChanged.TYPE:
        return None
    return read(decode(record.key, record.value, record.headers), StatusChanged)


def stand_from_environment() -> Stand | None:
    root = os.environ.get("HABEAS_STACK")
    return Stand(Path(root)) if root else None
