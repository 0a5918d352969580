"""Messages in: submissions of all portals."""

from collections.abc import Sequence
from uuid import UUID

from habeas.contracts import ContractError, Reason
from habeas.contracts.canonical import canonical
from habeas.contracts.cloudevents import readable_id, readable_subject
from habeas.contracts.submission import RequestSubmitted, SubmissionPersonal
from habeas.contracts.topics import sender
from services.intake import domain, store
from services.intake.changes import Begun, Judge, Refused, Wish, begin
from services.intake.files import copy_of, early_said
from services.intake.store import Known, NewRequest
from services.intake.telling import tell_opened, tell_refused, tell_withdrawn
from shared.events import SERVICES
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
        if len(opened) == len(in_time):  # as nearly always
            return
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
        judge = Judge(self._registry, work.now)
        kid = work.keyring.sealing_kid(SERVICES)
        numbers = await store.reference_numbers(work.connection, len(submissions))
        early = await early_said(work, [submission.request_id for submission in submissions])
        begun = [
            begin(
                submission.request_id,
                domain.reference(number),
                submission.participant,
                Wish(submission.body, submission.personal),
                early.get(submission.request_id, ()),
                judge,
            )
            for submission, number in zip(submissions, numbers, strict=True)
        ]
        fingerprints = [_fingerprint(submission, kid, work) for submission in submissions]
        inserted = await store.insert(
            work.connection,
            [
                _row(submission, beginning, fingerprint, kid, work)
                for submission, beginning, fingerprint in zip(submissions, begun, fingerprints, strict=True)
            ],
        )
        _tell(
            [
                (submission, beginning)
                for submission, beginning in zip(submissions, begun, strict=True)
                if submission.request_id in inserted
            ],
            work,
        )
        await store.settle_early(
            work.connection, [said.key for request_id in inserted for said in early.get(request_id, ())]
        )
        return {
            submission.request_id: Known(submission.participant, fingerprint, kid)
            for submission, fingerprint in zip(submissions, fingerprints, strict=True)
            if submission.request_id in inserted
        }

    async def tell_portals(self, work: Work) -> None:
        """A refused record whose sender and ce_id can be read is told to its portal, on its status topic."""
        for record, error in work.refused:
            portal = sender(record.topic)
            ce_id = readable_id(record.headers)
            if portal is None or ce_id is None:
                continue
            refused = Refused(error.reason, error.pointer)
            tell_refused(refused, portal, readable_subject(record.key, record.headers), ce_id, work)


def _row(submission: Submission, begun: Begun, fingerprint: bytes, kid: str, work: Work) -> NewRequest:
    request = begun.request
    copy = copy_of(request, work)
    return NewRequest(
        request_id=request.request_id,
        reference=request.reference,
        portal=request.portal,
        decision=request.state,
        reason=request.reason,
        fingerprint=fingerprint,
        kid=kid,
        received_at=submission.body.received_at,
        opened_at=request.opened_at,
        withdrawn_at=request.withdrawn_at,
        submission=copy.submission if copy else None,
        personal=copy.personal if copy else None,
        identities=request.identities,
    )


def _tell(opened: Sequence[tuple[Submission, Begun]], work: Work) -> None:
    tell_opened([(begun.told, submission.event.id) for submission, begun in opened], work)
    for _, begun in opened:
        if begun.withdrawal is not None:
            tell_withdrawn(begun.withdrawal, work)
        for said, refused in begun.refused:
            tell_refused(refused, said.portal, said.request_id, said.ce_id, work)


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
