"""The payment processor's own SQLite: customers, charges, fraud signals, and what the merchant has it heed."""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from systems import sample

_SCHEMA = Path(__file__).with_name("ledger.sql").read_text()
TABLES = {"payment_customer": "customers", "charges": "charges", "fraud_signals": "fraud_signals"}
"""By category of the merchant's."""
_LIMITED = """select category, purpose, kind from limits where customer = ? and category in ({}) and purpose in ('*', ?)
              order by kind = 'restricted' desc, kind limit 1"""


class RefusedError(Exception):
    """The merchant has limited what a charge needs; nothing was done."""

    def __init__(self, kind: str, category: str, purpose: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.category = category
        self.purpose = purpose


def opened(path: Path) -> sqlite3.Connection:
    """With its tables, and at the very first time the sample people."""
    path.touch(mode=0o600)
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("pragma secure_delete = on")
    db.executescript(_SCHEMA)
    if "at" not in {row["name"] for row in db.execute("pragma table_info(fraud_signals)")}:  # from before it was kept
        db.execute("alter table fraud_signals add column at text not null default '2025-01-01T00:00:00+00:00'")
    db.execute("begin immediate")
    if db.execute("select 1 from seeded").fetchone() is None:
        _seed(db)
        db.execute("insert into seeded values (datetime('now'))")
    db.execute("commit")
    return db


def change(db: sqlite3.Connection, customer: str, name: str, email: str) -> bool:
    """Whether there is such a customer."""
    return db.execute("update customers set name = ?, email = ? where id = ?", (name, email, customer)).rowcount > 0


def detach(db: sqlite3.Connection, customer: str) -> int:
    gone = db.execute("delete from customers where id = ?", (customer,)).rowcount
    forget(db)
    return gone


def drop_fraud_signals(db: sqlite3.Connection, customer: str) -> int:
    gone = db.execute("delete from fraud_signals where customer = ? and claim_open = 0", (customer,)).rowcount
    forget(db)
    return gone


def charge(db: sqlite3.Connection, customer: str, cents: int, invoice: str) -> dict[str, Any] | None:
    """Looks for fraud, then charges; None for a customer who is not there.

    Raises `RefusedError` where one of the two may not be done for this customer, or while a fraud claim is open.
    """
    if db.execute("select 1 from customers where id = ?", (customer,)).fetchone() is None:
        return None
    _heed(db, customer, ("payment_customer", "charges"), "processing_payments")
    _heed(db, customer, ("fraud_signals",), "preventing_fraud")
    if db.execute("select 1 from fraud_signals where customer = ? and claim_open = 1", (customer,)).fetchone():
        raise RefusedError("claim_open", "fraud_signals", "preventing_fraud")
    row = (f"ch_{uuid4().hex}", customer, datetime.now(UTC).isoformat(), cents, invoice)
    db.execute("insert into charges values (?, ?, ?, ?, ?)", row)
    return dict(zip(("id", "customer", "at", "cents", "invoice"), row, strict=True))


def limit(db: sqlite3.Connection, customer: str, request: str, limits: Iterable[tuple[str, str, str]]) -> None:
    """Has these (category, purpose, kind), and no others, stand for the merchant's request."""
    db.execute("delete from limits where customer = ? and request = ?", (customer, request))
    db.executemany("insert into limits values (?, ?, ?, ?, ?)", [(customer, request, *each) for each in limits])


def hold(db: sqlite3.Connection, customer: str, request: str, categories: Collection[str], until: str) -> None:
    """Has the request hold these categories, and no others."""
    db.execute("delete from holds where customer = ? and request = ?", (customer, request))
    db.executemany("insert into holds values (?, ?, ?, ?)", [(customer, request, each, until) for each in categories])


def delete(
    db: sqlite3.Connection, today: date, charges_before: datetime, fraud_signals_before: datetime
) -> dict[str, int]:
    """What is older goes, but for what is held or restricted, and signals about which a claim is open."""
    kept = """exists (select 1 from holds h where h.customer = t.customer and h.category = ? and h.until >= ?)
              or exists (select 1 from limits l
                         where l.customer = t.customer and l.category = ? and l.kind = 'restricted')"""
    deleted = {}
    for category, before, but in (
        ("charges", charges_before, ""),
        ("fraud_signals", fraud_signals_before, "and claim_open = 0"),
    ):
        deleted[category] = db.execute(
            f"delete from {TABLES[category]} as t where at < ? {but} and not ({kept})",  # noqa: S608 - names of our own
            (before.astimezone(UTC).isoformat(), category, today.isoformat(), category),
        ).rowcount
    db.execute("delete from holds where until < ?", (today.isoformat(),))
    forget(db)
    return deleted


def forget(db: sqlite3.Connection) -> None:
    """Drops limits and holds on what is not there any more; a customer's charges keep theirs after it is detached."""
    for table in ("limits", "holds"):
        db.execute(
            f"""delete from {table} where customer not in (select id from customers)
                and (category = 'payment_customer'
                     or category = 'charges' and customer not in (select customer from charges)
                     or category = 'fraud_signals' and customer not in (select customer from fraud_signals))"""  # noqa: S608
        )


def _heed(db: sqlite3.Connection, customer: str, categories: Sequence[str], purpose: str) -> None:
    sql = _LIMITED.format(", ".join("?" for _ in categories))
    row = db.execute(sql, (customer, *categories, purpose)).fetchone()
    if row is not None:
        raise RefusedError(row["kind"], row["category"], purpose)


def _seed(db: sqlite3.Connection) -> None:
    for someone in sample.people():
        customer = someone.payment_customer_id
        db.execute(
            "insert into customers values (?, ?, ?, ?, ?, ?)", (customer, someone.name, someone.email, *someone.card)
        )
        db.executemany(
            "insert into charges values (?, ?, ?, ?, ?)",
            [(charge.id, customer, charge.at.isoformat(), charge.cents, charge.invoice) for charge in someone.charges],
        )
        if someone.fraud_signal is not None:
            db.execute(
                "insert into fraud_signals (id, customer, at, observation, claim_open) values (?, ?, ?, ?, ?)",
                (
                    f"fs_{someone.number:04}",
                    customer,
                    max(charge.at for charge in someone.charges).isoformat(),
                    someone.fraud_signal,
                    int(someone.claim_open),
                ),
            )
