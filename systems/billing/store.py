"""Billing's SQL."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from habeas.participant.postgres import Connection
from systems import sample

_SCHEMA = Path(__file__).with_name("schema.sql").read_text()
_BOOKING_YEARS = 8
_LIMITATION_YEARS = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A person's rows."""

    accounts: list[dict[str, Any]] = field(repr=False)
    invoices: list[dict[str, Any]] = field(repr=False)

    def __bool__(self) -> bool:
        return bool(self.accounts or self.invoices)

    @property
    def account_ids(self) -> list[str]:
        """Sorted; also those of which invoices alone are left."""
        return sorted({row["account_id"] for row in (*self.accounts, *self.invoices)})

    def rows(self, category: str) -> list[dict[str, Any]]:
        return self.accounts if category == "account" else self.invoices

    def holders(self, category: str) -> list[dict[str, Any]]:
        """The accounts with records of a category."""
        having = {row["account_id"] for row in self.rows(category)}
        return [row for row in self.accounts if row["account_id"] in having]

    async def and_of(self, account_ids: Collection[str], db: Connection) -> "Found":
        """These rows and those of further accounts."""
        return await find(db, [], [], [*self.account_ids, *account_ids])


async def prepare(db: Connection) -> None:
    """Tables at each start; the sample people at the very first, and never again."""
    await db.execute(_SCHEMA)
    async with db.transaction():
        if not await db.fetchval("select exists (select from seeded)"):
            await _seed(db)
            await db.execute("insert into seeded default values")


async def find(db: Connection, emails: Sequence[str], email_hashes: Sequence[str], account_ids: Sequence[str]) -> Found:
    """Everything by any of these. Accounts are locked until the transaction ends."""
    accounts = await db.fetch(
        "select * from accounts where lower(email) = any($1) or account_id = any($2) order by account_id for update",
        [email.strip().lower() for email in emails],
        account_ids,
    )
    invoices = await db.fetch(
        """select * from invoices
           where account_id = any($1) or lower(email) = any($2) or email_hash = any($3) order by number""",
        [*account_ids, *(row["account_id"] for row in accounts)],
        [email.strip().lower() for email in emails],
        email_hashes,
    )
    return Found([dict(row) for row in accounts], [dict(row) for row in invoices])


async def delete_accounts(db: Connection, account_ids: Sequence[str]) -> None:
    await db.execute("delete from accounts where account_id = any($1)", account_ids)


async def delete_invoices(db: Connection, numbers: Sequence[str]) -> None:
    await db.execute("delete from invoices where number = any($1)", numbers)


async def others_address(db: Connection, account_id: str, email: str) -> bool:
    """Whether another account has that e-mail address."""
    found: bool = await db.fetchval(
        "select exists (select from accounts where lower(email) = lower($2) and account_id <> $1)", account_id, email
    )
    return found


async def update_account(db: Connection, account_id: str, values: Mapping[str, str]) -> None:
    """`values` is column to value."""
    columns = ", ".join(f"{column} = ${place}" for place, column in enumerate(values, 2))
    await db.execute(f"update accounts set {columns} where account_id = $1", account_id, *values.values())  # noqa: S608


async def restrict_invoices(db: Connection, hashes: dict[str, str]) -> None:
    """Mandatory fields only from now on; `hashes` is invoice number to keyed hash of the address it went to."""
    await db.execute(
        """update invoices set restricted = true, email = null, note = null, email_hash = h.email_hash
           from unnest($1::text[], $2::text[]) as h (number, email_hash) where invoices.number = h.number""",
        list(hashes),
        list(hashes.values()),
    )


async def scrub(db: Connection) -> None:
    """Takes deleted rows out of the tables' files.

    PostgreSQL leaves deleted and overwritten rows in their pages, and a plain VACUUM frees their place without wiping
    it: only a rewrite (VACUUM FULL) has them gone, and ANALYZE has the planner's statistics forget sampled values. It
    locks the tables for its duration: milliseconds here; with millions of rows, pg_repack at night does the same.
    What it does not reach: rows that a transaction begun earlier may still see stay until the next erasure; the
    write-ahead log holds the old rows until its segments are recycled (after the next checkpoints), archived segments
    and backups until they are dropped in their turn.
    """
    for table in ("accounts", "invoices", "limits", "holds", "notices"):
        await db.execute(f"vacuum (full, analyze) {table}")


def keep_until(issued_on: dt.date) -> dt.date:
    """The last day of the eighth year after the year of the invoice.

    Section 147(3) with (1) no. 4a AO and section 14b(1) UStG as of 1 January 2025 (BEG IV): eight years for booking
    vouchers and invoices, from the end of the calendar year.
    """
    return dt.date(issued_on.year + _BOOKING_YEARS, 12, 31)


def invoices_due(today: dt.date) -> dt.date:
    """The last day of issue whose accounting period is over on `today`."""
    return dt.date(today.year - _BOOKING_YEARS - 1, 12, 31)


def accounts_due(today: dt.date) -> dt.date:
    """The last end of a contract from which no claim can be brought any more on `today`.

    Sections 195 and 199(1) BGB: three years from the end of the year in which the claim arose.
    """
    return dt.date(today.year - _LIMITATION_YEARS - 1, 12, 31)


async def _seed(db: Connection) -> None:
    people = sample.people()
    await db.copy_records_to_table(
        "accounts",
        records=[
            (
                someone.account_id,
                someone.name,
                someone.email,
                someone.organisation,
                someone.address.street,
                someone.address.postal_code,
                someone.address.city,
                someone.address.country,
                someone.plan,
                someone.payment_customer_id,
                someone.opened_on,
                someone.contract_until,
            )
            for someone in people
        ],
    )
    await db.copy_records_to_table(
        "invoices",
        records=[
            (
                invoice.number,
                someone.account_id,
                invoice.issued_on,
                someone.name,
                someone.organisation,
                someone.address.street,
                someone.address.postal_code,
                someone.address.city,
                someone.address.country,
                invoice.description,
                invoice.net_cents,
                invoice.vat_cents,
                someone.email,
                invoice.note,
                None,
                False,
            )
            for someone in people
            for invoice in someone.invoices
        ],
    )
