"""Rectification (GDPR Art. 16): the address of a marketing consent. Visits stay as they were observed."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from habeas.participant import Answer, Correction, Did, NeedsInput, Task
from systems.analytics import asked, recipients
from systems.analytics.store import Warehouse
from systems.corrections import EMAIL, corrected

_CATEGORY = "marketing_preference"


@dataclass(frozen=True, slots=True)
class Corrected:
    """Addresses by account, with the keyed hashes of what they were."""

    at: dt.datetime
    addresses: dict[str, str] = field(repr=False)
    former: dict[str, str] = field(repr=False)


async def rectify(task: Task, store: Warehouse) -> Answer:
    """All or nothing; a record counts where its address is right now. Raises `NeedsInput`."""
    who, wanted = asked.person(task), _wanted(task)

    def look() -> Corrected:
        held = store.marketing.consents(who)
        right = addresses(held, wanted)
        former = {row["account_id"]: store.hash.of(row["email"]) for row in held if row["account_id"] in right}
        return Corrected(dt.datetime.now(dt.UTC), right, former)

    found = await task.once("corrected", Corrected, lambda: asyncio.to_thread(look))
    return await asyncio.to_thread(_rectify, task, store, found)


def _rectify(task: Task, store: Warehouse, found: Corrected) -> Answer:
    store.limits.release(task.request_id)
    if not found.addresses:
        return Answer()
    for account, address in found.addresses.items():
        store.marketing.follow_address(found.former[account], store.hash.of(address))
    store.marketing.readdress(found.addresses)
    told = recipients.tell(store, task, _CATEGORY, [store.hash.of(account) for account in found.addresses], found.at)
    return Answer(
        summary=[
            *asked.item(_CATEGORY, Did.RECTIFIED, len(found.addresses)),
            *asked.item(_CATEGORY, Did.RECIPIENTS_NOTIFIED, told),
        ]
    )


def _wanted(task: Task) -> list[Correction]:
    wanted = [correction for correction in task.details.corrections if correction.category in asked.scope(task)]
    if not wanted:
        raise NeedsInput("corrections_missing")
    if any(correction.category != _CATEGORY for correction in wanted):
        raise NeedsInput("field_unknown")
    return wanted


def addresses(held: Sequence[dict[str, Any]], wanted: Sequence[Correction]) -> dict[str, str]:
    """The right address by account; none where none of the records is held. Raises `NeedsInput`."""
    ids = {f"consent-{row['account_id']}": row for row in held}
    known = [correction.record_id is None or correction.record_id in ids for correction in wanted]
    if not held or not any(known):
        return {}
    if not all(known):
        raise NeedsInput("record_unknown")
    right = {}
    for record_id, row in ids.items():
        mine = [correction for correction in wanted if correction.record_id in (None, record_id)]
        if mine and row["email"] is None:  # mere proof of a consent that has ended
            raise NeedsInput("field_unknown")
        if mine:
            right[row["account_id"]] = corrected(row, mine, {"email": EMAIL})["email"]
    return right
