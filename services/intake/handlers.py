"""Messages in: submissions of all portals."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from habeas.contracts import ContractError, Message, Reason
from habeas.contracts.canonical import canonical
from habeas.contracts.cloudevents import readable_id, readable_subject
from habeas.contracts.status import SubmissionError
from habeas.contracts.submission import RequestSubmitted, SubmissionPersonal
from habeas.contracts.topics import REQUESTS, sender
from services.intake import domain, store
from services.intake.store import Known, NewRequest
from shared.events import SERVICES, RequestOpened, SubmissionRefused
from shared.messaging.received import Received
from shared.messaging.work import Work
from shared.registry import Registry

Submission = Received[RequestSubmitted, SubmissionPersonal]


class Handlers:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def submitted(self, batch: Sequence[Submission], work: Work) -> None:
        """New requests are opened; the same again is nothing; the same id with other content is a conflict."""
        in_time = [submission for submission in batch if not self._refuse_future(submission, work)]
        first: dict[UUID, Submission] = {}
        for submission in in_time:
            first.setdefault(submission.request_id, submission)
        known = dict(await store.known(work.connection, first.keys()))
        new = [submission for request_id, submission in first.items() if request_id not in known]
        opened = await self._open(new, work)
        known |= opened
        missed = first.keys() - known.keys()
        if missed:  # somebody else's insert came between ours and the look-up
            known |= await store.known(work.connection, missed)
        for submission in in_time:
            if submission.request_id in opened and submission is first[submission.request_id]:
                continue
            _compare(submission, known[submission.request_id], work)

    def _refuse_future(self, submission: Submission, work: Work) -> bool:
        future = domain.in_future(submission.body, work.now)
        if future:
            work.refuse(submission, Reason.RECEIVED_IN_FUTURE, "/received_at", "lies ahead: correct the portal's clock")
        return future

    async def _open(self, submissions: Sequence[Submission], work: Work) -> dict[UUID, Known]:
        """Those among `submissions` that this transaction opened."""
        if not submissions:
            return {}
        kid = work.keyring.sealing_kid(SERVICES)
        numbers = await store.reference_numbers(work.connection, len(submissions))
        openings = {}
        requests = []
        for submission, number in zip(submissions, numbers, strict=True):
            opening = domain.open_request(
                submission.body,
                submission.personal,
                portal=self._registry.portals[submission.participant],
                registry=self._registry,
                now=work.now,
            )
            openings[submission.request_id] = opening
            requests.append(
                NewRequest(
                    request_id=submission.request_id,
                    reference=domain.reference(number),
                    known=Known(submission.participant, _fingerprint(submission, kid, work), kid),
                    decision=opening.decision,
                    reason=opening.reason.code if opening.reason else None,
                    received_at=submission.body.received_at,
                    opened_at=work.now,
                )
            )
        inserted = await store.insert(work.connection, requests)
        opened: dict[UUID, Known] = {}
        for submission, request in zip(submissions, requests, strict=True):
            if request.request_id in inserted:
                opened[request.request_id] = request.known
                _announce(submission, request, openings[request.request_id], work)
        return opened

    async def tell_portals(self, work: Work) -> None:
        """A refused record whose sender and ce_id can be read is told to its portal, on its status topic."""
        for record, error in work.refused:
            portal = sender(record.topic)
            ce_id = readable_id(record.headers)
            if portal is None or ce_id is None:
                continue
            refused = SubmissionRefused(
                request_id=readable_subject(record.key, record.headers),
                portal=portal,
                ce_id=ce_id,
                errors=(SubmissionError(code=error.reason, pointer=error.pointer),),
            )
            work.send(REQUESTS, refused, subject=ce_id)


def not_yet(message: type[Message]) -> Any:
    """A handler that says so: amendments, withdrawals and confirmations are read, and cannot be acted upon yet."""

    async def refuse(batch: Sequence[Received[Any, Any]], work: Work) -> None:
        for received in batch:
            work.refuse(received, Reason.TYPE_UNEXPECTED, "ce_type", f"{message.TYPE} is not acted upon yet")

    return refuse


def _announce(submission: Submission, request: NewRequest, opening: domain.Opening, work: Work) -> None:
    body = submission.body
    event = RequestOpened(
        request_id=request.request_id,
        reference=request.reference,
        portal=submission.participant,
        decision=opening.decision,
        right=body.right,
        regulation=opening.regulation,
        jurisdiction=body.jurisdiction,
        case_id=body.case_id,
        notify_by=body.notify_by,
        received_at=body.received_at,
        opened_at=work.now,
        due=opening.due,
        reason=opening.reason,
        personal=work.seal(RequestOpened, opening.personal, subject=request.request_id),
    )
    work.send(REQUESTS, event, subject=request.request_id, causation=submission.event.id)


def _fingerprint(submission: Submission, kid: str, work: Work) -> bytes:
    return work.keyring.fingerprint(kid, canonical(submission.body, submission.personal))


def _compare(submission: Submission, known: Known, work: Work) -> None:
    """The same request again is dropped in silence: its status is on the status topic already."""
    if submission.participant != known.portal:
        work.refuse(submission, Reason.FOREIGN_REQUEST, "/request_id", "another portal's: take a new id")
        return
    try:
        same = _fingerprint(submission, known.kid, work) == known.fingerprint
    except ContractError:  # the key was destroyed: what it fingerprinted can no longer be told apart
        same = False
    if not same:
        work.refuse(
            submission, Reason.CONFLICT, "/request_id", "this id was used for other content: take a new id, or amend it"
        )
