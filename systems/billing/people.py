"""A task's person in billing's tables: what is found, what it counts, by which identifiers others know them."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from habeas.participant import Action, Did, Identity, SummaryItem, Task, data_folder, identity
from habeas.participant.postgres import Connection
from systems.billing import limits, store
from systems.keyed_hash import KeyedHash

PURPOSES: Mapping[str, frozenset[str]] = {
    "account": frozenset({"providing_the_service", "billing", "account_messages"}),
    "invoices": frozenset({"billing", "legal_compliance"}),
}
"""What billing uses its categories for."""

_KEEPS_A_HOLD = frozenset({Action.HOLD, Action.LOCATE})


async def find(task: Task, db: Connection) -> store.Found:
    """The person's rows, locked. Any task but a further hold or a search ends the hold of its request."""
    await limits.enter(db)
    if task.action not in _KEEPS_A_HOLD:
        await limits.end_hold(db, task.request_id)
    emails = task.identity("email")
    return await store.find(
        db,
        emails=emails,
        email_hashes=[keyed_hash().of(email) for email in emails],
        account_ids=task.identity("account_id", "controller_customer_id"),
    )


def categories(task: Task) -> list[str]:
    """What the task is about, as far as billing knows of it; in billing's own order."""
    asked = {item.category for item in task.scope}
    return [category for category in PURPOSES if category in asked]


def keyed_hash() -> KeyedHash:
    return KeyedHash(data_folder())


def identities(found: store.Found) -> list[Identity]:
    customers = [row["payment_customer_id"] for row in found.accounts]
    return [
        *(identity("account_id", value) for value in found.account_ids),
        *(identity("payment_customer_id", value) for value in customers),
    ]


def runs(account: Mapping[str, Any], today: dt.date) -> bool:
    """Whether the contract does."""
    return account["contract_until"] is None or account["contract_until"] >= today


def item(
    category: str, did: Did, count: int, ground: str | None = None, until: dt.date | None = None
) -> list[SummaryItem]:
    return [SummaryItem(category=category, did=did, count=count, ground=ground, until=until)] if count else []


def kept_invoices(invoices: Iterable[Mapping[str, Any]]) -> list[SummaryItem]:
    """Those that tax law has billing keep, by the day until which."""
    counts = Counter(store.keep_until(row["issued_on"]) for row in invoices)
    return [
        entry
        for until, count in sorted(counts.items())
        for entry in item("invoices", Did.RETAINED, count, "accounting_records", until)
    ]
