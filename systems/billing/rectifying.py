"""Rectification (GDPR Art. 16): the account's fields are corrected, invoices stand as they were issued."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import asyncpg

from habeas.participant import Answer, Did, NeedsInput, Task, TaskError, TaskOutcome
from habeas.participant.postgres import Connection
from systems.billing import people, recipients, store

FIELDS: Final = ("name", "email", "organisation", "street", "postal_code", "city", "country")
_MAY_BE_EMPTY: Final = frozenset({"organisation"})
_FORMS: Final = {
    "email": re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}"),
    "country": re.compile(r"[A-Z]{2}"),
}


class Correction(Protocol):
    """The part of the contract's correction that concerns one record."""

    @property
    def field(self) -> str: ...
    @property
    def old(self) -> str | None: ...
    @property
    def value(self) -> str | None: ...
    @property
    def op(self) -> str: ...


async def rectify(task: Task, db: Connection) -> Answer:
    """All or nothing; a record counts once for each of its fields that is right now. Corrections of invoices are answered with why not: tax law fixes a document once it is issued
    (section 146(4) AO), and the way to a right one is a new invoice that refers to it.

    Raises `NeedsInput` with what a person has to look at.
    """
    scope = people.categories(task)
    asked = [correction for correction in task.details.corrections if correction.category in scope]
    if not asked:
        raise NeedsInput("corrections_missing")
    found = await people.find(task, db)
    summary = []
    changes: dict[str, dict[str, str]] = {}
    for account, corrections in _by_account(found, [each for each in asked if each.category == "account"]):
        changes[account["account_id"]] = corrected(account, corrections)
    for account_id, values in changes.items():
        try:
            await store.update_account(db, account_id, values)
        except asyncpg.UniqueViolationError:
            raise NeedsInput("value_taken") from None
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


def corrected(account: Mapping[str, Any], corrections: Sequence[Correction]) -> dict[str, str]:
    """The account's new values. Raises `NeedsInput`."""
    values: dict[str, str] = {}
    for correction in corrections:
        if correction.field not in FIELDS:
            raise NeedsInput("field_unknown")
        held = values.get(correction.field, account[correction.field])
        value = _wanted(correction, held)
        if _plain(correction.field, value) != _plain(correction.field, held):
            if correction.old is not None and _plain(correction.field, correction.old) != _plain(
                correction.field, held
            ):
                raise NeedsInput("old_value_differs")
            if correction.op == "complete" and held:
                raise NeedsInput("already_filled")
        values[correction.field] = value
    return values


def _wanted(correction: Correction, held: str) -> str:
    match correction.op:
        case "set" | "complete":
            value = (correction.value or "").strip()
            form = _FORMS.get(correction.field)
            if not value:
                raise NeedsInput("value_missing")
            if form is not None and not form.fullmatch(value):
                raise NeedsInput("value_invalid")
            return value
        case "remove":
            if held and correction.field not in _MAY_BE_EMPTY:
                raise NeedsInput("field_unknown")
            return ""
        case _:
            raise NeedsInput("op_unknown")


def _plain(field: str, value: str) -> str:
    """As values are compared: nobody's address depends on capitals."""
    return value.strip().casefold() if field == "email" else value.strip()


def _by_account(found: store.Found, corrections: Sequence[Any]) -> list[tuple[Mapping[str, Any], list[Any]]]:
    accounts = {row["account_id"]: row for row in found.accounts}
    if not accounts:
        return []
    grouped: dict[str, list[Any]] = {}
    for correction in corrections:
        if correction.record_id is None and len(accounts) > 1:
            raise NeedsInput("record_id_missing")
        account_id = correction.record_id or next(iter(accounts))
        if account_id not in accounts:
            raise NeedsInput("record_unknown")
        grouped.setdefault(account_id, []).append(correction)
    return [(accounts[account_id], each) for account_id, each in grouped.items()]
