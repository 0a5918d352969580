"""The portal, as one would be written: it seals what people tell it and publishes that under its own principal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer

from habeas.contracts import Keyring, Place
from habeas.contracts.catalogue import seal_personal, write
from habeas.contracts.cloudevents import encode
from habeas.contracts.submission import Identity, Proof, Requester, RequestSubmitted, Subject, SubmissionPersonal
from habeas.contracts.topics import submissions
from operations.demo.scenario import Ask


@dataclass(frozen=True, slots=True)
class Portal:
    name: str
    keyring: Keyring
    producer: AIOKafkaProducer

    async def submit(self, ask: Ask, request_id: UUID, now: datetime) -> None:
        """Publish the person's request, with an address that the portal's login has proven."""
        proof = Proof(method="portal_login", at=now, level="substantial")
        personal = SubmissionPersonal(
            subject=Subject(
                name=ask.name, identities=(Identity(identity_type="email", identity_value=ask.email, proof=proof),)
            ),
            requester=Requester(name=ask.name, email=ask.email),
        )
        body = RequestSubmitted(
            request_id=request_id,
            submitted_time=now,
            received_at=now,
            right=ask.right,
            jurisdiction="DE-BE",
            personal=seal_personal(self.keyring, Place(self.name, RequestSubmitted.TYPE, request_id), personal),
        )
        key, value, headers = encode(write(body, subject=request_id, source=f"portals/{self.name}", now=now))
        await self._send(key, value, headers)

    async def submit_malformed(self, value: bytes, ce_id: UUID, now: datetime) -> None:
        """Publish a submission in a proper envelope whose body is `value`."""
        request_id = uuid4()
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(ce_id),
            "ce_source": f"portals/{self.name}",
            "ce_type": RequestSubmitted.TYPE,
            "ce_time": now.isoformat(),
            "ce_subject": str(request_id),
            "content-type": "application/json",
        }
        await self._send(str(request_id).encode(), value, [(name, text.encode()) for name, text in headers.items()])

    async def _send(self, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        await self.producer.send_and_wait(submissions(self.name), value, key=key, headers=headers)


@asynccontextmanager
async def opened_portal(name: str, keyring: Keyring, kafka: dict[str, Any]) -> AsyncIterator[Portal]:
    """`kafka` are the options of aiokafka's clients."""
    producer = AIOKafkaProducer(**kafka, enable_idempotence=True)
    await producer.start()
    try:
        yield Portal(name, keyring, producer)
    finally:
        await producer.stop()
