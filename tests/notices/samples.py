"""A request, its mail and its answer, as the tests of the notifier use them."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from habeas.contracts import Keyring, Place
from habeas.contracts.catalogue import seal_personal
from habeas.contracts.status import Due
from services.notifier.domain import Mail
from shared.events import SERVICES, AnswerObject, NoticePersonal, NoticeRequested, Recipient

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 11, 8, tzinfo=UTC)
REQUEST = UUID("0d9c1c7e-6f1c-4b5e-9a57-0a7f4d6c2b11")
SEALED = "a..aaaaaaaaaaaaaaaa.a.aaaaaaaaaaaaaaaaaaaaaa"
LINK = "https://privacy.ale.example/answers/" + "qZ3v" * 10 + "abc"
DUE = Due(
    at=datetime(2026, 4, 2, 21, 59, 59, tzinfo=UTC),
    on=date(2026, 4, 2),
    rule="GDPR Art. 12(3): 1 month from receipt on 2026-03-02. Computed.",
    original_at=datetime(2026, 4, 2, 21, 59, 59, tzinfo=UTC),
)
ANSWER = AnswerObject(
    key="answers/1",
    secret="A" * 43,
    sha256="0" * 64,
    bytes=48_211,
    media_type="application/zip",
    expires_at=datetime(2026, 3, 25, 12, tzinfo=UTC),
)


def notice(kind: str = "acknowledged", **members: Any) -> NoticeRequested:
    given: dict[str, Any] = {
        "request_id": REQUEST,
        "notice": kind,
        "recipient": Recipient.DPO if kind.startswith("dpo") else Recipient.REQUESTER,
        "ordinal": 1,
        "reference": "HB-7K3M-Q2P9",
        "right": "access",
        "regulation": "eu-gdpr",
        "jurisdiction": "DE-BY",
        "received_at": datetime(2026, 3, 2, 9, tzinfo=UTC),
        "due": DUE,
        "personal": SEALED,
    }
    return NoticeRequested(**(given | members))


def personal(**members: Any) -> NoticePersonal:
    return NoticePersonal(**({"email": "ana@example.com", "name": "Ana Müller"} | members))


def mail(kind: str, *, link: str | None = None, person: dict[str, Any] | None = None, **members: Any) -> Mail:
    given = dict(person or {})
    if link:
        given.setdefault("answer", ANSWER)
    return Mail(notice(kind, **members), personal(**given), link)


def sealed_event(keyring: Keyring, body: NoticeRequested, person: NoticePersonal) -> bytes:
    """The body of the event as it comes from Kafka."""
    place = Place(SERVICES, NoticeRequested.TYPE, body.request_id)
    return body.model_copy(update={"personal": seal_personal(keyring, place, person)}).model_dump_json().encode()
