"""Restriction, objection, withdrawn consent and holds, kept at the processor: it is there that charges are made."""

import datetime as dt
from collections.abc import Iterable, Sequence
from hashlib import sha256

from habeas.participant import Answer, Did, NeedsInput, ScopeItem, Task
from systems.payments.client import Processor
from systems.payments.held import PURPOSES, Held, Limit, categories, item, remembered

_EVERY_PURPOSE = "*"


async def restrict(task: Task, api: Processor) -> Answer:
    """GDPR Art. 18: kept, used for nothing."""
    found = await remembered(task, api)
    await _add(task, api, found, "restricted", [(category, _EVERY_PURPOSE) for category in categories(task)])
    return _counted(task, found, Did.RESTRICTED)


async def object_(task: Task, api: Processor) -> Answer:
    """GDPR Art. 21, and Art. 7(3) where a consent is withdrawn: these purposes are refused from now on.

    Raises `NeedsInput` (`purpose_unknown`) for a purpose that nothing here serves: to answer that it has stopped would
    be untrue.
    """
    scope = set(categories(task))
    what = [(each.category, purpose) for each in task.scope if each.category in scope for purpose in _purposes(each)]
    if any(purpose not in PURPOSES[category] for category, purpose in what):
        raise NeedsInput("purpose_unknown")
    found = await remembered(task, api)
    await _add(task, api, found, "withdrawn" if task.right == "consent_withdrawal" else "objected", what)
    return _counted(task, found, Did.STOPPED)


async def unrestrict(task: Task, api: Processor) -> Answer:
    """Ends what this request restricted or objected to: another's limits stand, and so does a withdrawn consent."""
    found = await remembered(task, api)
    asked = {(each.category, purpose) for each in task.scope for purpose in (_EVERY_PURPOSE, *_purposes(each))}
    counts = dict.fromkeys(categories(task), 0)
    for held in found:
        mine = [limit for limit in held.limits if limit.request == str(task.request_id)]
        lifted = [limit for limit in mine if (limit.category, limit.purpose) in asked and limit.kind != "withdrawn"]
        if not lifted:
            continue
        await _put(task, api, held.customer_id, [limit for limit in mine if limit not in lifted])
        others = [limit for limit in held.limits if limit.request != str(task.request_id)]
        free = {limit.category for limit in lifted if not any(limit.like(other) for other in others)}
        for category in free & counts.keys():
            counts[category] += held.count(category)
    await release(task, api, [held.customer_id for held in found])
    return Answer(
        summary=[entry for category, count in counts.items() for entry in item(category, Did.UNRESTRICTED, count)]
    )


async def hold(task: Task, api: Processor) -> Answer:
    """No scheduled deletion until the task's due day, or until the request's next task."""
    found = await remembered(task, api)
    for held in found:
        await _hold(task, api, held.customer_id, categories(task))
    return Answer(
        summary=[
            entry
            for category in categories(task)
            for entry in item(
                category, Did.RETAINED, sum(held.count(category) for held in found), "held_for_request", _until(task)
            )
        ]
    )


async def over(task: Task, api: Processor) -> None:
    """A hold that is cancelled."""
    await release(task, api, dict.fromkeys(task.identity("payment_customer_id")))


async def release(task: Task, api: Processor, customer_ids: Iterable[str]) -> None:
    """Ends the request's hold, as its next task does."""
    for customer_id in customer_ids:
        await _hold(task, api, customer_id, [])


async def _add(task: Task, api: Processor, found: Iterable[Held], kind: str, what: Sequence[tuple[str, str]]) -> None:
    request = str(task.request_id)
    for held in found:
        mine = {limit for limit in held.limits if limit.request == request}
        mine |= {Limit(request=request, category=each, purpose=purpose, kind=kind) for each, purpose in what}
        await _put(task, api, held.customer_id, mine)
    await release(task, api, [held.customer_id for held in found])


async def _put(task: Task, api: Processor, customer_id: str, limits: Iterable[Limit]) -> None:
    ordered = sorted(
        (limit.model_dump(exclude={"request"}) for limit in limits), key=lambda limit: tuple(limit.values())
    )
    await api.limit(customer_id, str(task.request_id), ordered, _key(task, customer_id, ordered))


async def _hold(task: Task, api: Processor, customer_id: str, held: Sequence[str]) -> None:
    until = _until(task)
    await api.hold(customer_id, str(task.request_id), held, until, _key(task, customer_id, [*held, until]))


def _until(task: Task) -> dt.date:
    return task.due_at.astimezone(dt.UTC).date()


def _key(task: Task, customer_id: str, content: object) -> str:
    """One for each thing to be said: a reminder may move the day, and a key stands for one body."""
    return f"{task.id}/{customer_id}/{sha256(repr(content).encode()).hexdigest()[:16]}"


def _counted(task: Task, found: Sequence[Held], did: Did) -> Answer:
    return Answer(
        summary=[
            entry
            for category in categories(task)
            for entry in item(category, did, sum(held.count(category) for held in found))
        ]
    )


def _purposes(item: ScopeItem) -> Iterable[str]:
    """All that payments has where the item names none."""
    return item.purposes or sorted(PURPOSES.get(item.category, ()))
