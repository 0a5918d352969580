"""The invoice run: what billing itself does with accounts, and where it stops."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import asyncpg

from habeas.participant.postgres import Connection, DatabaseSettings
from habeas.settings import load
from systems.billing import limits
from systems.use import Use

_WHAT = "invoice"
_PURPOSE = "billing"


async def use(identifier: str) -> Use:
    """This year's invoice for the account of that id. Reads HABEAS_DATABASE_URL."""
    connection = await asyncpg.connect(load(DatabaseSettings).database_url.get_secret_value())
    try:
        done = await invoice_run(connection, datetime.now(UTC).date(), [identifier])
    finally:
        await connection.close()
    return done.get(identifier) or _refused("not_held")


async def invoice_run(db: Connection, today: date, account_ids: Sequence[str] | None = None) -> dict[str, Use]:
    """One invoice a year for each running contract, by account id; for all accounts, or for these.

    A limit on the account or on its invoices stops it (GDPR Art. 18, 21, 7(3)). An invoice that stands already is done.
    """
    async with db.transaction():
        # Locked as the tasks lock them: a restriction comes before this or after it, not in between.
        accounts = await db.fetch(
            "select * from accounts where $1::text[] is null or account_id = any($1) order by account_id for update",
            account_ids,
        )
        return {row["account_id"]: await _invoice(db, row, today) for row in accounts}


async def _invoice(db: Connection, account: asyncpg.Record, today: date) -> Use:
    if account["contract_until"] is not None and account["contract_until"] < today:
        return _refused("contract_ended")
    why = await limits.why_not(db, account["account_id"], ["account", "invoices"], _PURPOSE)
    if why is not None:
        return _refused(why)
    numbered = await db.fetchrow(
        """insert into invoices (number, account_id, issued_on, name, organisation, street, postal_code, city, country,
                                 description, net_cents, vat_cents, email)
           select 'R' || $2::int || '-' || split_part(last.number, '-', 2), a.account_id, $3, a.name, a.organisation,
                  a.street, a.postal_code, a.city, a.country, last.description, last.net_cents, last.vat_cents, a.email
           from accounts a
           join lateral (select * from invoices where account_id = a.account_id order by issued_on desc limit 1) last
             on true
           where a.account_id = $1
           on conflict (number) do update set number = excluded.number returning number""",
        account["account_id"],
        today.year,
        today,
    )
    return Use(_WHAT, True, _PURPOSE) if numbered is not None else _refused("nothing_to_bill")


def _refused(why: str) -> Use:
    return Use(_WHAT, False, _PURPOSE, why)
