"""Corrects people's names and addresses (GDPR Art. 16). What they wrote stays as they wrote it."""

import sqlite3
from collections.abc import Sequence

from habeas.participant import Correction, NeedsInput
from systems.corrections import EMAIL, TEXT, corrected
from systems.support import limits
from systems.support.store import holds, normal

CATEGORY = "support_conversations"
_FIELDS = {"name": TEXT, "email": EMAIL}
_ADDRESSED = {"messages": "conversation_id", "conversations": "id", "product_notes": "conversation_id"}


def correct(db: sqlite3.Connection, emails: Sequence[str], corrections: Sequence[Correction]) -> set[tuple[str, str]]:
    """The conversations that are right now, each with the field that is. None where none are held.

    Raises `NeedsInput`, before anything is changed.
    """
    if not corrections:
        raise NeedsInput("corrections_missing")
    if any(correction.category != CATEGORY for correction in corrections):  # a note has nothing but the team's words
        raise NeedsInput("field_unknown")
    rows = [row for email in emails for row in _written(db, email)]
    conversations = {row["conversation_id"] for row in rows}
    known = [correction.record_id is None or correction.record_id in conversations for correction in corrections]
    if not rows or not any(known):
        return set()
    if not all(known):
        raise NeedsInput("record_unknown")
    right = [(row, corrected(row, _about(row, corrections), _FIELDS)) for row in rows]
    for _, values in right:
        # Under another person's address their records and these would become one.
        if "email" in values and normal(values["email"]) not in emails and holds(db, values["email"]):
            raise NeedsInput("value_taken")
    for row, values in right:
        if "name" in values:
            _rename(db, row, values["name"])
        if "email" in values:
            _readdress(db, row, normal(values["email"]))
    return {(row["conversation_id"], field) for row, values in right for field in values}


def _written(db: sqlite3.Connection, email: str) -> list[dict[str, str]]:
    """Under which names somebody wrote in which conversation."""
    rows = db.execute(
        "select distinct conversation_id, email, author as name from messages where email = ?", (normal(email),)
    )
    return [dict(row) for row in rows]


def _about(row: dict[str, str], corrections: Sequence[Correction]) -> list[Correction]:
    return [correction for correction in corrections if correction.record_id in (None, row["conversation_id"])]


def _rename(db: sqlite3.Connection, row: dict[str, str], name: str) -> None:
    db.execute(
        "update messages set author = ? where conversation_id = ? and email = ? and author = ?",
        (name, row["conversation_id"], row["email"], row["name"]),
    )


def _readdress(db: sqlite3.Connection, row: dict[str, str], new: str) -> None:
    """Notes go along: the address is what they are found by, and an old one would hide them from their person."""
    if new == row["email"]:
        return
    for table, key in _ADDRESSED.items():
        db.execute(
            f"update {table} set email = ? where {key} = ? and email = ?",  # noqa: S608 - names of our own
            (new, row["conversation_id"], row["email"]),
        )
    limits.readdress(db, row["email"], new, all_of_it=not holds(db, row["email"]))
