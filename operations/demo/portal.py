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
from habeas.portal import Channel, Identity, NotifyBy, Relationship, Requester, Subject, proven
from operations.demo.scenario import Ask
from systems import sample


@dataclass(frozen=True, slots=True)
class Portal:
    wire: portal.Portal

    async def submit(
        self, ask: Ask, request_id: UUID, now: datetime, case_id: UUID | None = None, after: tuple[UUID, ...] = ()
    ) -> None:
        """Publish the request: of the person, proven by the portal's login or a cookie, or of somebody who reports."""
        kind, value = ask.identity
        visitor = isinstance(ask.who, sample.Visitor)
        method = "cookie" if visitor else "portal_login"
        identity = Identity(identity_type=kind, identity_value=value)
        await self.wire.submit(
            ask.right,
            subject=Subject(name=None if visitor else ask.name, minor=ask.reporter is not None),
            identities=[proven(kind, value, at=now, method=method) if ask.proven else identity],
            requester=_requester(ask),
            details=ask.details,
            jurisdiction="DE-BE",
            channel=Channel.SIGNAL if ask.reporter else Channel.FORM,
            # Somebody known by a cookie alone has no address; the site tells them itself.
            notify_by=NotifyBy.PORTAL if visitor else NotifyBy.HABEAS,
            request_id=request_id,
            received_at=now,
            case_id=case_id,
            after=after,
        )

    async def withdraw(self, request_id: UUID) -> None:
        """The person takes the request back."""
        await self.wire.withdraw(request_id, "changed_my_mind")

    async def submit_malformed(self, value: bytes, ce_id: UUID, now: datetime) -> None:
        """Publish a submission in a proper envelope whose body is `value`."""
        source = f"portals/{self.wire.name}"
        await self.wire.publish(CloudEvent(ce_id, source, RequestSubmitted.TYPE, now, uuid4(), value))


def _requester(ask: Ask) -> Requester | None:
    """None: the subject, at the address proven."""
    if ask.reporter:
        return Requester(relationship=Relationship.REPORTER, email=ask.reporter)
    return None if ask.proven else Requester(email=ask.identity[1])


@asynccontextmanager
async def opened_portal(name: str, keyring: Keyring, kafka: dict[str, Any]) -> AsyncIterator[Portal]:
    """`kafka` are the options of aiokafka's clients."""
    async with portal.Portal(name, kafka=kafka, keys=keyring) as wire:
        yield Portal(wire)
