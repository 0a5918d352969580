"""Submissions as the tests of intake use them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from habeas.contracts.submission import (
    Details,
    Identity,
    Proof,
    Requester,
    RequestSubmitted,
    Subject,
    SubmissionPersonal,
)
from habeas.contracts.topics import submissions
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
