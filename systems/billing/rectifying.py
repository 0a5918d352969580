"""Rectification (GDPR Art. 16): the account's fields are corrected, invoices stand as they were issued."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from habeas.participant import Answer, Correction, Did, NeedsInput, Task, TaskError, TaskOutcome
from habeas.participant.postgres import Connection
from systems.billing import people, recipients, store
from systems.corrections import COUNTRY, EMAIL, TEXT, Field, corrected

FIELDS: Final = {
    "name": TEXT,
    "email": EMAIL,
    "organisation": Field(may_be_empty=True),
    "street": TEXT,
    "postal_code": TEXT,
    "city": TEXT,
    "country": COUNTRY,
}


async def rectify(task: Task, db: Connection) -> Answer:
    """All or nothing; a record counts once for each of its fields that is right now.

    Corrections of invoices are answered with why not: tax law fixes a document once it is issued (section 146(4) AO),
    and the way to a right one is a new invoice that refers to it. Raises `NeedsInput` with what a person has to see to.
    """
    scope = people.categories(task)
    asked = [correction for correction in task.details.corrections if correction.category in scope]
    if not asked:
        raise NeedsInput("corrections_missing")
    found = await people.find(task, db)
    summary = []
    changes: dict[str, dict[str, str]] = {}
    for account, corrections in _by_account(found, [each for each in asked if each.category == "account"]):
        changes[account["account_id"]] = corrected(account, corrections, FIELDS)
    for account_id, values in changes.items():
        if "email" in values and await store.others_address(db, account_id, values["email"]):
            raise NeedsInput("value_taken")
        await store.update_account(db, account_id, values)
    summary += people.item("account", Did.RECTIFIED, sum(len(values) for values in changes.values()))
    shared = any(not recipients.SHARED_FIELDS.isdisjoint(values) for values in changes.values())
    told = await recipients.write_down(
        db,
        task.request_id,
        "rectified",
        "account",
        [row for row in found.accounts if row["account_id"] in changes],
        None if shared else [recipients.HOSTING],
    )
    summary += people.item("account", Did.RECIPIENTS_NOTIFIED, told)
    numbers = {each.record_id for each in asked if each.category == "invoices"}
    fixed = [row for row in found.invoices if numbers & {None, row["number"]}]
    summary += people.item("invoices", Did.WITHHELD, len(fixed), "accounting_records")
    return Answer(
        summary=summary,
        identities=people.identities(found),
        outcome=(TaskOutcome.PARTIAL if changes else TaskOutcome.REFUSED) if fixed else None,
        error=TaskError(code="accounting_records") if fixed and not changes else None,
    )


def _by_account(
    found: store.Found, corrections: Sequence[Correction]
) -> list[tuple[Mapping[str, Any], list[Correction]]]:
    accounts = {row["account_id"]: row for row in found.accounts}
    if not accounts:
        return []
    grouped: dict[str, list[Correction]] = {}
    for correction in corrections:
        if correction.record_id is None and len(accounts) > 1:
            raise NeedsInput("record_id_missing")
        account_id = correction.record_id or next(iter(accounts))
        if account_id not in accounts:
            raise NeedsInput("record_unknown")
        grouped.setdefault(account_id, []).append(correction)
    return [(accounts[account_id], each) for account_id, each in grouped.items()]
