"""Restriction, objection, withdrawn consent and holds: what stays, and what may not be done with it.

What a person asked for stands in the warehouse's limits; every step bears repeating.
"""

import asyncio
import datetime as dt

from habeas.participant import Answer, Did, NeedsInput, Right, SummaryItem, Task, TaskOutcome
from systems.analytics import asked, recipients
from systems.analytics.asked import Found
from systems.analytics.limits import PURPOSES, Kind, Liftable
from systems.analytics.store import Warehouse


async def restrict(task: Task, store: Warehouse) -> Answer:
    found = await asked.find(task, store)
    return Answer(summary=await asyncio.to_thread(_restrict, task, store, found))


def _restrict(task: Task, store: Warehouse, found: Found) -> list[SummaryItem]:
    subjects = asked.person(task).subjects(store.hash)
    summary = []
    for category, purposes in asked.scope(task).items():
        if count := found.count(category):
            store.limits.impose(subjects, category, purposes, Kind.RESTRICTED, task.request_id, found.at)
            told = recipients.tell(store, task, category, subjects, found.at)
            summary += asked.item(category, Did.RESTRICTED, count)
            summary += asked.item(category, Did.RECIPIENTS_NOTIFIED, told)
    return summary


async def stop(task: Task, store: Warehouse) -> Answer:
    """GDPR Art. 21, and Art. 7(3) where a consent is withdrawn: it ends, and stays as proof of what was.

    Visits have two bases, and rest on neither any more for these purposes, whichever the right has reached. Raises
    `NeedsInput` for a purpose that analytics does not have: to say that it has stopped would be untrue.
    """
    if any(not set(purposes) <= set(PURPOSES[category]) for category, purposes in asked.scope(task).items()):
        raise NeedsInput("purpose_unknown")
    found = await asked.find(task, store)
    return Answer(summary=await asyncio.to_thread(_stop, task, store, found))


def _stop(task: Task, store: Warehouse, found: Found) -> list[SummaryItem]:
    who = asked.person(task)
    kind = Kind.WITHDRAWN if task.right == Right.CONSENT_WITHDRAWAL else Kind.OBJECTED
    summary = []
    for category, purposes in asked.scope(task).items():
        if count := found.count(category):
            store.limits.impose(who.subjects(store.hash), category, purposes, kind, task.request_id, found.at)
            summary += asked.item(category, Did.STOPPED, count)
    if found.consents:
        store.marketing.suppress(found.addresses(), found.at, task.request_id)
        summary += found.suppressed()
        if kind is Kind.WITHDRAWN:
            store.marketing.end(who, found.at)
            summary += found.proofs()
    return summary


async def unrestrict(task: Task, store: Warehouse) -> Answer:
    """Ends what this request restricted or objected to. A consent that has ended stays ended."""
    found = await asked.find(task, store)
    wanted = asked.scope(task)

    async def look() -> dict[str, Liftable]:
        return {
            category: await asyncio.to_thread(store.limits.liftable, task.request_id, category, purposes)
            for category, purposes in wanted.items()
        }

    liftable = await task.once(f"liftable:{','.join(sorted(wanted))}", dict[str, Liftable], look)
    summary = await asyncio.to_thread(_unrestrict, task, store, found, liftable)
    if not summary and any(found.count(category) for category in wanted):
        return Answer(outcome=TaskOutcome.COMPLETED)  # nothing to lift, which is not to say that nothing is held
    return Answer(summary=summary)


def _unrestrict(task: Task, store: Warehouse, found: Found, liftable: dict[str, Liftable]) -> list[SummaryItem]:
    """Recipients that were told of a restriction are told of its end."""
    subjects = asked.person(task).subjects(store.hash)
    summary = []
    for category, purposes in asked.scope(task).items():
        limits = liftable[category]
        if category == "marketing_preference" and Kind.OBJECTED in limits.imposed:
            store.marketing.unsuppress(task.request_id)
        if limits.imposed:
            store.limits.lift(task.request_id, category, purposes)
        if limits.ending:
            summary += asked.item(category, Did.UNRESTRICTED, found.count(category))
        if Kind.RESTRICTED in limits.ending:
            told = recipients.tell(store, task, category, subjects, found.at)
            summary += asked.item(category, Did.RECIPIENTS_NOTIFIED, told)
    return summary


async def hold(task: Task, store: Warehouse) -> Answer:
    """No scheduled deletion until the task's due day (UTC), or until the request's next task."""
    found = await asked.find(task, store)
    return Answer(summary=await asyncio.to_thread(_hold, task, store, found))


async def over(task: Task, store: Warehouse) -> None:
    """A hold that is cancelled."""
    await asyncio.to_thread(store.limits.release, task.request_id)


def _hold(task: Task, store: Warehouse, found: Found) -> list[SummaryItem]:
    subjects = asked.person(task).subjects(store.hash)
    until = task.due_at.astimezone(dt.UTC).date()
    summary = []
    for category in asked.scope(task):
        if count := found.count(category):
            store.limits.impose(subjects, category, [""], Kind.HELD, task.request_id, found.at, until)
            summary.append(
                SummaryItem(category=category, did=Did.RETAINED, count=count, ground="held_for_request", until=until)
            )
    return summary
