"""Support as a participant: people's own words are theirs to have and to delete; the words of others are not."""

import datetime as dt
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from habeas.participant import (
    Action,
    Answer,
    Did,
    NeedsInput,
    Origin,
    Participant,
    Record,
    Right,
    Sqlite,
    SummaryItem,
    Task,
    TaskOutcome,
    identity,
)
from systems.support import limits, recipients, rectify, store
from systems.support.limits import Kind

support = Participant("support", Sqlite(store.FILE, prepare=store.prepare))

LABELS = {
    "support_conversations.subject": "Subject",
    "support_conversations.messages": "Messages",
    "product_improvement.note": "Note of the product team",
}


@support.action("locate")
async def locate(task: Task, db: sqlite3.Connection) -> Answer:
    found = [identity("email", email) for email in _emails(task) if store.holds(db, email)]
    return Answer(identities=found, outcome=TaskOutcome.COMPLETED if found else None)


@support.action("access")
@support.action("export")
async def access(task: Task, db: sqlite3.Connection) -> Answer:
    limits.release(db, task.request_id)
    asked = _scope(task)
    found = []
    for email in _emails(task):
        if "support_conversations" in asked:
            found += _conversations(task, db, email)
        if "product_improvement" in asked:
            found += [
                Record(
                    id=store.note_id(conversation_id),
                    category="product_improvement",
                    origin=Origin.PROVIDED,
                    data={"note": note},
                )
                for conversation_id, note in store.notes(db, email).items()
            ]
    return Answer(records=found, labels=LABELS)


def _conversations(task: Task, db: sqlite3.Connection, email: str) -> list[Record]:
    """Portability is for what people wrote themselves, not for the team's answers to it (GDPR Art. 20(1))."""
    found = []
    for conversation in store.conversations(db, email):
        own = conversation.own
        if task.action == Action.EXPORT:
            own = tuple(message for message in own if message.email is not None)
        for suffix, messages in (("", own), ("/others", conversation.others)):
            if words := _words(task, messages):
                found.append(
                    Record(
                        id=conversation.id + suffix,
                        category="support_conversations",
                        origin=Origin.PROVIDED,
                        third_parties=bool(suffix),
                        data={"subject": conversation.subject, "messages": words},
                    )
                )
    return found


@support.action("rectify")
async def correct(task: Task, db: sqlite3.Connection) -> Answer:
    limits.release(db, task.request_id)
    asked = _scope(task)
    wanted = [correction for correction in task.details.corrections if correction.category in asked]
    right = rectify.correct(db, _emails(task), wanted)
    if not right:
        return Answer()
    told = recipients.tell(db, task, rectify.CATEGORY, {conversation for conversation, _ in right})
    return _answer({rectify.CATEGORY: len(right)}, Did.RECTIFIED, {rectify.CATEGORY: told})


@support.action("erase")
async def erase(task: Task, db: sqlite3.Connection) -> Answer:
    limits.release(db, task.request_id)
    asked = _scope(task)
    deleted: dict[str, list[str]] = {}
    redacted = 0
    for email in _emails(task):
        for category in asked:
            deleted.setdefault(category, []).extend(store.records(db, email, category))
        if "support_conversations" in asked:
            redacted += store.delete_words(db, email, store.conversations(db, email))
        if "product_improvement" in asked:
            store.delete_notes(db, email)
        if not store.holds(db, email):
            limits.forget(db, email)
    summary = []
    for category, ids in deleted.items():
        if ids:
            told = recipients.tell(db, task, category, ids)
            summary.append(SummaryItem(category=category, did=Did.DELETED, count=len(ids)))
            summary.append(SummaryItem(category=category, did=Did.RECIPIENTS_NOTIFIED, count=told))
    if redacted:
        summary.append(SummaryItem(category="support_conversations", did=Did.REDACTED, count=redacted))
    return Answer(summary=summary)


@support.action("restrict")
async def restrict(task: Task, db: sqlite3.Connection) -> Answer:
    limits.release(db, task.request_id)
    found = _each(task, db, lambda email, category, purposes: _impose(task, db, email, category, purposes))
    told = {category: recipients.tell(db, task, category, ids) for category, ids in found.items()}
    return _answer(_counts(found), Did.RESTRICTED, told)


@support.action("object")
async def stop(task: Task, db: sqlite3.Connection) -> Answer:
    """An objection binds also where no product note has been made yet.

    Raises `NeedsInput` for a purpose that the team does not have: to say that it has stopped would be untrue.
    """
    limits.release(db, task.request_id)
    if any(not set(purposes) <= set(limits.PURPOSES[category]) for category, purposes in _scope(task).items()):
        raise NeedsInput("purpose_unknown")
    found = _each(
        task,
        db,
        lambda email, category, purposes: _impose(task, db, email, category, purposes),
        what=store.material,
    )
    return _answer(_counts(found), Did.STOPPED)


