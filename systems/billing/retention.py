"""Billing's scheduled deletion: what nobody needs any more goes by itself, unless somebody has it kept."""

from collections import Counter
from datetime import date

import asyncpg

from habeas.participant.postgres import Connection, DatabaseSettings
from habeas.settings import load
from systems.billing import limits, recipients, store

_KEPT = """(
    exists (select from holds h where h.account_id = t.account_id and h.category = $2 and h.until >= $1)
    or exists (select from limits l
               where l.account_id = t.account_id and l.category = $2 and l.kind = 'restricted')
)"""
"""Held for a request, or restricted: what is restricted is stored, and deleting is processing (GDPR Art. 18(2), 4(2)).
What an erasure left of an invoice is no such restriction: it goes when its period is over."""


async def run(today: date) -> Counter[str]:
    """Deletes what is due on `today` (UTC) and returns how many records by category. Reads HABEAS_DATABASE_URL.

    Invoices go when their accounting period is over; accounts when claims from the contract have lapsed. Outstanding
    notices to recipients are tried again, and their log is cut after as long as claims could arise from it.
    """
    connection = await asyncpg.connect(load(DatabaseSettings).database_url.get_secret_value())
    try:
        async with connection.transaction():
            deleted = await _delete(connection, today)
        if deleted:
            await store.scrub(connection)
        await recipients.tell(connection)
    finally:
        await connection.close()
    return deleted


async def _delete(db: Connection, today: date) -> Counter[str]:
    await db.execute("lock table limits, holds in share mode")  # no limit and no hold comes in between
    invoices = await db.fetch(
        f"delete from invoices t where issued_on <= $3 and not {_KEPT} returning number",  # noqa: S608
        today,
        "invoices",
        store.invoices_due(today),
    )
    accounts = await db.fetch(
        f"delete from accounts t where contract_until <= $3 and not {_KEPT} returning account_id",  # noqa: S608
        today,
        "account",
        store.accounts_due(today),
    )
    await db.execute("delete from holds where until < $1", today)
    await limits.forget(db)
    await db.execute(
        "delete from notices where told_at is not null and (made_at at time zone 'utc')::date <= $1",
        store.accounts_due(today),
    )
    return Counter({"invoices": len(invoices), "account": len(accounts)}) + Counter()
