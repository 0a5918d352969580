"""Submissions as the tests of intake use them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from habeas.contracts import Message
from habeas.contracts.command import CommandClassify, CommandRefuse
from habeas.contracts.submission import (
    AmendedPersonal,
    ConfirmedPersonal,
    Details,
    Identity,
    IdentityConfirmed,
    Proof,
    RequestAmended,
    Requester,
    RequestSubmitted,
    RequestWithdrawn,
    Subject,
    SubmissionPersonal,
)
from habeas.contracts.topics import COMMANDS, submissions
from tests.core.workbench import NOW, Keys, Raw, event, raw

SEALED = "a..aaaaaaaaaaaaaaaa.a.aaaaaaaaaaaaaaaaaaaaaa"
RECEIVED = NOW - timedelta(minutes=5)


def proof(method: str = "portal_login", level: str = "substantial", at: datetime = RECEIVED) -> Proof:
    return Proof(method=method, at=at, level=level)


def identity(value: str = "ana@example.org", kind: str = "email", shown: Proof | None = None) -> Identity:
    return Identity(identity_type=kind, identity_value=value, proof=shown)


def person(
    *identities: Identity, requester: Requester | None = None, details: Details | None = None
) -> SubmissionPersonal:
    return SubmissionPersonal(
        subject=Subject(name="Ana", identities=identities),
        requester=requester or Requester(name="Ana", email="ana@example.org"),
        details=details or Details(),
    )


PROVEN = person(identity(shown=proof()))


def submission(**members: Any) -> RequestSubmitted:
    given: dict[str, Any] = {
        "request_id": uuid4(),
        "submitted_time": RECEIVED,
        "received_at": RECEIVED,
        "right": "access",
        "jurisdiction": "DE-BE",
        "personal": SEALED,
    }
    return RequestSubmitted(**(given | members))


def submitted(
    keys: Keys,
    personal: SubmissionPersonal = PROVEN,
    *,
    portal: str = "web",
    request_id: UUID | None = None,
    ce_id: UUID | None = None,
    **members: Any,
) -> Raw:
    """As it stands on the portal's topic: sealed anew each time."""
    request_id = request_id or uuid4()
    sealed = keys.seal(portal, RequestSubmitted, request_id, personal)
    body = submission(request_id=request_id, personal=sealed, **members)
    return raw(submissions(portal), event(body, ce_id=ce_id))


def said(
    keys: Keys,
    model: type[Message],
    request_id: UUID,
    personal: Any = None,
    *,
    portal: str = "web",
    ce_id: UUID | None = None,
    **members: Any,
) -> Raw:
    """Something a portal says about a request beside submitting it."""
    if personal is not None:
        members["personal"] = keys.seal(portal, model, request_id, personal)
    return raw(submissions(portal), event(model(request_id=request_id, **members), ce_id=ce_id))


def amended(
    keys: Keys,
    request_id: UUID,
    *identities: Identity,
    requester: Requester | None = None,
    details: Details | None = None,
    **others: Any,
) -> Raw:
    personal = AmendedPersonal(identities=identities, requester=requester, details=details)
    return said(keys, RequestAmended, request_id, personal, **others)


def confirmed(keys: Keys, request_id: UUID, *identities: Identity, **others: Any) -> Raw:
    return said(keys, IdentityConfirmed, request_id, ConfirmedPersonal(identities=identities), **others)


def withdrawn(keys: Keys, request_id: UUID, **others: Any) -> Raw:
    return said(keys, RequestWithdrawn, request_id, **others)


def classify(request_id: UUID, right: str = "access", **members: Any) -> Raw:
    return raw(COMMANDS, event(CommandClassify(**(_order(request_id) | {"right": right, "revision": 1} | members))))


def refuse(request_id: UUID, ground: str = "unfounded_or_excessive", **members: Any) -> Raw:
    return raw(COMMANDS, event(CommandRefuse(**(_order(request_id) | {"ground": ground} | members))))


def _order(request_id: UUID) -> dict[str, Any]:
    return {"command_id": uuid4(), "request_id": request_id, "by": "dpo-1", "reason": "looked_at"}
