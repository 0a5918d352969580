"""What the notifier is asked to tell, and to whom."""

from typing import Any, Final
from uuid import UUID

from habeas.contracts import Place
from habeas.contracts.catalogue import read_personal, seal_personal
from habeas.contracts.status import StatusReason
from habeas.contracts.topics import OUTCOMES
from habeas.contracts.vocabulary import RequestOutcome
from services.collector import results
from services.collector.case import Case, Told
from services.collector.writing import written
from shared import people
from shared.events import (
    SERVICES,
    AnswerObject,
    Audience,
    Notice,
    NoticePersonal,
    NoticeRequested,
    OpenedPersonal,
    Recipient,
    RequestOpened,
)
from shared.messaging.work import Work
from shared.registry import Registry

_OUTCOMES: Final = frozenset(outcome.value for outcome in RequestOutcome)
_BEFORE_THE_END: Final = frozenset({Notice.ACKNOWLEDGED, Notice.RESTRICTION_LIFTING})
"""Notices that tell nothing of what was done."""


def ask_for(told: Told, case: Case, reason: StatusReason | None, registry: Registry, work: Work) -> None:
    """Queue the request for one notice."""
    request, notice = case.opened, told.notice
    personal = written(NoticePersonal, _personal(told, case, registry, work))
    members = {
        "request_id": request.request_id,
        "notice": notice,
        "recipient": told.recipient,
        "ordinal": told.ordinal,
        "reference": request.reference,
        "right": request.right,
        "regulation": request.regulation,
        "jurisdiction": request.jurisdiction,
        "received_at": request.received_at,
        "due": request.due,
        "outcome": notice if notice in _OUTCOMES else None,
        "reason": reason,
        "personal": work.seal(NoticeRequested, personal, subject=request.request_id),
    }
    work.send(OUTCOMES, written(NoticeRequested, members), subject=request.request_id)


def with_reader(case: Case, work: Work) -> RequestOpened:
    """What intake said, with who is written to, where it said so in its sealed part alone."""
    personal = opened_personal(case, work)
    told = {"audience": people.audience(personal), "reachable": people.address(personal) is not None}
    return case.opened.model_copy(update=told)


def opened_personal(case: Case, work: Work) -> OpenedPersonal:
    return work.open(RequestOpened, OpenedPersonal, case.opened.personal, subject=case.opened.request_id)


def seal_answer(answer: AnswerObject, request_id: UUID, work: Work) -> str:
    sealed = seal_personal(work.keyring, _place(request_id), answer)
    work.opened[AnswerObject.__name__, request_id, sealed] = answer
    return sealed


def _answer(case: Case, work: Work) -> AnswerObject | None:
    sealed, request_id = case.answer_object, case.opened.request_id
    if sealed is None:
        return None
    known = work.opened.get((AnswerObject.__name__, request_id, sealed))
    if isinstance(known, AnswerObject):
        return known
    return read_personal(work.keyring, _place(request_id), sealed, AnswerObject)


def _place(request_id: UUID) -> Place:
    return Place(SERVICES, AnswerObject.__name__, request_id)


def _personal(told: Told, case: Case, registry: Registry, work: Work) -> dict[str, Any]:
    """The members of a `NoticePersonal`."""
    opened = opened_personal(case, work)
    to_requester = told.recipient is Recipient.REQUESTER
    # Whoever reported learns that it was dealt with, and nothing of what is or was held.
    bystander = to_requester and case.opened.audience is Audience.BYSTANDER
    final = told.notice not in _BEFORE_THE_END and not bystander
    items, systems = results.statement(case) if final else ((), ())
    asked = () if bystander else opened.details.categories
    return {
        "email": people.address(opened) if to_requester else None,
        "name": people.name(opened) if to_requester and not bystander else None,
        "language": opened.requester.language,
        "statement": items,
        "systems": systems,
        "answer": _answer(case, work) if to_requester and final else None,
        "audience": Audience.BYSTANDER if bystander else people.audience(opened) if to_requester else Audience.PERSON,
        "not_covered": [
            {"system": planned.system, "category": out.category, "ground": out.ground}
            for planned in (case.plan or () if final else ())
            for out in planned.left_out
        ],
        "limited": bool(asked or (opened.details.period and not bystander)),
        "elsewhere": [name for name in asked if name in registry.not_controller],
    }
