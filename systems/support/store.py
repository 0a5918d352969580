"""Support's SQL. Addresses are kept in lower case."""

import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from habeas.participant import Sqlite
from systems import sample

_SCHEMA = Path(__file__).with_name("schema.sql").read_text()
FILE = "support.db"
"""In HABEAS_DATA_DIR."""
ERASED = "[erased]"


@dataclass(frozen=True, slots=True)
class Message:
    id: int
    at: str
    author: str
    email: str | None
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation as one of its people sees it."""

    id: str
    subject: str
    own: tuple[Message, ...]
    """Their words, and the support team's to them."""
    others: tuple[Message, ...]
    """Everybody else's."""


def normal(email: str) -> str:
    return email.strip().lower()


async def prepare(db: sqlite3.Connection) -> None:
    """Tables at each start; the sample conversations at the very first, and never again."""
    db.executescript(_SCHEMA)
    db.execute("begin immediate")
    if db.execute("select 1 from seeded").fetchone() is None:
        _seed(db)
        db.execute("insert into seeded values (datetime('now'))")
    db.execute("commit")


@asynccontextmanager
async def opened() -> AsyncIterator[Sqlite]:
    """The file for the team's own code, beside the participant's use of it."""
    file = Sqlite(FILE, prepare=prepare)
    await file.open()
    try:
        yield file
    finally:
        await file.close()


def conversations(db: sqlite3.Connection, email: str) -> list[Conversation]:
    email = normal(email)
    rows = db.execute(
        """select c.id as conversation, c.email as opener, c.subject, m.id, m.at, m.author, m.email, m.body
           from conversations c join messages m on m.conversation_id = c.id
           where c.id in (select conversation_id from messages where email = ?1)
              or c.email = ?1
           order by c.id, m.at, m.id""",
        (email,),
    )
    grouped: dict[tuple[str, str, str | None], list[Message]] = defaultdict(list)
    for row in rows:
        key = (row["conversation"], row["subject"], row["opener"])
        grouped[key].append(Message(row["id"], row["at"], row["author"], row["email"], row["body"]))
    found = []
    for (identifier, subject, opener), messages in grouped.items():
        theirs = {email, None} if opener == email else {email}
        found.append(
            Conversation(
                identifier,
                subject,
                own=tuple(message for message in messages if message.email in theirs),
                others=tuple(message for message in messages if message.email not in theirs),
            )
        )
    return found


def notes(db: sqlite3.Connection, email: str) -> dict[str, str]:
    """Product notes by conversation."""
    rows = db.execute("select conversation_id, note from product_notes where email = ?", (normal(email),))
    return {row["conversation_id"]: row["note"] for row in rows}


def records(db: sqlite3.Connection, email: str, category: str) -> list[str]:
    """The ids of the person's records of that category."""
    if category == "support_conversations":
        return [conversation.id for conversation in conversations(db, email)]
    if category == "product_improvement":
        return [note_id(conversation_id) for conversation_id in notes(db, email)]
    return []


def material(db: sqlite3.Connection, email: str, category: str) -> list[str]:
    """What the team has for a use of that category: every conversation can become a product note."""
    found = records(db, email, category)
    if category == "product_improvement" and not found:
        found = records(db, email, "support_conversations")
    return found


def note_id(conversation_id: str) -> str:
    return f"note-{conversation_id}"


def holds(db: sqlite3.Connection, email: str) -> bool:
    """Whether anything is kept under that address."""
    found = db.execute(
        """select exists (select 1 from messages where email = ?1)
               or exists (select 1 from conversations where email = ?1)
               or exists (select 1 from product_notes where email = ?1)""",
        (normal(email),),
    ).fetchone()
    return bool(found[0])


def delete_notes(db: sqlite3.Connection, email: str) -> None:
    db.execute("delete from product_notes where email = ?", (normal(email),))


def delete_words(db: sqlite3.Connection, email: str, found: Sequence[Conversation]) -> int:
    """Deletes their words, and their name from the words of others, which stay; returns how many were redacted."""
    email = normal(email)
    redacted = 0
    for conversation in found:
        names = {email, *(message.author for message in conversation.own if message.email == email)}
        db.executemany("delete from messages where id = ?", [(message.id,) for message in conversation.own])
        for message in conversation.others:
            body = message.body
            for name in sorted(names):
                body = body.replace(name, ERASED)
            if body != message.body:
                db.execute("update messages set body = ? where id = ?", (body, message.id))
                redacted += 1
        if not conversation.others:
            db.execute("delete from conversations where id = ?", (conversation.id,))
        else:
            db.execute(
                "update conversations set email = null, subject = ? where id = ? and email = ?",
                (ERASED, conversation.id, email),
            )
    return redacted


def _seed(db: sqlite3.Connection) -> None:
    for number in range(1, sample.PEOPLE + 1):
        email = sample.person(number).email
        for conversation in sample.conversations(number):
            db.execute("insert into conversations values (?, ?, ?)", (conversation.id, email, conversation.subject))
            db.executemany(
                "insert into messages (conversation_id, at, author, email, body) values (?, ?, ?, ?, ?)",
                [
                    (conversation.id, message.at.isoformat(), message.author, message.email, message.body)
                    for message in conversation.messages
                ],
            )
            if conversation.product_note:
                db.execute(
                    "insert into product_notes values (?, ?, ?)", (conversation.id, email, conversation.product_note)
                )
