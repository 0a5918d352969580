"""Messages in: what portals say about a request beside submitting it, be it known already or not yet."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import structlog

from habeas.contracts import Reason
from habeas.contracts.submission import (
    AmendedPersonal,
    ConfirmedPersonal,
    IdentityConfirmed,
    RequestAmended,
    RequestWithdrawn,
)
from services.intake import store
from services.intake.changes import Judge, Said
from services.intake.files import Files, early_said
from services.intake.store import Kind
from services.intake.telling import tell_refused
from shared.messaging.received import Received
from shared.messaging.work import Work
from shared.registry import Registry

_log = structlog.get_logger(__name__)

EARLY_PATIENCE: Final = timedelta(days=30)
"""How long what was said about a request waits for its submission."""

Amended = Received[RequestAmended, AmendedPersonal]
Confirmed = Received[IdentityConfirmed, ConfirmedPersonal]
Withdrawal = Received[RequestWithdrawn, None]


class Later:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def amended(self, batch: Sequence[Amended], work: Work) -> None:
        await self._take([(received, _said(received, work, amendment=received.personal)) for received in batch], work)

    async def confirmed(self, batch: Sequence[Confirmed], work: Work) -> None:
        """Identities that are confirmed amend a request by themselves alone."""
        await self._take(
            [
                (received, _said(received, work, amendment=AmendedPersonal(identities=received.personal.identities)))
                for received in batch
            ],
            work,
        )

    async def withdrawn(self, batch: Sequence[Withdrawal], work: Work) -> None:
        await self._take([(received, _said(received, work, reason=received.body.reason)) for received in batch], work)

    async def _take(self, batch: Sequence[tuple[Received[Any, Any], Said]], work: Work) -> None:
        """The locks come first: whoever holds them sees all that was heard about these requests before."""
        judge = Judge(self._registry, work.now)
        files = await Files.lock(work, {said.request_id for _, said in batch})
        heard = await store.heard(work.connection, {said.key for _, said in batch})
        new: list[store.Message] = []
        for received, said in batch:
            if said.key in heard:
                if heard[said.key] != said.request_id:
                    work.refuse(received, Reason.CONFLICT, "ce_id", "this ce_id was used for another request")
                continue
            early = files[said.request_id] is None
            refused = None if early else files.apply(said, judge)
            if refused is not None:
                work.refuse(received, refused.reason, refused.pointer, refused.detail)
                continue
            heard[said.key] = said.request_id
            new.append(_row(received, said, work, early=early))
        await files.save()
        await store.remember(work.connection, new)

    async def tidy(self, work: Work) -> None:
        """Take up what was heard early and overtaken, and forget what has waited for too long.

        A message is overtaken where two processes have it and its submission in hand at the same moment: then neither
        sees what the other writes.
        """
        overtaken = await store.overtaken(work.connection)
        if overtaken:
            judge = Judge(self._registry, work.now)
            files = await Files.lock(work, overtaken)
            found = [said for each in (await early_said(work, overtaken)).values() for said in each]
            for said in found:
                refused = files.apply(said, judge)
                if refused is not None:
                    tell_refused(refused, said.portal, said.request_id, said.ce_id, work)
            await files.save()
            await store.settle_early(work.connection, [said.key for said in found])
        forgotten = await store.forget_early(work.connection, work.now - EARLY_PATIENCE)
        if forgotten:
            _log.warning("early_messages_forgotten", messages=forgotten, days=EARLY_PATIENCE.days)


def _said(
    received: Received[Any, Any], work: Work, *, amendment: AmendedPersonal | None = None, reason: str | None = None
) -> Said:
    return Said(received.participant, received.event.id, received.request_id, work.now, amendment, reason)


def _row(received: Received[Any, Any], said: Said, work: Work, *, early: bool) -> store.Message:
    personal = None
    if early and said.amendment is not None:
        personal = work.seal(RequestAmended, said.amendment, subject=said.request_id)
    return store.Message(
        portal=said.portal,
        ce_id=said.ce_id,
        request_id=said.request_id,
        kind=Kind.WITHDRAWAL if said.amendment is None else Kind.AMENDMENT,
        place=received.record.offset,
        heard_at=said.heard_at,
        early=early,
        answers=received.body.answers if isinstance(received.body, RequestAmended) else None,
        reason=said.reason,
        personal=personal,
    )
