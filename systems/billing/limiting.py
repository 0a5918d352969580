"""Restriction, objection, withdrawn consent and holds: what stays, and what may not be done with it."""

import datetime as dt
from collections.abc import Iterable

from habeas.participant import Answer, Did, NeedsInput, ScopeItem, Task
from habeas.participant.postgres import Connection
from systems.billing import limits, people, recipients


async def restrict(task: Task, db: Connection) -> Answer:
    """GDPR Art. 18: kept, used for nothing. Who holds a copy is told (Art. 19)."""
    found = await people.find(task, db)
    scope = people.categories(task)
    what = [(category, limits.EVERY_PURPOSE) for category in scope]
    await limits.limit(db, task.request_id, "restricted", found.account_ids, what)
    summary = []
    for category in scope:
        summary += people.item(category, Did.RESTRICTED, len(found.rows(category)))
        told = await recipients.write_down(db, task.request_id, "restricted", category, found.holders(category))
        summary += people.item(category, Did.RECIPIENTS_NOTIFIED, told)
    return Answer(summary=summary, identities=people.identities(found))


async def unrestrict(task: Task, db: Connection) -> Answer:
    """Ends what this request restricted or objected to. What an erasure left of invoices stays as it left it."""
    found = await people.find(task, db)
    purposes = [(item.category, each) for item in task.scope for each in (limits.EVERY_PURPOSE, *_purposes(item))]
    lifted = await limits.lift(db, task.request_id, purposes)
    concerned = await found.and_of({each.account_id for each in lifted}, db)
    summary = []
    for category in people.categories(task):
        free = {each.account_id for each in lifted if each.category == category}
        rows = [row for row in concerned.rows(category) if row["account_id"] in free and not row.get("restricted")]
        summary += people.item(category, Did.UNRESTRICTED, len(rows))
        restored = {each.account_id for each in lifted if each.category == category and each.kind == "restricted"}
        holders = [row for row in concerned.holders(category) if row["account_id"] in restored]
        told = await recipients.write_down(db, task.request_id, "unrestricted", category, holders)
        summary += people.item(category, Did.RECIPIENTS_NOTIFIED, told)
    return Answer(summary=summary, identities=people.identities(concerned))


async def object_(task: Task, db: Connection) -> Answer:
    """GDPR Art. 21, and Art. 7(3) where a consent is withdrawn: these purposes are refused from now on.

    Raises `NeedsInput` (`purpose_unknown`) for a purpose that billing's code knows nothing of: to answer that it has
    stopped would be untrue.
    """
    scope = set(people.categories(task))
    items = [item for item in task.scope if item.category in scope]
    what = [(item.category, purpose) for item in items for purpose in _purposes(item)]
    if any(purpose not in people.PURPOSES[category] for category, purpose in what):
        raise NeedsInput("purpose_unknown")
    found = await people.find(task, db)
    kind = "withdrawn" if task.right == "consent_withdrawal" else "objected"
    await limits.limit(db, task.request_id, kind, found.account_ids, what)
    return Answer(
        summary=[
            entry
            for category in people.categories(task)
            for entry in people.item(category, Did.STOPPED, len(found.rows(category)))
        ],
        identities=people.identities(found),
    )


async def hold(task: Task, db: Connection) -> Answer:
    """No scheduled deletion until the task's due day, or until the request's next task."""
    found = await people.find(task, db)
    until = task.due_at.astimezone(dt.UTC).date()
    await limits.hold(db, task.request_id, found.account_ids, people.categories(task), until)
    return Answer(
        summary=[
            entry
            for category in people.categories(task)
            for entry in people.item(category, Did.RETAINED, len(found.rows(category)), "held_for_request", until)
        ],
        identities=people.identities(found),
    )


async def over(task: Task, db: Connection) -> None:
    """A hold that is cancelled."""
    await limits.end_hold(db, task.request_id)


def _purposes(item: ScopeItem) -> Iterable[str]:
    """All that billing has where the item names none."""
    return item.purposes or sorted(people.PURPOSES.get(item.category, ()))
