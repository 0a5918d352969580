"""Tells the recipients that hold a copy what became of it (GDPR Art. 19).

A notice is written in the transaction of the effect, and handed over afterwards: as a file in the folder that the
recipient collects from, under the notice's own name, so that handing it over twice changes nothing. It names records
by their ids and says nothing about the person.
"""

import datetime as dt
import json
import os
import sqlite3
from collections.abc import Iterable

from habeas.participant import Task, data_folder

RECIPIENTS = {"support_conversations": ("hosting",), "product_improvement": ("hosting",)}


def tell(db: sqlite3.Connection, task: Task, category: str, records: Iterable[str]) -> int:
    """Writes one notice to each recipient of the category; returns how many that are."""
    recipients = RECIPIENTS[category]
    db.executemany(
        "insert into recipient_notices values (?, ?, ?, ?, ?, ?, null)",
        [
            (
                f"{task.id}-{category}-{recipient}",
                recipient,
                task.action,
                category,
                json.dumps(sorted(records)),
                dt.datetime.now(dt.UTC).isoformat(),
            )
            for recipient in recipients
        ],
    )
    return len(recipients)


async def hand_over(db: sqlite3.Connection) -> None:
    """Hands over what has not been yet. Bears repeating."""
    for notice in db.execute("select * from recipient_notices where handed_over_at is null").fetchall():
        folder = data_folder() / "recipients" / notice["recipient"]
        for place in (folder.parent, folder):
            place.mkdir(mode=0o700, exist_ok=True)
        content = {
            "action": notice["action"],
            "category": notice["category"],
            "records": json.loads(notice["records"]),
            "at": notice["written_at"],
        }
        fresh = folder / f"{notice['id']}.new"
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(fresh.with_suffix(".json"))
        db.execute(
            "update recipient_notices set handed_over_at = ? where id = ?",
            (dt.datetime.now(dt.UTC).isoformat(), notice["id"]),
        )


def forget(db: sqlite3.Connection, before: dt.date) -> None:
    """Drops the notices handed over before that day."""
    db.execute("delete from recipient_notices where handed_over_at < ?", (before.isoformat(),))
