"""The other side of a portal, for tests: a portal of the test's own on real Kafka, and Habeas's word on its topic."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from habeas.contracts import CloudEvent, KeyFile, Message, Place, topics
from habeas.contracts.catalogue import read, read_personal, types, write
from habeas.contracts.cloudevents import decode, encode
from habeas.contracts.sealing import new_key
from habeas.contracts.status import Due, StatusChanged, SubmissionError, SubmissionRejected
from habeas.portal import Portal

NOW = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)


def status(request_id: UUID, version: int, state: str = "in_progress", **members: Any) -> StatusChanged:
    return StatusChanged(
        **{
            "request_id": request_id,
            "reference": "HB-7K3M-Q2P9",
            "version": version,
            "state": state,
            "right": "access",
            "regulation": "eu-gdpr",
            "received_at": NOW,
            "since": NOW,
            "due": Due(at=NOW, on=date(2026, 4, 2), rule="one month", original_at=NOW),
            **members,
        }
    )


def rejection(ce_id: UUID, code: str = "conflict", pointer: str = "/request_id") -> SubmissionRejected:
    return SubmissionRejected(request_id=None, ce_id=ce_id, errors=(SubmissionError(code=code, pointer=pointer),))


@dataclass
class Counter:
    """`async with Counter.opened(stand.kafka("operators"), tmp_path) as counter:`"""

    name: str
    keys: Path
    kafka: dict[str, Any]
    producer: AIOKafkaProducer

    @classmethod
    @asynccontextmanager
    async def opened(cls, operators: dict[str, Any], folder: Path) -> AsyncIterator["Counter"]:
        name = f"desk-{uuid4().hex[:8]}"
        keys = folder / "keys.json"
        keys.write_text(json.dumps({"keys": [new_key(name)]}))
        admin = AIOKafkaAdminClient(**operators)
        await admin.start()
        names = [topics.submissions(name), topics.status(name)]
        await admin.create_topics([NewTopic(topic, 2, 1) for topic in names])
        producer = AIOKafkaProducer(**operators)
        await producer.start()
        try:
            yield cls(name, keys, operators, producer)
        finally:
            await producer.stop()
            await admin.delete_topics(names)
            await admin.close()

    def portal(self, **arguments: Any) -> Portal:
        return Portal(self.name, **{"kafka": self.kafka, "keys": self.keys, **arguments})

    async def say(self, *news: StatusChanged | SubmissionRejected) -> None:
        for body in news:
            subject = body.ce_id if isinstance(body, SubmissionRejected) else body.request_id
            await self.put(write(body, subject=subject, source="habeas/collector", now=NOW))

    async def put(self, event: CloudEvent) -> None:
        key, value, headers = encode(event)
        await self.raw(key, value, headers)

    async def raw(self, key: bytes | None, value: bytes | None, headers: Any = ()) -> None:
        await self.producer.send_and_wait(topics.status(self.name), value, key=key, headers=headers)

    async def purge(self, request_id: UUID) -> None:
        await self.raw(str(request_id).encode(), None)

    async def submissions(self, count: int) -> list[tuple[CloudEvent, Message, Any]]:
        """The first `count` of what the portal published, decoded and opened."""
        consumer = AIOKafkaConsumer(
            topics.submissions(self.name), **self.kafka, group_id=None, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            return [self._opened(await consumer.getone()) for _ in range(count)]
        finally:
            await consumer.stop()

    def _opened(self, record: Any) -> tuple[CloudEvent, Message, Any]:
        from habeas.contracts.catalogue import SUBMISSION_TYPES

        event = decode(record.key, record.value, record.headers)
        body = read(event, types(SUBMISSION_TYPES)[event.type])
        place = Place(self.name, event.type, event.subject)
        keyring = KeyFile(self.keys).keyring()
        personal = read_personal(keyring, place, body.personal, body.PERSONAL) if body.PERSONAL else None  # type: ignore[attr-defined]
        return event, body, personal
