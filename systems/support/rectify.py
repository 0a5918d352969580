"""Corrects people's names and addresses (GDPR Art. 16). What they wrote stays as they wrote it."""

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence

from habeas.contracts.submission import Correction
from habeas.contracts.vocabulary import CorrectionOp
from habeas.participant import NeedsInput
from systems.support import limits
from systems.support.store import holds, normal

_ADDRESSED = {"messages": "conversation_id", "conversations": "id", "product_notes": "conversation_id"}
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


def correct(
    db: sqlite3.Connection, emails: Sequence[str], corrections: Sequence[Correction]
) -> tuple[Counter[str], dict[str, set[str]]]:
    """Records that are right now, counted by category (once for each field), and which ones. None where none are held.

    Raises `NeedsInput`, and the caller's transaction then undoes what was already done.
    """
    if not corrections:
        raise NeedsInput("corrections_missing")
    counts: Counter[str] = Counter()
    changed: dict[str, set[str]] = {}
    missing = False
    # Addresses last: the other corrections find their records by them.
    for correction in sorted(corrections, key=lambda correction: correction.field == "email"):
        value = _value(correction)
        held = _held(db, emails, correction)
        if not held:
            missing = True
            continue
        right = [row for row in held if row["held"] == value]
        wrong = [row for row in held if correction.old is None or _same(correction.field, row["held"], correction.old)]
        if not wrong and not right:
            raise NeedsInput("old_value_differs")
        if correction.op == CorrectionOp.COMPLETE and len(right) < len(held):
            raise NeedsInput("already_filled")
        ids = {row["conversation_id"] for row in (*right, *wrong)}
        if correction.field == "name":
            _rename(db, wrong, value)
        else:
            # Under another person's address their records and these would become one.
            if value not in emails and holds(db, value):
                raise NeedsInput("value_taken")
            _readdress(db, wrong, value)
        counts[correction.category] += len(ids)
        changed.setdefault(correction.category, set()).update(ids)
    if missing and changed:
        raise NeedsInput("record_unknown")
    return counts, changed


def _value(correction: Correction) -> str:
    """The new value. Both fields have to have one: neither can be removed."""
    if correction.op not in set(CorrectionOp):
        raise NeedsInput("op_unknown")
    if (correction.category, correction.field) not in {
        ("support_conversations", "name"),
        ("support_conversations", "email"),
    } or correction.op == CorrectionOp.REMOVE:
        raise NeedsInput("field_unknown")
    value = (correction.value or "").strip()
    if not value:
        raise NeedsInput("value_missing")
    if correction.field == "email" and not _ADDRESS.fullmatch(value):
        raise NeedsInput("value_invalid")
    return normal(value) if correction.field == "email" else value


def _same(field: str, held: str, old: str) -> bool:
    return normal(held) == normal(old) if field == "email" else held.strip() == old.strip()


def _held(db: sqlite3.Connection, emails: Sequence[str], correction: Correction) -> list[sqlite3.Row]:
    column = "author" if correction.field == "name" else "email"
    found: list[sqlite3.Row] = []
    for email in emails:
        found += db.execute(
            f"""select distinct conversation_id, email, {column} as held from messages
                where email = ?1 and (?2 is null or conversation_id = ?2)""",  # noqa: S608 - one of two words
            (email, correction.record_id),
        )
    return found


def _rename(db: sqlite3.Connection, wrong: Sequence[sqlite3.Row], name: str) -> None:
    db.executemany(
        "update messages set author = ? where conversation_id = ? and email = ? and author = ?",
        [(name, row["conversation_id"], row["email"], row["held"]) for row in wrong],
    )


def _readdress(db: sqlite3.Connection, wrong: Sequence[sqlite3.Row], new: str) -> None:
    """Notes go along: the address is what they are found by, and an old one would hide them from their person."""
    for row in wrong:
        for table, key in _ADDRESSED.items():
            db.execute(
                f"update {table} set email = ? where {key} = ? and email = ?",  # noqa: S608 - names of our own
                (new, row["conversation_id"], row["email"]),
            )
    for old in {row["email"] for row in wrong}:
        limits.readdress(db, old, new, all_of_it=not holds(db, old))
