"""Checks about tasks that come twice, late or not at all: Kafka delivers at least once, and in no order across keys."""

from __future__ import annotations

from uuid import uuid4

from habeas.contracts.task import TaskCancelled
from habeas.contracts.vocabulary import Action, Did, TaskOutcome
from operations.conformance.bench import GONE, Bench, difference, outcome
from operations.conformance.check import Check, broken_if
from operations.conformance.office import Said


async def duplicate(bench: Bench) -> str | None:
    bench.needs(Action.ACCESS)
    task = bench.task(Action.ACCESS, bench.somebody())
    first = await bench.ask(task)
    return _resealed(first, await bench.again(task, first, "the same task"))


async def duplicate_erasure(bench: Bench) -> str | None:
    task, first = await bench.erased(bench.destroyable())
    return _resealed(first, await bench.again(task, first, "the same erasure"))


async def access_after_erasure(bench: Bench) -> str | None:
    bench.needs(Action.ERASE, Action.ACCESS)
    person = bench.destroyable()
    before = await bench.held(person)
    _, said = await bench.erased(person)
    after = await bench.held(person)
    kept = {item.category for item in said.body.summary if item.did in (Did.RETAINED, Did.RESTRICTED, Did.REDACTED)}
    gone = {item.category for item in said.body.summary if item.did in GONE}
    for category in sorted((gone - kept) & before.keys()):
        left = before[category] & after.get(category, set())
        broken_if(left, f"`{category}` was erased, and {len(left)} of its records are still disclosed")
    for category in sorted(before.keys() - gone - kept):
        broken_if(before[category] - after.get(category, set()), f"`{category}` is gone and the answer does not say so")
    return None


async def second_attempt(bench: Bench) -> str | None:
    person = bench.destroyable()
    task, first = await bench.erased(person)
    later = bench.task(Action.ERASE, person, request_id=task.request_id, attempt=2)
    second = await bench.ask(later)
    broken_if(second.outcome != first.outcome, f"it is answered {difference(first, second)}")
    broken_if(first.identities - second.identities, "the identifiers that the first attempt found are missing")
    return None


async def old_attempt(bench: Bench) -> str | None:
    person, request_id = bench.destroyable(), uuid4()
    newer, first = await bench.erased(person, request_id=request_id, attempt=2)
    older = bench.task(Action.ERASE, person, request_id=newer.request_id, attempt=1)
    second = await bench.ask(older)
    broken_if(second.outcome != first.outcome, f"the older is answered {difference(first, second)}")
    await bench.again(newer, first, "the newer, sent again after it,")
    return None


async def reminder_alone(bench: Bench) -> str | None:
    bench.needs(Action.ACCESS)
    person = bench.somebody()
    said = await bench.ask(bench.task(Action.ACCESS, person, reminder=True))
    broken_if(said.outcome not in (TaskOutcome.COMPLETED, TaskOutcome.PARTIAL), f"answered {outcome(said)}")
    return None


async def reminder_afterwards(bench: Bench) -> str | None:
    bench.needs(Action.ACCESS)
    person = bench.somebody()
    task = bench.task(Action.ACCESS, person)
    first = await bench.ask(task)
    return _resealed(first, await bench.again(bench.reminder(task, person), first, "its reminder"))


async def cancelled_before(bench: Bench) -> str | None:
    bench.needs(Action.ERASE)
    person = bench.altered()
    reads = Action.ACCESS not in bench.unsupported
    before = await bench.held(person) if reads else {}
    task = bench.task(Action.ERASE, person)
    await bench.office.send(bench.cancellation(task))
    said = await bench.ask(task)
    broken_if(said.outcome != TaskOutcome.CANCELLED, f"answered {outcome(said)}")
    broken_if(said.body.summary or said.personal.records, "a cancelled task is answered with a summary or records")
    if reads:
        broken_if(await bench.held(person) != before, "a cancelled erasure has erased")
    return None


async def cancelled_afterwards(bench: Bench) -> str | None:
    bench.needs(Action.ACCESS)
    task = bench.task(Action.ACCESS, bench.somebody())
    first = await bench.ask(task)
    cancellation: TaskCancelled = bench.cancellation(task)
    await bench.office.send(cancellation)
    return _resealed(first, await bench.again(task, first, "a task that is cancelled after its answer"))


def _resealed(first: Said, second: Said) -> str | None:
    if first.record.value == second.record.value and first.event.id == second.event.id:
        return None
    return "the same content, sealed anew"


_DELIVERY = "Topics: delivery is at least once"

CHECKS = (
    Check("repeats.duplicate", "a task that comes again gets the same answer", _DELIVERY, duplicate),
    Check(
        "repeats.erasure", "an erasure that comes again is not answered `nothing_held`", _DELIVERY, duplicate_erasure
    ),
    Check(
        "repeats.access_after_erasure",
        "what was erased is disclosed to nobody any more",
        "GDPR Art. 17(1)",
        access_after_erasure,
    ),
    Check(
        "repeats.second_attempt",
        "another attempt at a done erasure gives the identifiers that the first one found",
        _DELIVERY,
        second_attempt,
    ),
    Check(
        "repeats.old_attempt", "an older attempt that comes after a newer one undoes nothing", _DELIVERY, old_attempt
    ),
    Check("repeats.reminder_alone", "a reminder whose task never came is enough", _DELIVERY, reminder_alone),
    Check("repeats.reminder_afterwards", "a reminder after the answer repeats it", _DELIVERY, reminder_afterwards),
    Check("cancelled.before", "a task cancelled before it comes is not done", _DELIVERY, cancelled_before),
    Check("cancelled.afterwards", "a cancellation after the answer changes nothing", _DELIVERY, cancelled_afterwards),
)
