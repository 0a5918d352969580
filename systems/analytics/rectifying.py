"""Rectification (GDPR Art. 16): the address of a marketing consent. Visits stay as they were observed."""

import asyncio
import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from habeas.contracts.submission import Correction
from habeas.contracts.vocabulary import CorrectionOp
from habeas.participant import Answer, Did, NeedsInput, Task
from systems.analytics import asked, recipients
from systems.analytics.store import Warehouse

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
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
        addresses = corrected(held, wanted)
        former = {row["account_id"]: store.hash.of(row["email"]) for row in held if row["account_id"] in addresses}
        return Corrected(dt.datetime.now(dt.UTC), addresses, former)

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
    for correction in wanted:
        if correction.op not in set(CorrectionOp):
            raise NeedsInput("op_unknown")
        # A consent without an address is one that has ended: an address can be replaced, and not removed.
        if (correction.category, correction.field) != (_CATEGORY, "email") or correction.op == CorrectionOp.REMOVE:
            raise NeedsInput("field_unknown")
        if not (correction.value or "").strip():
            raise NeedsInput("value_missing")
        if not _ADDRESS.fullmatch((correction.value or "").strip()):
            raise NeedsInput("value_invalid")
    return wanted


def corrected(held: Sequence[dict[str, Any]], wanted: Sequence[Correction]) -> dict[str, str]:
    """The right address by account; none where none of the records is held. Raises `NeedsInput`."""
    addresses: dict[str, str] = {}
    found = []
    for correction in wanted:
        value = (correction.value or "").strip()
        meant = [row for row in held if correction.record_id in (None, f"consent-{row['account_id']}")]
        found.append(bool(meant))
        for row in meant:
            if row["email"] is None:  # mere proof of a consent that has ended
                raise NeedsInput("field_unknown")
            address = addresses.get(row["account_id"], row["email"])
            if _plain(address) != _plain(value):
                if correction.op == CorrectionOp.COMPLETE:
                    raise NeedsInput("already_filled")
                if correction.old is not None and _plain(address) != _plain(correction.old):
                    raise NeedsInput("old_value_differs")
            addresses[row["account_id"]] = value
    if any(found) and not all(found):
        raise NeedsInput("record_unknown")
    return addresses


def _plain(address: str) -> str:
    return address.strip().casefold()
