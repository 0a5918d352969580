"""One example of each message, body and opened `personal`: people and places are made up."""

import base64
from dataclasses import dataclass
from typing import Any

import orjson

from habeas.contracts.base import Message
from habeas.contracts.command import (
    Command,
    CommandClassify,
    CommandDecided,
    CommandLift,
    CommandRefuse,
    CommandRelease,
    CommandRetry,
    CommandWeigh,
    command_type,
)
from habeas.contracts.dead_letter import DeadLetter, dead_letter_id
from habeas.contracts.documents.vectors import NOW, OTHER_TASK, REQUEST, TASK, jwe, key, nonce_for
from habeas.contracts.result import TaskFinished, TaskProgressed
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.submission import IdentityConfirmed, RequestAmended, RequestSubmitted, RequestWithdrawn
from habeas.contracts.task import TaskAssigned, TaskCancelled, TaskReminded

_R, _T = str(REQUEST), str(TASK)
CE_ID = "7d4f2c1e-0b6a-4f8d-9c3e-5a1b2c3d4e5f"
_EMAIL = {"identity_type": "email", "identity_value": "ada@example.org", "identity_format": "raw"}
_PROVEN = {**_EMAIL, "proof": {"method": "portal_login", "at": "2026-03-02T09:14:30Z", "level": "substantial"}}
_REQUESTER = {"relationship": "self", "name": "Ada Example", "email": "ada@example.org", "language": "en"}
_LETTER = dead_letter_id("dsr.portal.web.submissions.v1", 1, 4711)


@dataclass(frozen=True, slots=True)
class Example:
    """A message as it travels. `personal` is what its sealed member holds."""

    model: type[Message]
    ce_type: str
    participant: str
    key: str
    body: dict[str, Any]
    personal: dict[str, Any] | None = None


def examples() -> tuple[Example, ...]:
    """One of each type of the contract, with `personal` sealed under the keys of the test vectors."""
    task = {
        "task_id": _T,
        "request_id": _R,
        "system": "billing",
        "attempt": 1,
        "action": "access",
        "right": "access",
        "regulation": "eu-gdpr",
        "policy_version": "2025-02-10",
        "scope": [
            {"category": "invoices", "purposes": ["billing"], "basis": "legal_obligation", "instruction": None},
        ],
        "period": None,
        "due_at": "2026-03-16T22:59:59Z",
    }
    asked = {"subject": {"identities": [_EMAIL]}, "details": {"corrections": [], "purposes": [], "statement": None}}
    return (
        _of(
            RequestSubmitted,
            "web",
            {
                "request_id": _R,
                "case_id": None,
                "after": [],
                "submitted_time": "2026-03-02T09:15:00Z",
                "received_at": "2026-03-02T09:16:10Z",
                "channel": "form",
                "right": "access",
                "regulation": None,
                "jurisdiction": "DE-BY",
                "notify_by": "habeas",
            },
            {
                "subject": {"name": "Ada Example", "minor": False, "identities": [_PROVEN]},
                "requester": {**_REQUESTER, "authority": None},
                "deliver_to": "subject",
                "details": {
                    "corrections": [],
                    "purposes": [],
                    "categories": [],
                    "period": None,
                    "statement": "All invoices since I became a customer, please.",
                },
            },
        ),
        _of(
            RequestAmended,
            "web",
            {"request_id": _R, "answers": None},
            {"identities": [_PROVEN], "requester": None, "details": None},
        ),
        _of(RequestWithdrawn, "web", {"request_id": _R, "reason": "changed_mind"}),
        _of(IdentityConfirmed, "web", {"request_id": _R}, {"identities": [_PROVEN]}),
        _of(
            StatusChanged,
            "web",
            {
                "request_id": _R,
                "reference": "HB-7K3M-Q2P9",
                "version": 7,
                "state": "in_progress",
                "waiting_for": None,
                "outcome": None,
                "right": "access",
                "regulation": "eu-gdpr",
                "received_at": "2026-03-02T09:16:10Z",
                "since": "2026-03-02T09:16:11Z",
                "due": {
                    "at": "2026-04-02T21:59:59Z",
                    "on": "2026-04-02",
                    "rule": "GDPR Art. 12(3)",
                    "original_at": "2026-04-02T21:59:59Z",
                    "extended": False,
                },
                "overdue": False,
                "systems": [{"system": "billing", "state": "finished", "outcome": "completed"}],
                "answer": None,
                "reason": None,
            },
        ),
        _of(
            SubmissionRejected,
            "web",
            {"request_id": _R, "ce_id": CE_ID, "errors": [{"code": "member_missing", "pointer": "/right"}]},
        ),
        _of(TaskAssigned, "billing", task, asked),
        _of(TaskReminded, "billing", {**task, "level": 1}, asked),
        _of(TaskCancelled, "billing", {"task_id": _T, "request_id": _R, "reason": "withdrawn"}),
        _of(
            TaskFinished,
            "billing",
            {
                "task_id": _T,
                "request_id": _R,
                "system": "billing",
                "outcome": "completed",
                "summary": [
                    {"category": "invoices", "did": "disclosed", "count": 1, "ground": None, "until": None},
                ],
                "error": None,
                "supersedes": None,
                "artifacts": [],
            },
            {
                "records": [
                    {
                        "id": "R-2025-0815",
                        "category": "invoices",
                        "origin": "observed",
                        "source": None,
                        "third_parties": False,
                        "data": {"date": "2025-08-15", "total": "119.00", "currency": "EUR"},
                        "files": [],
                    }
                ],
                "identities": [{"identity_type": "account_id", "identity_value": "A-1001", "identity_format": "raw"}],
                "labels": {"invoices.total": "Total"},
                "message": None,
            },
        ),
        _of(
            TaskProgressed,
            "billing",
            {
                "task_id": _T,
                "request_id": _R,
                "state": "blocked",
                "expected_at": "2026-03-05T12:00:00Z",
                "reason": "archive_restore",
            },
        ),
        _of(
            CommandClassify,
            "operators",
            {
                **_order("meant_erasure"),
                "right": "erasure",
                "regulation": "eu-gdpr",
                "jurisdiction": "DE-BY",
                "authorised": True,
            },
        ),
        _of(CommandRefuse, "operators", {**_order("third_time_this_week"), "ground": "unfounded_or_excessive"}),
        _of(CommandWeigh, "operators", {**_order("no_compelling_grounds"), "verdict": "upheld"}),
        _of(CommandLift, "operators", _order("accuracy_verified")),
        _of(CommandRetry, "operators", {**_order("system_mended"), "system": "billing"}),
        _of(CommandRelease, "operators", _order("reviewed")),
        _of(Command, "operators", _order("complex_request")),
        _of(
            CommandDecided,
            "operators",
            {
                "command_id": str(OTHER_TASK),
                "request_id": _R,
                "accepted": False,
                "decided_at": "2026-03-02T10:00:00Z",
                "reason": {"code": "version_conflict"},
            },
        ),
        _of(
            DeadLetter,
            "operators",
            {
                "dead_letter_id": str(_LETTER),
                "reason": "not_json",
                "pointer": "",
                "detail": "must be JSON in UTF-8 (RFC 8259), without a byte order mark",
                "topic": "dsr.portal.web.submissions.v1",
                "partition": 1,
                "offset": 4711,
                "recorded_at": "2026-03-02T09:16:10Z",
                "refused_at": "2026-03-02T09:16:10.25Z",
                "refused_by": "intake",
                "bytes": 5,
            },
            {
                "key": base64.b64encode(_R.encode()).decode(),
                "value": base64.b64encode(b"{'a':").decode(),
                "headers": [["content-type", base64.b64encode(b"application/json").decode()]],
            },
        ),
    )


