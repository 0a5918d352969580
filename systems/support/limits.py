"""What people have asked for and the team's own code has to heed: restrictions, objections, holds.

A limit belongs to the request that set it: lifting one request's leaves another's in force.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterable
from enum import StrEnum
from uuid import UUID

from systems.support.store import normal

PURPOSES = {
    "support_conversations": ("answering", "technical_notices"),
    "product_improvement": ("improving_the_service",),
}
"""What the team uses each category for."""


class Kind(StrEnum):
    RESTRICTED = "restricted"
    """GDPR Art. 18: kept, and nothing else is done with it."""
    OBJECTED = "objected"
    """GDPR Art. 21: no more processing for the purpose."""
    WITHDRAWN = "withdrawn"
    """GDPR Art. 7(3): likewise, and only new consent changes that."""


def impose(
    db: sqlite3.Connection, email: str, category: str, purposes: Iterable[str], kind: Kind, request_id: UUID, at: str
) -> None:
    db.executemany(
        "insert into limits values (?, ?, ?, ?, ?, ?, null) on conflict do nothing",
        [(normal(email), category, purpose, kind, str(request_id), at) for purpose in purposes],
    )


def lift(db: sqlite3.Connection, category: str, purposes: Iterable[str], request_id: UUID) -> list[tuple[str, Kind]]:
    """Ends what this request restricted or objected to for these purposes.

    Returns for which addresses, and which of the two it was, where no other limit of the kind is in force. Found by the
    request and not by the address, which may have been corrected since.
    """
    lifted = []
    for purpose in purposes:
        rows = db.execute(
            """delete from limits where category = ? and purpose = ? and request_id = ?
               and kind in ('restricted', 'objected') returning email, kind, purpose""",
            (category, purpose, str(request_id)),
        )
        lifted += rows.fetchall()
    free = {(row["email"], Kind(row["kind"])) for row in lifted if not _stands(db, category, row)}
    return sorted(free)


def _stands(db: sqlite3.Connection, category: str, lifted: sqlite3.Row) -> bool:
    found = db.execute(
        """select 1 from limits
           where email = ? and category = ? and kind = ? and (kind = 'restricted' or purpose = ?)""",
        (lifted["email"], category, lifted["kind"], lifted["purpose"]),
    )
    return found.fetchone() is not None


def hold(db: sqlite3.Connection, email: str, category: str, request_id: UUID, at: str, until: dt.date) -> None:
    db.execute(
        "insert into limits values (?, ?, '', 'held', ?, ?, ?) on conflict do update set until = excluded.until",
        (normal(email), category, str(request_id), at, until.isoformat()),
    )


def release(db: sqlite3.Connection, request_id: UUID) -> None:
    """Ends the request's holds: what they waited for has come."""
    db.execute("delete from limits where kind = 'held' and request_id = ?", (str(request_id),))


def refusal(db: sqlite3.Connection, email: str, category: str, purpose: str) -> Kind | None:
    """Why the person's records may not be used for that purpose; None where they may.

    While a category is restricted for any purpose, it rests for all of them.
    """
    row = db.execute(
        """select kind from limits where email = ? and category = ?
           and (kind = 'restricted' or (kind in ('objected', 'withdrawn') and purpose = ?))
           order by kind = 'restricted' desc, kind limit 1""",
        (normal(email), category, purpose),
    ).fetchone()
    return None if row is None else Kind(row["kind"])


def readdress(db: sqlite3.Connection, old: str, new: str, *, all_of_it: bool) -> None:
    """A corrected address takes its limits with it; the old one keeps none where nothing is kept under it."""
    db.execute(
        """insert into limits select ?2, category, purpose, kind, request_id, since, until from limits where email = ?1
           on conflict do nothing""",
        (normal(old), normal(new)),
    )
    if all_of_it:
        forget(db, old)


def forget(db: sqlite3.Connection, email: str) -> None:
    """For an address that nothing is kept under any more."""
    db.execute("delete from limits where email = ?", (normal(email),))


def resting(db: sqlite3.Connection, category: str, today: dt.date) -> set[str]:
    """Whose records of that category scheduled deletion leaves alone: restricted (GDPR Art. 18(2)) or held."""
    rows = db.execute(
        "select distinct email from limits where category = ? and (kind = 'restricted' or until >= ?)",
        (category, today.isoformat()),
    )
    return {row["email"] for row in rows}


def expire(db: sqlite3.Connection, today: dt.date) -> None:
    """Drops the holds whose last day has passed."""
    db.execute("delete from limits where until < ?", (today.isoformat(),))
