"""What intake tells the other services."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from habeas.contracts.forms import Form, Written
from habeas.contracts.status import Due, StatusReason, SubmissionError
from habeas.contracts.topics import REQUESTS
from habeas.contracts.vocabulary import NotifyBy, Right
from services.intake.changes import Proven, Refused, Reopened, Said
from shared import people
from shared.events import (
    Audience,
    Decision,
    FoundPersonal,
    IdentitiesAdded,
    RequestOpened,
    SubmissionRefused,
    WithdrawalReceived,
)
from shared.messaging.work import Work

_OWN: Final = (
    "request_id",
    "reference",
    "regulation",
    "jurisdiction",
    "case_id",
    "after",
    "received_at",
    "opened_at",
    "personal",
)
"""What is each request's own in what is told about it."""

_NOBODY: Final = UUID(int=0)
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNSEALED: Final = "-..----------------..----------------------"


def tell_opened(opened: Sequence[tuple[Reopened, UUID]], work: Work) -> None:
    """Each with the ce_id of the message or command that opened it."""
    sealed = [work.seal(RequestOpened, told.opening.personal, subject=told.request.request_id) for told, _ in opened]
    events = [_opened(told, personal) for (told, _), personal in zip(opened, sealed, strict=True)]
    for (told, cause), event in zip(opened, events, strict=True):
        work.send(REQUESTS, event, subject=told.request.request_id, causation=cause)


def _opened(told: Reopened, personal: str) -> Written[RequestOpened]:
    request, body, opening = told.request, told.wish.body, told.opening
    form = _form(
        request.version,
        request.portal,
        opening.decision,
        body.right,
        body.notify_by,
        people.audience(opening.personal),
        people.address(opening.personal) is not None,
        opening.due,
        opening.reason,
    )
    return form.fill(
        request_id=request.request_id,
        reference=request.reference,
        regulation=opening.regulation,
        jurisdiction=body.jurisdiction,
        case_id=body.case_id,
        after=body.after,
        received_at=body.received_at,
        opened_at=request.opened_at,
        personal=personal,
    )


@lru_cache(maxsize=256)
def _form(
    version: int,
    portal: str,
    decision: Decision,
    right: Right | str,
    notify_by: NotifyBy,
    audience: Audience,
    reachable: bool,
    due: Due,
    reason: StatusReason | None,
) -> Form[RequestOpened]:
    """What is said of every request that opens so; a day's have few such forms."""
    like = RequestOpened(
        request_id=_NOBODY,
        version=version,
        reference="",
        portal=portal,
        decision=decision,
        right=right,
        regulation=None,
        jurisdiction=None,
        case_id=None,
        notify_by=notify_by,
        audience=audience,
        reachable=reachable,
        received_at=_NEVER,
        opened_at=_NEVER,
        due=due,
        reason=reason,
        personal=_UNSEALED,
    )
    return Form(like, *_OWN)


def tell_withdrawn(said: Said, work: Work) -> None:
    """The collector decides whether it is in time."""
    event = WithdrawalReceived(request_id=said.request_id, reason=said.reason, received_at=said.heard_at)
    work.send(REQUESTS, event, subject=said.request_id, causation=said.ce_id)


def tell_identities(said: Said, proven: Proven, work: Work) -> None:
    event = IdentitiesAdded(
        request_id=said.request_id,
        amendment_id=said.ce_id,
        personal=work.seal(IdentitiesAdded, FoundPersonal(identities=proven.identities), subject=said.request_id),
    )
    work.send(REQUESTS, event, subject=said.request_id, causation=said.ce_id)


def tell_refused(refused: Refused, portal: str, request_id: UUID | None, ce_id: UUID, work: Work) -> None:
    """To the portal, by way of the collector, which alone writes to its status topic."""
    event = SubmissionRefused(
        request_id=request_id,
        portal=portal,
        ce_id=ce_id,
        errors=(SubmissionError(code=refused.reason, pointer=refused.pointer),),
    )
    work.send(REQUESTS, event, subject=ce_id)