def _order(reason: str) -> dict[str, Any]:
    return {
        "command_id": str(OTHER_TASK),
        "request_id": _R,
        "expected_version": 7,
        "by": "dpo-1",
        "reason": reason,
    }


def headers_of(example: Example) -> dict[str, str]:
    """The record's headers, as text."""
    return {
        "ce_specversion": "1.0",
        "ce_id": CE_ID,
        "ce_source": f"habeas/{example.participant}",
        "ce_type": example.ce_type,
        "ce_time": "2026-03-02T09:16:10Z",
        "ce_subject": example.key,
        "content-type": "application/json",
    }


def _of(
    model: type[Message], participant: str, body: dict[str, Any], personal: dict[str, Any] | None = None
) -> Example:
    ce_type = command_type("extend") if model is Command else model.TYPE
    if personal is not None:
        body = {**body, "personal": _sealed(model, participant, body, personal)}
    return Example(model, ce_type, participant, str(body[model.KEY]), body, personal)


def _sealed(model: type[Message], participant: str, body: dict[str, Any], personal: dict[str, Any]) -> str:
    header = {"alg": "dir", "enc": "A256GCM", "kid": f"{participant}/1", "typ": model.TYPE, "sub": body[model.KEY]}
    if "task_id" in body:
        header["tid"] = body["task_id"]
    return jwe(orjson.dumps(header), header["kid"], nonce_for(f"example {model.TYPE}"), orjson.dumps(personal))


def example_keyring() -> Keyring:
    """What opens the examples."""
    return Keyring([key("web", 1), key("billing", 1), key("operators", 1)], now=lambda: NOW)


def example_place(example: Example) -> Place:
    task = TASK if "task_id" in example.body else None
    subject = _LETTER if example.model is DeadLetter else REQUEST
    return Place(example.participant, example.ce_type, subject, task)
