"""A newsletter's subscriptions, as a participant: access, export and erasure over a SQLite file."""

import sqlite3

from habeas.participant import Answer, Did, Origin, Participant, Record, Sqlite, SummaryItem, Task


async def prepare(db: sqlite3.Connection) -> None:
    db.execute("create table if not exists subscriptions (id integer primary key, email text, topic text)")


newsletter = Participant("newsletter", Sqlite("newsletter.db", prepare=prepare))


def asked(task: Task) -> bool:
    return any(item.category == "subscriptions" for item in task.scope)


@newsletter.action("access")
@newsletter.action("export")
async def access(task: Task, db: sqlite3.Connection) -> Answer:
    emails = task.identity("email") if asked(task) else ()
    rows = [row for email in emails for row in db.execute("select * from subscriptions where email = ?", [email])]
    return Answer(
        records=[
            Record(id=str(row["id"]), category="subscriptions", origin=Origin.PROVIDED, data={"topic": row["topic"]})
            for row in rows
        ]
    )


@newsletter.action("erase")
async def erase(task: Task, db: sqlite3.Connection) -> Answer:
    emails = task.identity("email") if asked(task) else ()
    deleted = sum(db.execute("delete from subscriptions where email = ?", [email]).rowcount for email in emails)
    return Answer(summary=[SummaryItem(category="subscriptions", did=Did.DELETED, count=deleted)] if deleted else [])


newsletter.run()
