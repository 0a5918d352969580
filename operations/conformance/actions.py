"""Checks about each action: an answer that means what the action asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

from habeas.contracts.submission import Correction
from habeas.contracts.task import ScopeItem
from habeas.contracts.vocabulary import Action, Did, Origin, TaskOutcome
from operations.conformance.bench import GONE, Assignment, Bench, outcome
from operations.conformance.check import Check, ContractBrokenError, UnsupportedError, broken_if
from operations.conformance.office import Said
from operations.conformance.people import Person

MEANS = {
    Action.LOCATE: frozenset[Did](),
    Action.ACCESS: frozenset({Did.DISCLOSED, Did.WITHHELD, Did.REDACTED}),
    Action.EXPORT: frozenset({Did.EXPORTED, Did.WITHHELD, Did.REDACTED}),
    Action.RECTIFY: frozenset({Did.RECTIFIED, Did.RETAINED, Did.WITHHELD, Did.RECIPIENTS_NOTIFIED}),
    Action.ERASE: GONE
    | {Did.REDACTED, Did.RESTRICTED, Did.RETAINED, Did.SUPPRESSED, Did.STOPPED}
    | {Did.RECIPIENTS_NOTIFIED},
    Action.RESTRICT: frozenset({Did.RESTRICTED, Did.RECIPIENTS_NOTIFIED}),
    Action.UNRESTRICT: frozenset({Did.UNRESTRICTED, Did.RECIPIENTS_NOTIFIED}),
    Action.OBJECT: frozenset({Did.STOPPED, Did.SUPPRESSED, Did.RETAINED, Did.RECIPIENTS_NOTIFIED}),
    Action.HOLD: frozenset({Did.RETAINED}),
}
"""What an answer to each action may say was done."""
_READING = frozenset({Action.ACCESS, Action.EXPORT})
_LAWFUL = {
    Action.LOCATE: "completed partial refused",
    Action.ACCESS: "completed partial refused needs_input",
    Action.EXPORT: "completed partial refused needs_input nothing_held",  # nothing that the person provided
    Action.RECTIFY: "completed partial refused needs_input nothing_held",
    Action.ERASE: "completed partial refused needs_input",
    Action.RESTRICT: "completed partial refused needs_input",
    Action.UNRESTRICT: "completed partial refused nothing_held",  # nothing that was restricted
    Action.OBJECT: "completed partial refused needs_input nothing_held",
    Action.HOLD: "completed partial refused",
}
"""Outcomes for somebody who is held; `unsupported` beside them."""
_NO_SUCH = ScopeItem(category="no_such_category", purposes=("no_such_purpose",), basis="contract")


async def see_who_is_there(bench: Bench) -> str | None:
    """Asks about all test people and leaves out those who are gone, so that the checks judge the system alone."""
    people = bench.subject.people.people
    tasks = [bench.task(Action.ACCESS, person) for person in people]
    await bench.office.send(*tasks)
    held: dict[int, int] = {}
    for index, task in enumerate(tasks):
        said = (await bench.office.answers(task.task_id, 1, bench.patience))[0]
        if said.outcome == TaskOutcome.UNSUPPORTED:
            raise UnsupportedError(Action.ACCESS)
        held[index] = len({record.category for record in said.personal.records}) or len(said.body.artifacts)
    most = max(held.values())
    broken_if(most == 0, "an access discloses nothing about any of the test people: load the test data")
    # Whoever lacks a category that others have was erased by an earlier run: too little to judge an erasure by.
    bench.absent |= {index for index, count in held.items() if count < most}
    return f"{len(people) - len(bench.absent)} of {len(people)} test people can be used"


def _answers(action: Action) -> Callable[[Bench], Awaitable[str | None]]:
    async def run(bench: Bench) -> str | None:
        match action:
            case Action.LOCATE | Action.ACCESS | Action.EXPORT:
                person = bench.somebody()
            case Action.ERASE | Action.RESTRICT:
                person = bench.destroyable()
            case _:
                person = bench.altered()
        request_id, attempt = uuid4(), 1
        if action is Action.UNRESTRICT:
            await bench.ask(bench.task(Action.RESTRICT, person, request_id=request_id))
            attempt = 2
        tried = _corrections(bench, person) if action is Action.RECTIFY else ()
        task = bench.task(action, person, request_id=request_id, attempt=attempt, corrections=tried)
        said = await bench.ask(task)
        judge(task, said)
        if action is Action.RESTRICT:
            await _twice(bench, task, person, said)
        if action is Action.LOCATE:  # for others' sake: nothing of its own is in scope
            nothing = bench.task(action, person, scope=())
            judge(nothing, await bench.ask(nothing))
        notes = [outcome(said)] if said.outcome != TaskOutcome.COMPLETED else []
        if action is Action.RECTIFY and not person.corrections:
            notes.append("no correction of a real field was given: see --people")
        return ", ".join(notes) or None

    return run


async def _twice(bench: Bench, task: Assignment, person: Person, first: Said) -> None:
    again = bench.task(task.action, person)
    second = await bench.ask(again)
    judge(again, second)
    counts = [{(i.category, i.did): i.count for i in each.body.summary} for each in (first, second)]
    if first.outcome == TaskOutcome.COMPLETED:
        broken_if(counts[0] != counts[1], "what is restricted already is answered with other counts")


def _corrections(bench: Bench, person: Person) -> tuple[Correction, ...]:
    if person.corrections:
        return person.corrections
    category = bench.subject.categories[0].name
    return (Correction(category=category, field="no_such_field_in_any_system", value="a value"),)


def judge(task: Assignment, said: Said) -> None:
    """Raise ContractBrokenError unless `said` can be the answer to `task` about somebody who is held."""
    action = Action(task.action)
    if said.outcome not in _LAWFUL[action].split():
        raise ContractBrokenError(f"{action} for somebody who is held is answered {outcome(said)}")
    for item in said.body.summary:
        if item.did in set(Did) and item.did not in MEANS[action]:
            raise ContractBrokenError(f"{action} is answered with `{item.did}`")
        broken_if(item.did == Did.RETAINED and item.ground is None, "`retained` stands without a ground")
    records = said.personal.records
    broken_if(records and action not in _READING, f"{action} discloses records")
    within_scope(task, said)
    if said.outcome != TaskOutcome.COMPLETED:
        return
    match action:
        case Action.LOCATE:
            pass  # a system that provides no identifier has none to give
        case Action.ACCESS:
            withheld = any(item.did == Did.WITHHELD for item in said.body.summary)
            broken_if(not (records or said.body.artifacts or withheld), "access is completed without a record")
        case Action.HOLD:
            kept = [item for item in said.body.summary if item.did == Did.RETAINED]
            broken_if(not kept, "hold is completed and nothing is `retained`")
            right = all(item.ground == "held_for_request" and item.until is not None for item in kept)
            broken_if(not right, "what is held wants the ground `held_for_request` and `until`")
        case _:
            broken_if(not (said.body.summary or said.body.artifacts), f"{action} is completed without a summary")


def within_scope(task: Assignment, said: Said) -> None:
    """Raise ContractBrokenError where an answer speaks of a category that the task does not."""
    asked = {item.category for item in task.scope}
    for category in sorted({str(record.category) for record in said.personal.records} - asked):
        raise ContractBrokenError(f"a record of `{category}` is disclosed, which was not asked for")
    for category in sorted({item.category for item in said.body.summary} - asked):
        raise ContractBrokenError(f"the summary speaks of `{category}`, which was not asked for")


async def unknown_action(bench: Bench) -> str | None:
    said = await bench.ask(bench.task("imagine", bench.somebody()))
    broken_if(said.outcome != TaskOutcome.UNSUPPORTED, f"answered {outcome(said)}")
    return None


async def stranger(bench: Bench) -> str | None:
    tried = [action for action in (Action.ACCESS, Action.ERASE) if action not in bench.unsupported]
    if not tried:
        raise UnsupportedError(Action.ACCESS)
    for action in tried:
        said = await bench.ask(bench.task(action, bench.stranger))
        broken_if(said.outcome != TaskOutcome.NOTHING_HELD, f"{action} is answered {outcome(said)}")
        broken_if(said.personal.records or said.body.summary, f"{action} is answered with records or a summary")
    return None


async def one_category_at_a_time(bench: Bench) -> str | None:
    bench.needs(Action.ACCESS)
    person = bench.somebody()
    for category in bench.subject.categories:
        for action in (Action.ACCESS, Action.EXPORT):
            if action in bench.unsupported:
                continue
            task = bench.task(action, person, scope=bench.scope(action, category.name))
            within_scope(task, await bench.ask(task))
    task = bench.task(Action.ACCESS, person, scope=(_NO_SUCH,))
    said = await bench.ask(task)
    within_scope(task, said)
    broken_if(said.outcome != TaskOutcome.NOTHING_HELD, f"a category it does not have is answered {outcome(said)}")
    return None


async def erase_one_category(bench: Bench) -> str | None:
    """What is not in the scope is still disclosed afterwards."""
    bench.needs(Action.ERASE, Action.ACCESS)
    person = bench.destroyable()
    before = await bench.held(person)
    names = [category.name for category in bench.subject.categories]
    chosen = next((name for name in names if name in before), names[0])
    scopes: dict[str, tuple[ScopeItem, ...]] = {"no_such_category": (_NO_SUCH,)}
    if len(names) > 1:
        scopes[chosen] = bench.scope(Action.ERASE, chosen)
    for erased, scope in scopes.items():
        task = bench.task(Action.ERASE, person, scope=scope)
        within_scope(task, await bench.ask(task))
        after = await bench.held(person)
        for category in sorted(before.keys() - {erased}):
            if lost := before[category] - after.get(category, set()):
                raise ContractBrokenError(f"erasing `{erased}` took {len(lost)} of `{category}`")
    return None


async def export_origins(bench: Bench) -> str | None:
    bench.needs(Action.EXPORT)
    said = await bench.ask(bench.task(Action.EXPORT, bench.somebody()))
    for origin in sorted({str(record.origin) for record in said.personal.records} - {Origin.PROVIDED, Origin.OBSERVED}):
        raise ContractBrokenError(f"a record of origin `{origin}` is exported")
    return None


CHECKS = (
    Check(
        "people",
        "the people of the test data are found",
        "Bodies: dsr.task.assigned.v1",
        see_who_is_there,
    ),
    *(
        Check(f"answers.{action}", f"`{action}` has a lawful answer", "Bodies: dsr.task.finished.v1", _answers(action))
        for action in Action
    ),
    Check(
        "answers.unknown_action",
        "an action that nobody knows yet is answered `unsupported`",
        "Bodies: words are open",
        unknown_action,
    ),
    Check("answers.stranger", "of a stranger nothing is held", "Bodies: dsr.task.finished.v1", stranger),
    Check(
        "scope.reading",
        "categories that were not asked for are not disclosed",
        "Bodies: scope",
        one_category_at_a_time,
    ),
    Check("scope.erasing", "categories that were not asked for are not erased", "Bodies: scope", erase_one_category),
    Check(
        "export.origins",
        "an export holds what was provided or observed, nothing else",
        "GDPR Art. 20(1), WP242 rev.01",
        export_origins,
    ),
)
