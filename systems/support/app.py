"""Support as a participant: people's own words are theirs to have and to delete; the words of others are not."""

import sqlite3
from collections.abc import Sequence

from habeas.participant import Answer, Did, Origin, Participant, Record, Sqlite, SummaryItem, Task
from systems.support import store

support = Participant("support", Sqlite("support.db", prepare=store.prepare))

LABELS = {
    "support_conversations.subject": "Subject",
    "support_conversations.messages": "Messages",
    "product_improvement.note": "Note of the product team",
}


@support.action("access")
@support.action("export")
async def access(task: Task, db: sqlite3.Connection) -> Answer:
    records = []
    for email in task.identity("email"):
        for conversation in store.conversations(db, email):
            for suffix, messages in (("", conversation.own), ("/others", conversation.others)):
                if messages:
                    records.append(
                        Record(
                            id=conversation.id + suffix,
                            category="support_conversations",
                            origin=Origin.PROVIDED,
                            third_parties=bool(suffix),
                            data={"subject": conversation.subject, "messages": _words(messages)},
                        )
                    )
        for conversation_id, note in store.notes(db, email).items():
            records.append(
                Record(
                    id=f"note-{conversation_id}",
                    category="product_improvement",
                    origin=Origin.PROVIDED,
                    data={"note": note},
                )
            )
    return Answer(records=records, labels=LABELS)


@support.action("erase")
async def erase(task: Task, db: sqlite3.Connection) -> Answer:
    conversations = redacted = notes = 0
    for email in task.identity("email"):
        found = store.conversations(db, email)
        conversations += len(found)
        redacted += store.delete_words(db, email, found)
        notes += len(store.notes(db, email))
        store.delete_notes(db, email)
    counted = (
        ("support_conversations", Did.DELETED, conversations),
        ("support_conversations", Did.REDACTED, redacted),
        ("product_improvement", Did.DELETED, notes),
    )
    return Answer(summary=[SummaryItem(category=category, did=did, count=n) for category, did, n in counted if n])


@support.after("erase")
async def scrub(db: sqlite3.Connection) -> None:
    """Rewrites the file without the deleted rows; `secure_delete` has wiped most of them, this takes the last."""
    db.execute("vacuum")


def main() -> None:
    support.run()


def _words(messages: Sequence[store.Message]) -> list[dict[str, str]]:
    return [{"at": message.at, "author": message.author, "body": message.body} for message in messages]
