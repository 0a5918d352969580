"""Billing as a participant: what it tells, what it deletes, what tax law has it keep."""

import datetime as dt
from typing import Any

from habeas.participant import Answer, Did, Origin, Participant, Record, Task, TaskOutcome
from habeas.participant.postgres import Connection, Postgres
from systems.billing import limiting, limits, people, recipients, rectifying, store

billing = Participant("billing", Postgres(prepare=store.prepare))
billing.action("rectify")(rectifying.rectify)
billing.action("restrict")(limiting.restrict)
billing.action("unrestrict")(limiting.unrestrict)
billing.action("object")(limiting.object_)
billing.action("hold")(limiting.hold)
billing.cancelled("hold")(limiting.over)

LABELS = {
    "account.email": "E-mail address",
    "account.opened_on": "Customer since",
    "account.contract_until": "Contract until",
    "invoices.number": "Invoice number",
    "invoices.issued_on": "Date",
    "invoices.net_cents": "Net amount in cents",
    "invoices.vat_cents": "VAT in cents",
}


@billing.action("locate")
async def locate(task: Task, db: Connection) -> Answer:
    """Identifiers alone."""
    found = await people.find(task, db)
    return Answer(identities=people.identities(found))


@billing.action("access")
async def access(task: Task, db: Connection) -> Answer:
    found = await people.find(task, db)
    scope = people.categories(task)
    records = []
    if "account" in scope:
        records += [_record("account", row["account_id"], Origin.PROVIDED, row) for row in found.accounts]
    if "invoices" in scope:
        records += [
            _record("invoices", row["number"], Origin.DERIVED, row)
            for row in found.invoices
            if _inside(row["issued_on"], task)
        ]
    return Answer(records=records, identities=people.identities(found), labels=LABELS)


@billing.action("export")
async def export(task: Task, db: Connection) -> Answer:
    """What the person provided (GDPR Art. 20(1)): the account. Invoices are billing's own work."""
    told = await access(task, db)
    provided = [record for record in told.records if record.origin in (Origin.PROVIDED, Origin.OBSERVED)]
    return Answer(records=provided, identities=told.identities, labels=LABELS)


@billing.action("erase")
async def erase(task: Task, db: Connection) -> Answer:
    """The account goes once no contract runs. Invoices stay as long as tax law says, with what it says, restricted."""
    found = await people.find(task, db)
    scope = people.categories(task)
    today = dt.datetime.now(dt.UTC).date()
    running = {row["account_id"] for row in found.accounts if people.runs(row, today)}
    summary = []
    if "account" in scope:
        ended = [row for row in found.accounts if row["account_id"] not in running]
        await store.delete_accounts(db, [row["account_id"] for row in ended])
        told = await recipients.write_down(db, task.request_id, "erased", "account", ended)
        summary += people.item("account", Did.DELETED, len(ended))
        summary += people.item("account", Did.RETAINED, len(running), ground="still_necessary")
        summary += people.item("account", Did.RECIPIENTS_NOTIFIED, told)
    if "invoices" in scope:
        expired = [row for row in found.invoices if store.keep_until(row["issued_on"]) < today]
        kept = [row for row in found.invoices if row not in expired]
        await store.delete_invoices(db, [row["number"] for row in expired])
        await store.restrict_invoices(
            db,
            {
                row["number"]: people.keyed_hash().of(row["email"])
                for row in kept
                if row["email"] is not None and row["account_id"] not in running
            },
        )
        gone = {row["account_id"] for row in expired}
        holders = [row for row in found.accounts if row["account_id"] in gone]
        told = await recipients.write_down(db, task.request_id, "erased", "invoices", holders)
        summary += people.item("invoices", Did.DELETED, len(expired))
        summary += people.kept_invoices(kept)
        summary += people.item("invoices", Did.RECIPIENTS_NOTIFIED, told)
    await limits.forget(db, found.account_ids)
    return Answer(
        summary=summary,
        identities=people.identities(found),
        outcome=TaskOutcome.PARTIAL if running and "account" in scope else None,
    )


@billing.after("erase")
@billing.after("rectify")
@billing.after("restrict")
@billing.after("unrestrict")
async def tell_recipients(db: Connection) -> None:
    await recipients.tell(db)


@billing.after("erase")
@billing.after("rectify")
async def scrub(db: Connection) -> None:
    await store.scrub(db)


def main() -> None:
    billing.run()


def _inside(day: dt.date, task: Task) -> bool:
    """Whether a document of that day belongs to the task's period: a day begins at midnight, UTC."""
    if task.period is None:
        return True
    begins = dt.datetime.combine(day, dt.time(), dt.UTC)
    start, end = task.period.start, task.period.end
    return (start is None or begins >= start) and (end is None or begins < end)


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
