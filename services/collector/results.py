"""What the answers of the systems amount to. Pure rules."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Final
from uuid import UUID

from habeas.contracts.command import Verdict
from habeas.contracts.result import Record, SummaryItem, TaskFinished
from habeas.contracts.vocabulary import Action, Did, RequestOutcome, Right, SystemState, TaskErrorCode, TaskOutcome
from services.collector.answer import ground_for_leaving_out, leaves_nothing_out
from services.collector.case import Case, Done, Ended, OrderKind, Planned, Result, ReviewReason

OVERRIDING_GROUNDS: Final = "overriding_grounds"

_ANSWERED: Final = frozenset(
    {TaskOutcome.COMPLETED, TaskOutcome.PARTIAL, TaskOutcome.NOTHING_HELD, TaskOutcome.REFUSED}
)
"""Outcomes that need no person. Any other goes to review: one unknown to us, and `cancelled`, since a case whose tasks
are cancelled has ended."""

_UNSAID: Final = frozenset({Action.HOLD, Action.LOCATE})
"""What is done on the way, and not for the person."""

_CUT: Final = frozenset({Did.RETAINED, Did.WITHHELD, Did.REDACTED})

_SHORT: Final[Mapping[str, Set[Did]]] = {
    Right.ACCESS: _CUT,
    Right.PORTABILITY: _CUT,
    Right.ERASURE: frozenset({Did.RETAINED, Did.WITHHELD}),
}
"""What falls short of what was asked. To blacken a record leaves something out of a copy; in an erasure it is the
erasing. Of the other rights something kept is no part: a consent's proof stays."""

_UNDONE: Final = frozenset({Did.STOPPED, Did.RESTRICTED})

_SHORT_OF_OTHERS: Final[Set[Did]] = frozenset({Did.WITHHELD})

_UNRESTRICTED: Final = frozenset({Did.UNRESTRICTED})

_NOBODY: Final[frozenset[str]] = frozenset()

_COMPLETED: Final = frozenset({TaskOutcome.COMPLETED})

_REFUSED: Final = frozenset({TaskOutcome.REFUSED})


def statement(case: Case) -> tuple[list[Done], list[Ended]]:
    """What was done where, and how each system ended: the body of the final letter."""
    items: list[Done] = []
    notes: list[Ended] = []
    overridden = verdict(case) == Verdict.OVERRIDDEN
    for planned in case.plan or ():
        result = result_of(case, planned)
        if result is None:
            notes.append(Ended(planned.system, planned.state, None, planned.reason))
        else:
            notes.append(Ended(planned.system, SystemState.FINISHED, result.outcome, result.error))
        for item in _done(case, planned):
            ground = OVERRIDING_GROUNDS if overridden and item.did == Did.UNRESTRICTED else item.ground
            items.append(Done(planned.system, item.category, item.did, item.count, ground, item.until))
    return items, notes


def _done(case: Case, planned: Planned) -> Sequence[SummaryItem]:
    """What a system did in all its rounds, without what it has undone since."""
    rounds = _all_results(case, planned).items()
    items = [item for action, result in rounds if action not in _UNSAID for item in result.summary]
    undone = {item.category for item in items if item.did == Did.UNRESTRICTED}
    if not undone:
        return items
    return [item for item in items if item.did not in _UNDONE or item.category not in undone]


def error_code(answer: TaskFinished) -> str | None:
    """The code that is shown to others: one of the contract's, since any other could name a person."""
    if answer.error is None:
        return None
    known = answer.error.code in tuple(TaskErrorCode)
    return answer.error.code if known else TaskErrorCode.OTHER


def left_out(named: Sequence[SummaryItem], records: Sequence[Record]) -> tuple[SummaryItem, ...]:
    """Summary items for records of an answer that are kept out of the copy.

    Without those that the system has `named` itself: a person is told once. Whether another's rights would be adversely
    affected is for a person to weigh (GDPR Art. 15(4)); portability ends with what was provided or observed (Art. 20).
    """
    exported = any(item.did == Did.EXPORTED for item in named)
    right = Right.PORTABILITY if exported else Right.ACCESS
    if leaves_nothing_out(records, right, {}):
        return ()
    counts = Counter(
        (record.category, ground)
        for record in records
        if (ground := ground_for_leaving_out(record, right, {})) is not None
    )
    for item in named:
        if item.did == Did.WITHHELD and item.ground is not None:
            counts[item.category, item.ground] -= item.count
    return tuple(
        SummaryItem(category=category, did=Did.WITHHELD, count=count, ground=ground)
        for (category, ground), count in sorted(counts.items())
        if count > 0
    )


def outcome(case: Case) -> RequestOutcome:
    short = _SHORT.get(case.opened.right, _SHORT_OF_OTHERS)
    plan, found = case.plan or (), answers(case)
    held = {found[each.system].outcome for each in plan if each.action not in _UNSAID and each.system in found}
    held.discard(TaskOutcome.NOTHING_HELD)
    if not held:
        return RequestOutcome.NOTHING_HELD
    did = {item.did for planned in plan for item in _done(case, planned) if item.count}
    if held == _REFUSED or did == _UNRESTRICTED:
        return RequestOutcome.REFUSED
    if held != _COMPLETED or Did.UNRESTRICTED in did or not short.isdisjoint(did):
        return RequestOutcome.PARTIALLY_COMPLETED
    return RequestOutcome.COMPLETED