@support.action("unrestrict")
async def unrestrict(task: Task, db: sqlite3.Connection) -> Answer:
    """Recipients that were told of a restriction are told of its end."""
    limits.release(db, task.request_id)
    found: dict[str, list[str]] = {}
    told: dict[str, int] = {}
    for category, purposes in _scope(task).items():
        lifted = limits.lift(db, category, purposes, task.request_id)
        emails = {email for email, _ in lifted}
        if emails:
            found[category] = [each for email in sorted(emails) for each in store.material(db, email, category)]
        if any(kind is Kind.RESTRICTED for _, kind in lifted):
            told[category] = recipients.tell(db, task, category, found[category])
    if not found and any(store.holds(db, email) for email in _emails(task)):
        return Answer(outcome=TaskOutcome.COMPLETED)  # nothing to lift, which is not to say that nothing is held
    return _answer(_counts(found), Did.UNRESTRICTED, told)


@support.action("hold")
async def hold(task: Task, db: sqlite3.Connection) -> Answer:
    until = task.due_at.astimezone(dt.UTC).date()

    def keep(email: str, category: str, _: Sequence[str]) -> bool:
        limits.hold(db, email, category, task.request_id, _now(), until)
        return True

    return Answer(
        summary=[
            SummaryItem(category=category, did=Did.RETAINED, count=len(ids), ground="held_for_request", until=until)
            for category, ids in _each(task, db, keep).items()
        ]
    )


@support.cancelled("hold")
async def over(task: Task, db: sqlite3.Connection) -> None:
    limits.release(db, task.request_id)


@support.after("erase")
@support.after("rectify")
async def scrub(db: sqlite3.Connection) -> None:
    """Rewrites the file without the deleted rows; `secure_delete` has wiped most of them, this takes the last."""
    db.execute("vacuum")


for action in ("rectify", "erase", "restrict", "unrestrict"):
    support.after(action)(recipients.hand_over)


def main() -> None:
    support.run()


def _impose(task: Task, db: sqlite3.Connection, email: str, category: str, purposes: Sequence[str]) -> bool:
    if task.action == Action.RESTRICT:
        kind = Kind.RESTRICTED
    else:
        kind = Kind.WITHDRAWN if task.right == Right.CONSENT_WITHDRAWAL else Kind.OBJECTED
    limits.impose(db, email, category, purposes, kind, task.request_id, _now())
    return True


def _each(
    task: Task,
    db: sqlite3.Connection,
    do: Callable[[str, str, Sequence[str]], bool],
    what: Callable[[sqlite3.Connection, str, str], list[str]] = store.records,
) -> dict[str, list[str]]:
    """Does it for each address and category under which something is kept; the ids of the records it was done for."""
    done: dict[str, list[str]] = {}
    for email in _emails(task):
        for category, purposes in _scope(task).items():
            ids = what(db, email, category)
            if ids and do(email, category, purposes):
                done.setdefault(category, []).extend(ids)
    return done


def _scope(task: Task) -> dict[str, tuple[str, ...]]:
    """The purposes of each category that the task is about; all of them where it names none."""
    asked: dict[str, tuple[str, ...]] = {}
    for item in task.scope:
        if item.category in limits.PURPOSES:
            asked[item.category] = asked.get(item.category, ()) + (item.purposes or limits.PURPOSES[item.category])
    return asked


def _emails(task: Task) -> list[str]:
    return list(dict.fromkeys(store.normal(email) for email in task.identity("email")))


def _words(task: Task, messages: Sequence[store.Message]) -> list[dict[str, str]]:
    return [
        {"at": message.at, "author": message.author, "body": message.body}
        for message in messages
        if _inside(task, dt.datetime.fromisoformat(message.at))
    ]


def _inside(task: Task, at: dt.datetime) -> bool:
    period = task.period
    if period is None:
        return True
    return (period.start is None or at >= period.start) and (period.end is None or at < period.end)


def _counts(found: Mapping[str, Sequence[str]]) -> dict[str, int]:
    return {category: len(ids) for category, ids in found.items()}


def _answer(counts: Mapping[str, int], did: Did, told: Mapping[str, int] = MappingProxyType({})) -> Answer:
    return Answer(
        summary=[
            *(SummaryItem(category=category, did=did, count=count) for category, count in counts.items()),
            *(
                SummaryItem(category=category, did=Did.RECIPIENTS_NOTIFIED, count=count)
                for category, count in told.items()
            ),
        ]
    )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()
