"""The rules of the case file: from the facts recorded so far to what is said next. Pure.

`advance` looks at all facts of a request and at what was said already. It gives the same answer whatever order the
facts came in, and nothing new for facts that it has seen.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from habeas.contracts.result import SummaryItem
from habeas.contracts.status import AnswerStatus, StatusChanged, StatusReason, SystemStatus
from habeas.contracts.vocabulary import (
    DeliverTo,
    Did,
    NotifyBy,
    Relationship,
    RequestOutcome,
    RequestState,
    Right,
    SystemState,
    TaskOutcome,
)
from shared.events import (
    Decision,
    DeliveryResult,
    Notice,
    OpenedPersonal,
    PlannedSystem,
    Recipient,
    RequestOpened,
    StatementItem,
    SystemNote,
)

EMAIL: Final = "email"
_RIGHTS_OF_OTHERS: Final = "rights_of_others"

_ANSWERED: Final = frozenset(
    {TaskOutcome.COMPLETED, TaskOutcome.PARTIAL, TaskOutcome.NOTHING_HELD, TaskOutcome.REFUSED}
)
"""Outcomes that need no person. Any other goes to review: one unknown to us, and `cancelled`, as nobody cancels yet."""

_KEPT: Final = frozenset({Did.RETAINED, Did.WITHHELD})
_CUT: Final = _KEPT | {Did.REDACTED}
"""To blacken a record leaves something out of a copy; in an erasure it is the erasing."""

_FINAL: Final[Mapping[RequestOutcome, Notice]] = {
    RequestOutcome.COMPLETED: Notice.COMPLETED,
    RequestOutcome.PARTIALLY_COMPLETED: Notice.PARTIALLY_COMPLETED,
    RequestOutcome.NOTHING_HELD: Notice.NOTHING_HELD,
    RequestOutcome.REFUSED: Notice.REFUSED,
}


class ReviewReason(StrEnum):
    """Why a person of the privacy team has to look. Travels in clear."""

    SYSTEM_FAILED = "system_failed"
    NOTICE_BOUNCED = "notice_bounced"
    NO_ADDRESS = "no_address"


@dataclass(frozen=True, slots=True)
class Result:
    """A system's answer, without its records."""

    system: str
    outcome: str
    summary: tuple[SummaryItem, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known about a request, and what was said about it."""

    opened: RequestOpened
    reachable: bool
    """Whether there is an address to write to."""
    plan: tuple[PlannedSystem, ...] | None = None
    results: Mapping[UUID, Result] = field(default_factory=dict)
    working: Set[UUID] = frozenset()
    deliveries: Mapping[str, DeliveryResult] = field(default_factory=dict)
    """By notice, of mails to the requester."""
    answer_expires_at: datetime | None = None
    """Set once the answer lies in the store."""
    status: StatusChanged | None = None
    reported: frozenset[str] = frozenset()
    noticed: frozenset[str] = frozenset()
    """The marks of the notices that were asked for."""


class Told(NamedTuple):
    """Somebody is to be told something. A notice is asked for once under its natural key; a further reason for a review
    is a further notice, with an ordinal of its own."""

    notice: Notice
    recipient: Recipient
    ordinal: int = 1

    @property
    def mark(self) -> str:
        """As which a case remembers that it was asked for."""
        return f"{self.notice}.{self.ordinal}"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be said and done now."""

    status: StatusChanged | None = None
    """A new one to publish."""
    report: tuple[str, ...] = ()
    """All systems finished so far, for fan-out; empty where there is nothing new to tell."""
    notices: tuple[Told, ...] = ()
    assemble: bool = False
    """Whether the answer can and must be put together."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a request stands by its facts."""

    state: RequestState
    outcome: RequestOutcome | None = None
    reason: StatusReason | None = None
    review: ReviewReason | None = None
    final: Notice | None = None
    assemble: bool = False


def advance(case: Case, now: datetime) -> Step:
    """What follows from the facts of `case` that was not said before. What is closed stays as it was told."""
    if case.status is not None and case.status.state == RequestState.CLOSED:
        return Step()
    standing = _standing(case)
    notices = tuple(told for told in _notices(case, standing) if told.mark not in case.noticed)
    finished = _finished(case)
    waiting = any(item.state == SystemState.WAITING for item in case.plan or ())
    report = tuple(sorted(finished)) if waiting and finished - case.reported else ()
    return Step(
        status=_status(case, standing, now),
        report=report,
        notices=notices,
        assemble=standing.assemble and case.answer_expires_at is None,
    )


def statement(case: Case) -> tuple[tuple[StatementItem, ...], tuple[SystemNote, ...]]:
    """What was done where, and how each system ended: the body of the final letter."""
    items: list[StatementItem] = []
    notes: list[SystemNote] = []
    for planned in case.plan or ():
        result = _result(case, planned)
        notes.append(
            SystemNote(
                system=planned.system,
                state=SystemState.FINISHED if result else planned.state,
                outcome=result.outcome if result else None,
                reason=planned.reason,
            )
        )
        items.extend(
            StatementItem(system=planned.system, **item.model_dump()) for item in (result.summary if result else ())
        )
    return tuple(items), tuple(notes)


def address(personal: OpenedPersonal) -> str | None:
    """Where the person is written to.

    An address that a trusted method has proven comes before one that was merely typed in: an answer must not go to
    whoever can name somebody else. Only a requester who acts for the subject is written to at their own.
    """
    acts_for_another = personal.requester.relationship != Relationship.SELF
    if personal.deliver_to == DeliverTo.REQUESTER and acts_for_another:
        return personal.requester.email
    proven = (item.identity_value for item in personal.subject.identities if item.identity_type == EMAIL)
    return next(proven, personal.requester.email)


def withheld(categories: Iterable[str], named: Iterable[SummaryItem]) -> tuple[SummaryItem, ...]:
    """Summary items for records that also show somebody else, one category a record: kept out of the copy.

    Without those that the system has `named` itself: a person is told once. Whether another's rights would be adversely
    affected is for a person to weigh (GDPR Art. 15(4)).
    """
    counts = Counter(categories)
    for item in named:
        if item.did == Did.WITHHELD and item.ground == _RIGHTS_OF_OTHERS:
            counts[item.category] -= item.count
    return tuple(
        SummaryItem(category=category, did=Did.WITHHELD, count=count, ground=_RIGHTS_OF_OTHERS)
        for category, count in sorted(counts.items())
        if count > 0
    )


def _standing(case: Case) -> _Standing:
    match case.opened.decision:
        case Decision.REFUSED:
            return _ended(case, RequestOutcome.REFUSED, case.opened.reason)
        case Decision.TRIAGE:
            return _Standing(RequestState.TRIAGE, reason=case.opened.reason)
        case Decision.ACCEPTED:
            pass
    if case.plan is None:
        return _Standing(RequestState.RECEIVED)
    unanswered = [item for item in case.plan if item.state != SystemState.EXCLUDED and _result(case, item) is None]
    failed = any(result.outcome not in _ANSWERED for result in _results(case))
    if failed and all(item.state == SystemState.WAITING for item in unanswered):
        return _review(ReviewReason.SYSTEM_FAILED)  # those that wait, wait for what the failed one may yet find
    if unanswered:
        return _Standing(RequestState.IN_PROGRESS)
    return _ended(case, _outcome(case.opened.right, _results(case)), None)


def _ended(case: Case, outcome: RequestOutcome, reason: StatusReason | None) -> _Standing:
    """All is decided; it is closed once the person has been told."""
    answered = case.opened.right == Right.ACCESS and outcome in {
        RequestOutcome.COMPLETED,
        RequestOutcome.PARTIALLY_COMPLETED,
    }
    if answered and case.answer_expires_at is None:
        return _Standing(RequestState.IN_PROGRESS, assemble=True)
    # The answer itself is always sent by us: only its link opens it, and that link stands in the mail alone.
    told_by_us = answered or case.opened.notify_by != NotifyBy.PORTAL
    if not told_by_us:
        return _Standing(RequestState.CLOSED, outcome, reason)
    if not case.reachable:
        return _review(ReviewReason.NO_ADDRESS)
    final = _FINAL[outcome]
    match case.deliveries.get(final):
        case DeliveryResult.ACCEPTED:
            return _Standing(RequestState.CLOSED, outcome, reason, final=final)
        case DeliveryResult.BOUNCED:
            return _review(ReviewReason.NOTICE_BOUNCED)
        case None:
            return _Standing(RequestState.IN_PROGRESS, reason=reason, final=final)


def _review(reason: ReviewReason) -> _Standing:
    return _Standing(RequestState.IN_REVIEW, reason=StatusReason(code=reason), review=reason)


def _outcome(right: str, results: tuple[Result, ...]) -> RequestOutcome:
    short = _KEPT if right == Right.ERASURE else _CUT
    held = [result for result in results if result.outcome != TaskOutcome.NOTHING_HELD]
    if not held:
        return RequestOutcome.NOTHING_HELD
    if all(result.outcome == TaskOutcome.REFUSED for result in held):
        return RequestOutcome.REFUSED
    kept = any(item.did in short and item.count for result in held for item in result.summary)
    if kept or any(result.outcome != TaskOutcome.COMPLETED for result in held):
        return RequestOutcome.PARTIALLY_COMPLETED
    return RequestOutcome.COMPLETED


def _notices(case: Case, standing: _Standing) -> Iterable[Told]:
    opened = case.opened
    if opened.decision != Decision.REFUSED and opened.notify_by != NotifyBy.PORTAL and case.reachable:
        yield Told(Notice.ACKNOWLEDGED, Recipient.REQUESTER)
    if standing.final is not None:
        yield Told(standing.final, Recipient.REQUESTER)
    if standing.state is RequestState.TRIAGE:
        yield Told(Notice.DPO_TRIAGE, Recipient.DPO)
    if standing.review is not None:
        yield Told(Notice.DPO_REVIEW, Recipient.DPO, 1 + tuple(ReviewReason).index(standing.review))


def _status(case: Case, standing: _Standing, now: datetime) -> StatusChanged | None:
    last, opened = case.status, case.opened
    fresh = StatusChanged(
        request_id=opened.request_id,
        reference=opened.reference,
        version=last.version if last else 1,
        state=standing.state,
        outcome=standing.outcome,
        right=opened.right,
        regulation=opened.regulation,
        received_at=opened.received_at,
        since=last.since if last and last.state == standing.state else now,
        due=opened.due,
        overdue=last.overdue if last else False,
        systems=tuple(_system(case, planned) for planned in case.plan or ()),
        answer=AnswerStatus(available=True, expires_at=case.answer_expires_at) if case.answer_expires_at else None,
        reason=standing.reason,
    )
    if last is None:
        return fresh
    return None if fresh == last else fresh.model_copy(update={"version": last.version + 1})


def _system(case: Case, planned: PlannedSystem) -> SystemStatus:
    result = _result(case, planned)
    if result is not None:
        return SystemStatus(system=planned.system, state=SystemState.FINISHED, outcome=result.outcome)
    working = planned.task_id in case.working
    state = SystemState.WORKING if working else planned.state
    return SystemStatus(system=planned.system, state=state, reason=planned.reason)


def _result(case: Case, planned: PlannedSystem) -> Result | None:
    """The planned system's own answer to its own task; a stranger's does not count."""
    result = case.results.get(planned.task_id) if planned.task_id else None
    return result if result is not None and result.system == planned.system else None


def _results(case: Case) -> tuple[Result, ...]:
    return tuple(result for item in case.plan or () if (result := _result(case, item)) is not None)


def _finished(case: Case) -> frozenset[str]:
    """Systems that have said their last word. One that failed has not: a later answer may find what others wait for."""
    return frozenset(result.system for result in _results(case) if result.outcome in _ANSWERED)