def answers(case: Case) -> Mapping[str, Result]:
    """By system, in the plan's order, the answer that counts: its own to its own task; a stranger's does not.

    Until a repeated attempt is answered, a good answer to an earlier one does.
    """
    if case.answers is None:
        plan = case.plan or () if case.results else ()
        found = [(planned.system, _find_result(case, planned)) for planned in plan]
        case.answers = {system: result for system, result in found if result is not None}
    return case.answers


def result_of(case: Case, planned: Planned) -> Result | None:
    """The planned system's answer that counts."""
    return answers(case).get(planned.system)


def _find_result(case: Case, planned: Planned) -> Result | None:
    if planned.task_id is None:
        return None
    current = _answer_to(case, planned, planned.task_id)
    if current is not None or not planned.earlier:
        return current
    earlier = (
        _answer_to(case, planned, past.task_id) for past in reversed(planned.earlier) if past.action == planned.action
    )
    return next((result for result in earlier if result is not None and result.outcome in _ANSWERED), None)


def _all_results(case: Case, planned: Planned) -> Mapping[str, Result]:
    """The answers to all its tasks that count, by what was asked, in their order; of attempts at the same the last."""
    if not planned.earlier:
        only = answers(case).get(planned.system)
        return {} if only is None or planned.action is None else {planned.action: only}
    by_action: dict[str, Result] = {}
    tasks = [(past.task_id, past.action) for past in planned.earlier]
    if planned.task_id is not None and planned.action is not None:
        tasks.append((planned.task_id, planned.action))
    for task_id, action in tasks:
        result = _answer_to(case, planned, task_id)
        if result is not None:
            by_action.pop(action, None)
            by_action[action] = result
    return by_action


def _answer_to(case: Case, planned: Planned, task_id: UUID) -> Result | None:
    result = case.results.get(task_id)
    return None if result is None or result.system != planned.system else result


def has_failed(case: Case) -> bool:
    """Whether a system's answer is none, and nobody has let the request go without it."""
    return bool(failed_systems(case)) and not is_released(case, ReviewReason.SYSTEM_FAILED)


def failed_systems(case: Case) -> frozenset[str]:
    """Systems whose answer is none: they gave up, or nobody knows what their word means. Without those that somebody
    has ordered to try again."""
    failed = frozenset([system for system, result in answers(case).items() if result.outcome not in _ANSWERED])
    return failed - repeating(case) if failed else failed


def repeating(case: Case) -> frozenset[str]:
    """Systems that are to be asked once more, and of which fan-out has not said yet that they were."""
    if not case.orders or not any(order.kind is OrderKind.RETRY for order in case.orders):
        return _NOBODY
    stopping = stopped(case) if verdict(case) == Verdict.OVERRIDDEN else {}
    lifting = any(order.kind is OrderKind.LIFT for order in case.orders)
    found = set()
    for planned in case.plan or ():
        given = [past.action for past in planned.earlier] + ([planned.action] if planned.task_id else [])
        again = sum(order.kind is OrderKind.RETRY and order.argument == planned.system for order in case.orders)
        rounds = 1 + again + (planned.system in stopping) + (lifting and Action.RESTRICT in given)
        if again and sum(action != Action.HOLD for action in given) < rounds:
            found.add(planned.system)
    return frozenset(found)


def lifted(case: Case) -> bool:
    """Whether every system has answered that what it restricted is restricted no more."""
    found = [result_of(case, item) for item in case.plan or () if item.action == Action.UNRESTRICT]
    return bool(found) and all(answer is not None and answer.outcome in _ANSWERED for answer in found)


def is_released(case: Case, reason: ReviewReason) -> bool:
    """Whether a person has let the request go on although it was under review for this reason."""
    return any(order.kind is OrderKind.RELEASE and order.argument == reason for order in case.orders)


def finished(case: Case) -> frozenset[str]:
    """Systems that have said their last word. One that failed has not: a later answer may find what others wait for."""
    released = is_released(case, ReviewReason.SYSTEM_FAILED)
    return frozenset([system for system, result in answers(case).items() if released or result.outcome in _ANSWERED])


def verdict(case: Case) -> str | None:
    return next((order.argument for order in case.orders if order.kind is OrderKind.WEIGH), None)


def stopped(case: Case) -> Mapping[str, tuple[str, ...]]:
    """By system the categories that stopped because of an objection that is to be weighed. A category that a system
    was not asked about is none that could be resumed there."""
    if case.opened.right != Right.OBJECTION:
        return {}
    found: dict[str, set[str]] = {}
    for planned in case.plan or ():
        for result in _all_results(case, planned).values():
            for item in result.summary:
                marketing = (planned.system, item.category) in case.marketing
                strange = bool(planned.categories) and item.category not in planned.categories
                if item.did == Did.STOPPED and item.count and not marketing and not strange:
                    found.setdefault(planned.system, set()).add(item.category)
    return {system: tuple(sorted(categories)) for system, categories in found.items()}
