"""Billing's SQL for what may not be done with somebody's records: restrictions, objections, holds."""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from habeas.participant.postgres import Connection

EVERY_PURPOSE = "*"
"""What a restriction is for: whatever the data is used for (GDPR Art. 18(2))."""


class Lifted(NamedTuple):
    account_id: str
    category: str
    kind: str


async def enter(db: Connection) -> None:
    """Waits for a retention run, and has the next one wait until this transaction's limits and holds are seen."""
    await db.execute("lock table limits, holds in row exclusive mode")


async def limit(
    db: Connection, request_id: UUID, kind: str, account_ids: Collection[str], what: Sequence[tuple[str, str]]
) -> None:
    """`what` is categories with a purpose. Covers records that come later, too."""
    await db.execute(
        """insert into limits (account_id, category, purpose, kind, request_id)
           select account_id, category, purpose, $4, $5
           from unnest($1::text[]) account_id cross join unnest($2::text[], $3::text[]) w (category, purpose)
           on conflict do nothing""",
        list(account_ids),
        [category for category, _ in what],
        [purpose for _, purpose in what],
        kind,
        request_id,
    )


async def lift(db: Connection, request_id: UUID, what: Sequence[tuple[str, str]]) -> list[Lifted]:
    """Ends this request's restrictions and objections: another request's stand, and a consent that was withdrawn is
    not given again by anybody but the person. Returns what no limit of the kind covers any more.

    Found by the request, not by the person: a rectified address must not keep a restriction from ending.
    """
    rows = await db.fetch(
        """with lifted as (
               delete from limits l using unnest($2::text[], $3::text[]) w (category, purpose)
               where l.request_id = $1 and l.category = w.category and l.purpose = w.purpose
                 and l.kind <> 'withdrawn'
               returning l.account_id, l.category, l.purpose, l.kind
           )
           select distinct account_id, category, kind from lifted
           where not exists (
               select from limits other
               where other.request_id <> $1 and (other.account_id, other.category, other.purpose, other.kind)
                     = (lifted.account_id, lifted.category, lifted.purpose, lifted.kind)
           )
           order by account_id, category, kind""",
        request_id,
        [category for category, _ in what],
        [purpose for _, purpose in what],
    )
    return [Lifted(*row) for row in rows]


async def why_not(db: Connection, account_id: str, categories: Sequence[str], purpose: str) -> str | None:
    """What forbids the use of these categories for `purpose`: restricted, objected or withdrawn; None if nothing."""
    kind: str | None = await db.fetchval(
        """select kind from limits
           where account_id = $1 and category = any($2) and purpose in ('*', $3)
           order by array_position(array['restricted', 'objected', 'withdrawn'], kind) limit 1""",
        account_id,
        categories,
        purpose,
    )
    return kind


async def hold(
    db: Connection, request_id: UUID, account_ids: Collection[str], categories: Sequence[str], until: dt.date
) -> None:
    await db.execute(
        """insert into holds (account_id, category, request_id, until)
           select account_id, category, $3, $4 from unnest($1::text[]) account_id cross join unnest($2::text[]) category
           on conflict (account_id, category, request_id) do update set until = excluded.until""",
        list(account_ids),
        categories,
        request_id,
        until,
    )


async def end_hold(db: Connection, request_id: UUID) -> None:
    await db.execute("delete from holds where request_id = $1", request_id)


async def forget(db: Connection, account_ids: Collection[str] | None = None) -> None:
    """Drops limits and holds on what is not there any more, of these accounts or of all.

    An account's, and its invoices', end apart.
    """
    for table in ("limits", "holds"):
        await db.execute(
            f"""delete from {table} l
                where ($1::text[] is null or account_id = any($1))
                  and not exists (select from accounts where account_id = l.account_id)
                  and (category = 'account' or not exists (select from invoices where account_id = l.account_id))""",  # noqa: S608
            account_ids if account_ids is None else list(account_ids),
        )
