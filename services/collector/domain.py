"""The rules of the case file: from the facts recorded so far to what is said next. Pure.

`advance` looks at all facts of a request and at what was said already. It gives the same answer whatever order the
facts came in, and nothing new for facts that it has seen.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple, assert_never

from habeas.contracts.command import Verdict
from habeas.contracts.status import AnswerStatus, StatusChanged, StatusReason, SystemStatus
from habeas.contracts.vocabulary import COPIES, Action, NotifyBy, RequestOutcome, RequestState, Right, SystemState
from services.collector import results
from services.collector.case import (
    COLLECTED,
    STOPPED,
    Case,
    Order,
    OrderKind,
    Planned,
    ReasonCode,
    Result,
    ReviewReason,
    Round,
    Step,
    Told,
)
from shared.events import Audience, Decision, DeliveryResult, Notice, Recipient

_NOT_CONTROLLER: Final = "not_controller"

_DONE: Final = frozenset({RequestOutcome.COMPLETED, RequestOutcome.PARTIALLY_COMPLETED})

_RELEASABLE: Final = frozenset({ReviewReason.PREDECESSOR_MISSING, ReviewReason.NOTICE_BOUNCED, ReviewReason.NO_ADDRESS})

_FINAL: Final[Mapping[RequestOutcome, Notice]] = {
    RequestOutcome.COMPLETED: Notice.COMPLETED,
    RequestOutcome.PARTIALLY_COMPLETED: Notice.PARTIALLY_COMPLETED,
    RequestOutcome.NOTHING_HELD: Notice.NOTHING_HELD,
    RequestOutcome.REFUSED: Notice.REFUSED,
    RequestOutcome.NOT_CONTROLLER: Notice.NOT_CONTROLLER,
    RequestOutcome.WITHDRAWN: Notice.WITHDRAWN,
}


FINAL_MARKS: Final = frozenset(Told(notice, Recipient.REQUESTER).mark for notice in _FINAL.values())
"""Of the letters that say how it ended."""

DECISIVE: Final = frozenset({*_FINAL.values(), Notice.RESTRICTION_LIFTING})
"""Letters to the requester whose fate something depends on."""

_TOO_LATE: Final = FINAL_MARKS - {Told(Notice.WITHDRAWN, Recipient.REQUESTER).mark}

_NOBODY: Final[frozenset[str]] = frozenset()

_EACH_ORDER: Final = 100
"""More than there are reasons for a review."""


class _Standing(NamedTuple):
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
        return _after_the_end(case, case.status)
    standing = _standing(case)
    waiting = SystemState.WAITING in [item.state for item in case.plan or ()]
    withdrawn = standing.outcome is RequestOutcome.WITHDRAWN or standing.final is Notice.WITHDRAWN
    finished = results.finished(case) if waiting or withdrawn else _NOBODY
    return Step(
        status=_status(case, standing, now),
        report=tuple(sorted(finished)) if waiting and finished - case.reported else (),
        notices=tuple([told for told in _notices(case, standing) if told.mark not in case.noticed]),
        assemble=standing.assemble and case.answer_expires_at is None,
        collected=_is_collected(case, standing) and COLLECTED not in case.said,
        stop=tuple(sorted(finished)) if withdrawn and STOPPED not in case.said else None,
        rounds=tuple([each for each in _rounds(case) if str(each.order_id) not in case.said]),
    )


def _standing(case: Case) -> _Standing:
    if _is_taken_back(case):
        return _ended(case, RequestOutcome.WITHDRAWN, StatusReason(code=ReasonCode.WITHDRAWN))
    match case.opened.decision:
        case Decision.REFUSED:
            reason = case.opened.reason
            elsewhere = reason is not None and reason.code == _NOT_CONTROLLER
            return _ended(case, RequestOutcome.NOT_CONTROLLER if elsewhere else RequestOutcome.REFUSED, reason)
        case Decision.TRIAGE:
            return _Standing(RequestState.TRIAGE, reason=case.opened.reason)
        case Decision.ACCEPTED:
            pass
    return _Standing(RequestState.RECEIVED) if case.plan is None else _under_way(case, case.plan)


def _under_way(case: Case, plan: Sequence[Planned]) -> _Standing:
    why = [item.reason for item in plan if item.state == SystemState.WAITING]
    if ReviewReason.PREDECESSOR_MISSING in why:
        return _review(ReviewReason.PREDECESSOR_MISSING)
    if ReasonCode.COMES_AFTER_ANOTHER in why:
        return _Standing(RequestState.WAITING, reason=StatusReason(code=ReasonCode.COMES_AFTER_ANOTHER))
    answered = results.answers(case).keys() - results.repeating(case)
    unanswered = [item for item in plan if item.state != SystemState.EXCLUDED and item.system not in answered]
    if results.has_failed(case) and all(item.state == SystemState.WAITING for item in unanswered):
        return _review(ReviewReason.SYSTEM_FAILED)  # those that wait, wait for what the failed one may yet find
    if unanswered:
        return _Standing(RequestState.IN_PROGRESS)
    return _weighed(case) or _ended(case, results.outcome(case), None)


def refusal(case: Case, order: Order, expected_version: int | None) -> str | None:
    """Why a command cannot be carried out as the case stands; None where it can."""
    status = case.status
    if status is None or (expected_version is not None and expected_version != status.version):
        return "version_differs"
    under_review = status.reason.code if status.state == RequestState.IN_REVIEW and status.reason else None
    match order.kind:
        case OrderKind.WEIGH:
            known = order.argument in tuple(Verdict)
            weighable = under_review == ReviewReason.OBJECTION_TO_WEIGH and results.verdict(case) is None
            return ("not_to_weigh" if not weighable else None) if known else "verdict_unknown"
        case OrderKind.LIFT:
            lifts = [each for each in case.orders if each.kind is OrderKind.LIFT]
            open_to_it = not lifts or _is_untold(case, lifts)
            stands = case.opened.right == Right.RESTRICTION and status.outcome in _DONE and open_to_it
            return None if stands else "not_restricted"
        case OrderKind.RETRY:
            return None if order.argument in _repeatable(case, status) else "not_failed"
        case OrderKind.RELEASE:
            failed = under_review == ReviewReason.SYSTEM_FAILED and results.has_failed(case)
            releasable = failed or under_review in _RELEASABLE
            return None if releasable else "not_under_review"
        case _:
            assert_never(order.kind)


def _repeatable(case: Case, status: StatusChanged) -> Set[str]:
    """Failed systems that can be asked once more: as long as the case is at work, or to lift a restriction."""
    failed = results.failed_systems(case)
    if status.state == RequestState.CLOSED:
        return {item.system for item in case.plan or () if item.action == Action.UNRESTRICT and item.system in failed}
    return failed if results.has_failed(case) and not case.withdrawn else frozenset()


def _weighed(case: Case) -> _Standing | None:
    """An objection is weighed by a person, unless it is to marketing alone; the data is left alone meanwhile, as all
    that was objected to has stopped (GDPR Art. 18(1)(d), 21(1))."""
    stopped = results.stopped(case)
    if not stopped:
        return None
    match results.verdict(case):
        case Verdict.UPHELD:
            return None
        case Verdict.OVERRIDDEN:
            resumed = {
                item.system
                for item in case.plan or ()
                if item.action == Action.UNRESTRICT and results.result_of(case, item) is not None
            }
            if not stopped.keys() <= resumed:
                return _Standing(RequestState.IN_PROGRESS)
            reason = StatusReason(code=ReasonCode.OBJECTION_OVERRIDDEN, ground=results.OVERRIDING_GROUNDS)
            return _ended(case, results.outcome(case), reason)
        case _:
            return _review(ReviewReason.OBJECTION_TO_WEIGH)


def _is_taken_back(case: Case) -> bool:
    """Whether a withdrawal came in time: not once the person is being told how it ended."""
    return case.withdrawn and _TOO_LATE.isdisjoint(case.noticed)


def _ended(case: Case, outcome: RequestOutcome, reason: StatusReason | None) -> _Standing:
    """All is decided; it is closed once the person has been told."""
    answered = case.opened.right in COPIES and case.opened.audience is not Audience.BYSTANDER and outcome in _DONE
    if answered and case.answer_expires_at is None:
        return _Standing(RequestState.IN_PROGRESS, assemble=True)
    # The answer itself is always sent by us: only its link opens it, and that link stands in the mail alone.
    told_by_us = answered or case.opened.notify_by != NotifyBy.PORTAL
    nobody = not case.opened.reachable and (
        case.opened.audience is Audience.BYSTANDER or outcome is RequestOutcome.WITHDRAWN
    )
    untold = _Standing(RequestState.CLOSED, outcome, reason)
    if not told_by_us or nobody:
        return untold
    if not case.opened.reachable:
        let_go = results.is_released(case, ReviewReason.NO_ADDRESS)
        return untold if let_go else _review(ReviewReason.NO_ADDRESS)
    final = _FINAL[outcome]
    match case.deliveries.get(final):
        case DeliveryResult.ACCEPTED:
            return _Standing(RequestState.CLOSED, outcome, reason, final=final)
        case DeliveryResult.BOUNCED:
            let_go = results.is_released(case, ReviewReason.NOTICE_BOUNCED)
            return untold if let_go else _review(ReviewReason.NOTICE_BOUNCED)
        case None:
            return _Standing(RequestState.IN_PROGRESS, reason=reason, final=final)


def _review(reason: ReviewReason) -> _Standing:
    return _Standing(RequestState.IN_REVIEW, reason=StatusReason(code=reason), review=reason)


def _notices(case: Case, standing: _Standing) -> Iterable[Told]:
    opened = case.opened
    if opened.decision != Decision.REFUSED and opened.notify_by != NotifyBy.PORTAL and case.opened.reachable:
        yield Told(Notice.ACKNOWLEDGED, Recipient.REQUESTER)
    if standing.final is not None:
        yield Told(standing.final, Recipient.REQUESTER)
    if standing.state is RequestState.TRIAGE:
        yield Told(Notice.DPO_TRIAGE, Recipient.DPO, opened.version)  # of each revision: it may be about somebody else
    if standing.review is not None:
        yield Told(Notice.DPO_REVIEW, Recipient.DPO, _ordinal(standing.review, case))


def _ordinal(review: ReviewReason, case: Case) -> int:
    """Of the same reason again, once somebody has done something about it: what is repeated may fail again."""
    return 1 + tuple(ReviewReason).index(review) + _EACH_ORDER * len(case.orders)


def _is_untold(case: Case, lifts: Sequence[Order]) -> bool:
    return case.deliveries.get(Notice.RESTRICTION_LIFTING) is DeliveryResult.BOUNCED and len(lifts) == 1


def _status(case: Case, standing: _Standing, now: datetime) -> StatusChanged | None:
    last, opened = case.status, case.opened
    answer = None
    if case.answer_expires_at and not _is_taken_back(case):
        answer = AnswerStatus(available=True, expires_at=case.answer_expires_at)
    return _if_new(
        last,
        request_id=opened.request_id,
        reference=opened.reference,
        state=standing.state,
        outcome=standing.outcome,
        right=opened.right,
        regulation=opened.regulation,
        received_at=opened.received_at,
        since=last.since if last and last.state == standing.state else now,
        due=opened.due,
        systems=_systems(case),
        answer=answer,
        reason=standing.reason,
    )


def _if_new(last: StatusChanged | None, **members: Any) -> StatusChanged | None:
    """The next version, unless it would say what `last` does. Most often it would, so it is compared before it is
    made. What is not among `members` stays as it was."""
    if last is None:
        return StatusChanged(version=1, **members)
    if members.items() <= vars(last).items():
        return None
    return last.model_copy(update={**members, "version": last.version + 1})


def _systems(case: Case) -> tuple[SystemStatus, ...]:
    answers = results.answers(case)
    return tuple([_system(case, planned, answers.get(planned.system)) for planned in case.plan or ()])


def _system(case: Case, planned: Planned, result: Result | None) -> SystemStatus:
    if result is not None:
        return _system_status(planned.system, SystemState.FINISHED, result.outcome, result.error)
    working = planned.task_id in case.working
    return _system_status(planned.system, SystemState.WORKING if working else planned.state, None, planned.reason)


@lru_cache(maxsize=4096)
def _system_status(system: str, state: str, outcome: str | None, reason: str | None) -> SystemStatus:
    """Most requests' systems stand as others' do."""
    return SystemStatus(system=system, state=state, outcome=outcome, reason=reason)


def _is_collected(case: Case, standing: _Standing) -> bool:
    """Whether those who come after it may go on: told of copies, which others go after by themselves, and if asked."""
    if case.opened.right not in COPIES and not case.awaited:
        return False
    untold = standing.review in {ReviewReason.NO_ADDRESS, ReviewReason.NOTICE_BOUNCED}
    return standing.state is RequestState.CLOSED or standing.final is not None or standing.assemble or untold


def _rounds(case: Case) -> Iterable[Round]:
    """What accepted commands have systems do."""
    for order in case.orders:
        match order.kind:
            case OrderKind.RETRY:
                yield Round(order.command_id, (order.argument or "",))
            case OrderKind.WEIGH if order.argument == Verdict.OVERRIDDEN:
                stopped = results.stopped(case)
                categories = sorted({category for some in stopped.values() for category in some})
                yield Round(order.command_id, tuple(stopped), Action.UNRESTRICT, tuple(categories))
            case OrderKind.WEIGH | OrderKind.RELEASE | OrderKind.LIFT:
                pass
            case _:
                assert_never(order.kind)


def _after_the_end(case: Case, status: StatusChanged) -> Step:
    """A closed request stays as it was told, and those who come after it are told when they ask.

    A restriction may be lifted: the person is informed before (GDPR Art. 18(3)), then the systems are asked. Where the
    mail bounced it stands until it is ordered once more, by somebody who has told the person otherwise.
    """
    collected = case.awaited and COLLECTED not in case.said
    lifts = [order for order in case.orders if order.kind is OrderKind.LIFT]
    if not lifts:
        return Step(collected=collected)
    lift = lifts[0]
    told = Told(Notice.RESTRICTION_LIFTING, Recipient.REQUESTER)
    by_us = case.opened.notify_by != NotifyBy.PORTAL and case.opened.reachable
    untold = _is_untold(case, lifts)
    rounds: tuple[Round, ...] = ()
    if (not by_us or (told.notice in case.deliveries and not untold)) and str(lift.command_id) not in case.said:
        restricted = (
            item.system for item in case.plan or () if item.action == Action.RESTRICT and results.result_of(case, item)
        )
        rounds = (Round(lift.command_id, tuple(restricted), Action.UNRESTRICT),)
    again = [each for each in _rounds(case) if str(each.order_id) not in case.said]
    code: StrEnum = ReasonCode.RESTRICTION_LIFTED if results.lifted(case) else ReasonCode.RESTRICTION_LIFTING
    if untold:
        code = ReviewReason.LIFTING_NOT_TOLD
    review = Told(Notice.DPO_REVIEW, Recipient.DPO, _ordinal(ReviewReason.LIFTING_NOT_TOLD, case))
    wanted = [*([told] if by_us else ()), *([review] if untold else ())]
    return Step(
        status=_if_new(status, systems=_systems(case), reason=StatusReason(code=code)),
        notices=tuple(each for each in wanted if each.mark not in case.noticed),
        rounds=(*rounds, *again),
        collected=collected,
    )
