"""What the support team does with conversations: suggests replies, sends technical notices, improves the product."""

import sqlite3
from dataclasses import dataclass, field

from systems.support import limits, store
from systems.use import Use

_WHAT = {
    "answering": "reply_suggestion",
    "technical_notices": "technical_notice",
    "improving_the_service": "product_note",
}
WITHOUT_NOTES = "reply_suggestion_without_product_notes"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A draft for the team, or why there is none."""

    use: Use
    text: str | None = field(default=None, repr=False)


async def use(identifier: str, purpose: str = "answering") -> Use:
    """Uses what is kept under an e-mail address. Raises `ValueError` where the team has no such purpose."""
    async with store.opened() as file, file.transaction() as session:
        return used(session.resource, identifier, purpose)


def used(db: sqlite3.Connection, email: str, purpose: str) -> Use:
    if purpose not in _WHAT:
        raise ValueError(f"support uses data for {', '.join(_WHAT)}: name one of these purposes")
    return suggest_reply(db, email).use if purpose == "answering" else _allowed(db, email, purpose)


def suggest_reply(db: sqlite3.Connection, email: str) -> Suggestion:
    """A reply to the person's latest conversation, with what the product team knows of it where that may be used."""
    allowed = _allowed(db, email, "answering")
    if not allowed.done:
        return Suggestion(allowed)
    address = store.normal(email)
    latest, mine = max(
        ((conversation, message) for conversation in store.conversations(db, email) for message in conversation.own),
        key=lambda found: (found[1].email == address, found[1].at),
    )
    text = f"Hello {mine.author}, about “{latest.subject}”, of which you wrote on {mine.at[:10]}: "
    note = store.notes(db, email).get(latest.id)
    if note is None:
        return Suggestion(allowed, text)
    if not _allowed(db, email, "improving_the_service").done:
        return Suggestion(Use(WITHOUT_NOTES, done=True, purpose="answering"), text)
    return Suggestion(allowed, f"{text}our product team has noted: {note}")


def _allowed(db: sqlite3.Connection, email: str, purpose: str) -> Use:
    category = next(category for category, purposes in limits.PURPOSES.items() if purpose in purposes)
    limit = limits.refusal(db, email, category, purpose)
    why = limit or (None if store.material(db, email, category) else "not_held")
    return Use(_WHAT[purpose], done=why is None, purpose=purpose, why=why)
