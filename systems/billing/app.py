"""Billing as a participant: what it tells, what it deletes, what tax law has it keep."""

import datetime as dt
from typing import Any

from habeas.participant import (
    Answer,
    Did,
    Identity,
    Origin,
    Participant,
    Record,
    SummaryItem,
    Task,
    TaskOutcome,
    data_folder,
    identity,
)
from habeas.participant.postgres import Connection, Postgres
from systems.billing import store
from systems.keyed_hash import KeyedHash

billing = Participant("billing", Postgres(prepare=store.prepare))

LABELS = {
    "account.email": "E-mail address",
    "account.opened_on": "Customer since",
    "account.contract_until": "Contract until",
    "invoices.number": "Invoice number",
    "invoices.issued_on": "Date",
    "invoices.net_cents": "Net amount in cents",
    "invoices.vat_cents": "VAT in cents",
}


@billing.action("access")
@billing.action("export")
async def access(task: Task, db: Connection) -> Answer:
    found = await _find(task, db)
    return Answer(
        records=[
            *(_record("account", row["account_id"], Origin.PROVIDED, row) for row in found.accounts),
            *(_record("invoices", row["number"], Origin.DERIVED, row) for row in found.invoices),
        ],
        identities=_identities(found),
        labels=LABELS,
    )


@billing.action("erase")
async def erase(task: Task, db: Connection) -> Answer:
    """The account goes once no contract runs. Invoices stay as long as tax law says, with what it says, restricted."""
    found = await _find(task, db)
    today = dt.datetime.now(dt.UTC).date()
    running = {row["account_id"] for row in found.accounts if _runs(row, today)}
    ended = [row["account_id"] for row in found.accounts if row["account_id"] not in running]
    expired = [row["number"] for row in found.invoices if store.keep_until(row["issued_on"]) < today]
    kept = [row for row in found.invoices if row["number"] not in expired]

    await store.delete_accounts(db, ended)
    await store.delete_invoices(db, expired)
    await store.restrict_invoices(
        db,
        {
            row["number"]: _hash().of(row["email"])
            for row in kept
            if not row["restricted"] and row["account_id"] not in running
        },
    )
    summary = [
        *_item("account", Did.DELETED, len(ended)),
        *_item("account", Did.RETAINED, len(running), ground="still_necessary"),
        *_item("invoices", Did.DELETED, len(expired)),
    ]
    for until in sorted({store.keep_until(row["issued_on"]) for row in kept}):
        count = sum(store.keep_until(row["issued_on"]) == until for row in kept)
        summary += _item("invoices", Did.RETAINED, count, ground="accounting_records", until=until)
    return Answer(
        summary=summary,
        identities=_identities(found),
        outcome=TaskOutcome.PARTIAL if running else None,
    )


@billing.after("erase")
async def scrub(db: Connection) -> None:
    await store.scrub(db)


def main() -> None:
    billing.run()


def _hash() -> KeyedHash:
    return KeyedHash(data_folder())


async def _find(task: Task, db: Connection) -> store.Found:
    emails = task.identity("email")
    return await store.find(
        db,
        emails=emails,
        email_hashes=[_hash().of(email) for email in emails],
        account_ids=task.identity("account_id", "controller_customer_id"),
    )


def _runs(account: dict[str, Any], today: dt.date) -> bool:
    return account["contract_until"] is None or account["contract_until"] >= today


def _record(category: str, key: str, origin: Origin, row: dict[str, Any]) -> Record:
    return Record(
        id=key,
        category=category,
        origin=origin,
        data={
            name: value.isoformat() if isinstance(value, dt.date) else value
            for name, value in row.items()
            if value is not None and name != "email_hash"
        },
    )


def _identities(found: store.Found) -> list[Identity]:
    accounts = sorted({row["account_id"] for row in (*found.accounts, *found.invoices)})
    customers = [row["payment_customer_id"] for row in found.accounts]
    return [
        *(identity("account_id", value) for value in accounts),
        *(identity("payment_customer_id", value) for value in customers),
    ]


def _item(
    category: str, did: Did, count: int, ground: str | None = None, until: dt.date | None = None
) -> list[SummaryItem]:
    return [SummaryItem(category=category, did=did, count=count, ground=ground, until=until)] if count else []
