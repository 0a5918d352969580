"""The portal, as one would be written: it says what people ask for, and once something that no portal should say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from habeas import portal
from habeas.contracts import CloudEvent, Keyring
from habeas.contracts.submission import RequestSubmitted
from habeas.portal import Subject, proven
from operations.demo.scenario import Ask


@dataclass(frozen=True, slots=True)
class Portal:
    wire: portal.Portal

    async def submit(self, ask: Ask, request_id: UUID, now: datetime) -> None:
        """Publish the person's request, with an address that the portal's login has proven."""
        await self.wire.submit(
            ask.right,
            subject=Subject(name=ask.name),
            identities=[proven("email", ask.email, at=now)],
            jurisdiction="DE-BE",
            request_id=request_id,
            received_at=now,
        )

    async def submit_malformed(self, value: bytes, ce_id: UUID, now: datetime) -> None:
        """Publish a submission in a proper envelope whose body is `value`."""
        source = f"portals/{self.wire.name}"
        await self.wire.publish(CloudEvent(ce_id, source, RequestSubmitted.TYPE, now, uuid4(), value))


@asynccontextmanager
async def opened_portal(name: str, keyring: Keyring, kafka: dict[str, Any]) -> AsyncIterator[Portal]:
    """`kafka` are the options of aiokafka's clients."""
    async with portal.Portal(name, kafka=kafka, keys=keyring) as wire:
        yield Portal(wire)
