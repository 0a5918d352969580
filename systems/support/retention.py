"""Deletes conversations that nobody needs any more, with the notes made of them."""

import datetime as dt
import json
import sqlite3
from collections import Counter

from dateutil.relativedelta import relativedelta

from systems.support import limits, recipients, store

YEARS = 3
"""After the last message. Sections 195, 199(1) BGB: claims that a question may lead to lapse about then."""


async def run(today: dt.date) -> Counter[str]:
    """Counts what was deleted by category, as of `today` (UTC).

    What somebody has restricted or a request holds stays (GDPR Art. 18(2)). Notices to recipients that could not be
    handed over are tried again, and old ones go as well.
    """
    async with store.opened() as file:
        async with file.transaction() as session:
            deleted = _delete(session.resource, today)
        if deleted:
            file.connection.execute("vacuum")
        await recipients.hand_over(file.connection)
    return deleted


def _delete(db: sqlite3.Connection, today: dt.date) -> Counter[str]:
    before = today - relativedelta(years=YEARS)
    limits.expire(db, today)
    recipients.forget(db, before)
    old = _old(db, before)
    resting = limits.resting(db, "product_improvement", today)
    notes = [
        note["conversation_id"]
        for note in db.execute(
            """select conversation_id, email from product_notes
               where conversation_id in (select value from json_each(?))
                  or conversation_id not in (select id from conversations)""",
            (json.dumps(list(old)),),
        )
        if note["email"] not in resting
    ]
    resting = limits.resting(db, "support_conversations", today)
    gone = [conversation for conversation, people in old.items() if not people & resting]
    db.executemany("delete from product_notes where conversation_id = ?", [(note,) for note in notes])
    db.executemany("delete from messages where conversation_id = ?", [(conversation,) for conversation in gone])
    db.executemany("delete from conversations where id = ?", [(conversation,) for conversation in gone])
    for row in db.execute("select distinct email from limits").fetchall():
        if not store.holds(db, row["email"]):
            limits.forget(db, row["email"])
    return +Counter({"support_conversations": len(gone), "product_improvement": len(notes)})


def _old(db: sqlite3.Connection, before: dt.date) -> dict[str, set[str]]:
    """Conversations whose last message is older, each with the addresses of the people in it.

    One conversation is kept whole for any of them: their words make no sense alone.
    """
    rows = db.execute(
        """select id, people.email from conversations
           join (select conversation_id, email from messages
                 union select id, email from conversations) people on people.conversation_id = id
           where (select max(at) from messages m where m.conversation_id = conversations.id) < ?""",
        (before.isoformat(),),
    )
    old: dict[str, set[str]] = {}
    for row in rows:
        old.setdefault(row["id"], set()).update({row["email"]} - {None})
    return old
