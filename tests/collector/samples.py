"""Requests, plans and results as the tests of the collector use them."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from habeas.contracts.result import Record, ResultPersonal, SummaryItem, TaskFinished
from habeas.contracts.status import Due, StatusReason
from habeas.contracts.submission import Details, Identity, Requester, Subject
from habeas.contracts.topics import REQUESTS, results
from habeas.contracts.vocabulary import DeliverTo
from shared import people
from shared.events import OpenedPersonal, PlanMade, PlannedSystem, RequestOpened
from tests.core.workbench import NOW, Keys, Raw, event, raw

SEALED = "a..aaaaaaaaaaaaaaaa.a.aaaaaaaaaaaaaaaaaaaaaa"
DUE = Due(
    at=datetime(2026, 4, 2, 21, 59, 59, tzinfo=UTC),
    on=date(2026, 4, 2),
    rule="GDPR Art. 12(3): 1 month.",
    original_at=datetime(2026, 4, 2, 21, 59, 59, tzinfo=UTC),
)
EMAIL = Identity(identity_type="email", identity_value="ana@example.org")
PERSONAL = OpenedPersonal(
    subject=Subject(name="Ana", identities=(EMAIL,)),
    requester=Requester(name="Ana", email="ana@example.org"),
    deliver_to=DeliverTo.SUBJECT,
    details=Details(),
)


def opened(**members: Any) -> RequestOpened:
    given: dict[str, Any] = {
        "request_id": uuid4(),
        "reference": "HB-7K3M-Q2P9",
        "portal": "web",
        "decision": "accepted",
        "right": "erasure",
        "regulation": "eu-gdpr",
        "jurisdiction": "DE-BE",
        "case_id": None,
        "notify_by": "habeas",
        "audience": "person",
        "reachable": True,
        "received_at": NOW,
        "opened_at": NOW,
        "due": DUE,
        "personal": SEALED,
    }
    given |= members
    if isinstance(given.get("reason"), str):
        given["reason"] = StatusReason(code=given["reason"])
    return RequestOpened.model_validate_json(RequestOpened.model_construct(**given).model_dump_json(warnings=False))


def task(request_id: UUID, system: str, attempt: int = 1) -> UUID:
    return uuid5(request_id, f"{system}/{attempt}")


def planned(request_id: UUID, system: str, state: str = "asked") -> PlannedSystem:
    asked = state == "asked"
    reason = {"waiting": "waiting_for_identifier", "excluded": "identifier_not_found"}.get(state)
    return PlannedSystem(
        system=system,
        state=state,
        action="erase",
        task_id=task(request_id, system) if asked else None,
        attempt=1 if asked else 0,
        due_at=NOW,
        reason=reason,
    )


def plan(request_id: UUID, version: int = 1, **systems: str) -> PlanMade:
    return PlanMade(
        request_id=request_id,
        version=version,
        systems=tuple(planned(request_id, system, state) for system, state in systems.items()),
    )


def item(did: str = "deleted", count: int = 1, category: str = "account") -> SummaryItem:
    return SummaryItem(category=category, did=did, count=count)


def record(category: str = "account", *, third_parties: bool = False) -> Record:
    return Record(id="1", category=category, origin="provided", third_parties=third_parties, data={"name": "Ana"})


def opened_record(keys: Keys, request_id: UUID, personal: OpenedPersonal = PERSONAL, **members: Any) -> Raw:
    sealed = keys.seal("services", RequestOpened, request_id, personal)
    seen = {"audience": people.audience(personal), "reachable": people.address(personal) is not None}
    return raw(REQUESTS, event(opened(request_id=request_id, personal=sealed, **{**seen, **members})))


def finished_record(
    keys: Keys,
    request_id: UUID,
    system: str,
    outcome: str = "completed",
    *,
    task_id: UUID | None = None,
    topic_of: str | None = None,
    ce_id: UUID | None = None,
    records: tuple[Record, ...] = (),
    identities: tuple[Identity, ...] = (),
    **members: Any,
) -> Raw:
    """A result, sealed anew each time; `topic_of` another system than the one it names."""
    sender = topic_of or system
    task_id = task_id or task(request_id, system)
    personal = ResultPersonal(records=records, identities=identities)
    body = TaskFinished(
        **{
            "task_id": task_id,
            "request_id": request_id,
            "system": system,
            "outcome": outcome,
            "summary": (item(),) if outcome == "completed" else (),
            "personal": keys.seal(sender, TaskFinished, request_id, personal, task_id),
            **members,
        }
    )
    return raw(results(sender), event(body, ce_id=ce_id))
