"""What a letter's template sees: a notice in words. Nothing that is not here can get into a mail."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from habeas.contracts.status import StatusReason
from habeas.contracts.vocabulary import Did, Right
from services.notifier.domain import Mail
from services.notifier.mails.words import Words, size
from shared.events import StatementItem, SystemNote
from shared.law.errors import LawError
from shared.law.grounds import Ground, ground
from shared.registry import Authority, Category, Registry

_LEFT: Final = frozenset({Did.RETAINED, Did.WITHHELD})
_COPIES: Final = frozenset({Right.ACCESS, Right.PORTABILITY})
_LONGEST_NAME: Final = 80
_NOT_IN_NAMES: Final = frozenset('/:@<>[]{}|\\"')


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a statement."""

    title: str
    did: str
    until: str | None = None
    why: str | None = None
    article: str | None = None


@dataclass(frozen=True, slots=True)
class MailView:
    reference: str
    name: str | None = field(repr=False)
    right: str
    asked: str
    is_copy: bool
    regulation: str | None
    jurisdiction: str | None
    received_on: str
    due_on: str | None
    due_rule: str | None
    done: tuple[Entry, ...]
    kept: tuple[Entry, ...]
    ended: tuple[Entry, ...]
    systems: tuple[tuple[str, str], ...]
    reason: str
    reason_code: str | None
    reason_article: str | None
    link: str | None = field(repr=False)
    link_until: str | None
    size: str | None
    authority: Authority
    authority_is_local: bool
    court: str


def view(mail: Mail, registry: Registry, words: Words) -> MailView:
    notice, personal = mail.notice, mail.personal
    zone = registry.controller.time_zone
    found = _reason(notice.reason)
    authority = registry.authority_for(notice.jurisdiction)
    answer = personal.answer if mail.link else None
    stated = {item.system for item in personal.statement}
    is_copy = notice.right in _COPIES
    entries = [
        (_is_left(items[0], is_copy=is_copy), _entry(items, registry, words, is_copy=is_copy))
        for items in _alike(personal.statement)
    ]
    return MailView(
        reference=notice.reference,
        name=_safe_name(personal.name),
        right=words.of("right", notice.right),
        asked=words.of("asked", notice.right),
        is_copy=is_copy,
        regulation=notice.regulation,
        jurisdiction=notice.jurisdiction,
        received_on=words.date(notice.received_at.astimezone(zone).date()),
        due_on=words.date(notice.due.on) if notice.due else None,
        due_rule=notice.due.rule if notice.due else None,
        done=tuple(entry for left, entry in entries if not left),
        kept=tuple(entry for left, entry in entries if left),
        ended=tuple(
            Entry(_system_title(note.system, registry), words.of("ended", _end(note)))
            for note in personal.systems
            if note.system not in stated
        ),
        systems=tuple((_system_title(note.system, registry), _progress(note, words)) for note in personal.systems),
        reason=found.sentence if found else words.of("reason", "other"),
        reason_code=notice.reason.code if notice.reason else None,
        reason_article=found.article if found else None,
        link=mail.link,
        link_until=words.date(answer.expires_at.astimezone(zone).date()) if answer else None,
        size=size(answer.bytes) if answer else None,
        authority=authority,
        authority_is_local=authority is not registry.authorities["default"],
        court=registry.controller.court,
    )


def _alike(statement: Sequence[StatementItem]) -> list[list[StatementItem]]:
    """Items that differ only in their number and date, together: six invoices of six years are one line to a reader."""
    groups: dict[tuple[str, str, str, str | None], list[StatementItem]] = {}
    for item in statement:
        groups.setdefault((item.system, item.category, item.did, item.ground), []).append(item)
    return list(groups.values())


def _entry(items: Sequence[StatementItem], registry: Registry, words: Words, *, is_copy: bool) -> Entry:
    item, count = items[0], sum(each.count for each in items)
    category = registry.category(item.system, item.category)
    at_erasure = category.at_erasure if category else None
    fallback = at_erasure if item.did == Did.RETAINED else None
    code = item.ground or (fallback.ground if fallback else None)
    found = _ground(code)
    why = found.sentence if found else None
    if code and not found:
        why = words.tables["reason"]["unknown_ground"].format(code=code)
    days = sorted(each.until for each in items if each.until)
    if not days and fallback and fallback.until:
        why = " ".join(filter(None, (why, words.tables["until"]["rule"].format(rule=fallback.until))))
    did = words.of("did", "redacted_in_place" if item.did == Did.REDACTED and not is_copy else item.did)
    return Entry(
        title=_title(category, item.category),
        did=f"{words.records(count)} {did}" if count else did,
        until=_until(days, words),
        why=why,
        article=found.article if found else None,
    )


def _title(category: Category | None, code: str) -> str:
    """The title's head: what exactly the category holds after the colon is for the policy and the copy."""
    return category.title.partition(": ")[0] if category else code.replace("_", " ").capitalize()


def _until(days: Sequence[date], words: Words) -> str | None:
    if not days:
        return None
    form: str = words.tables["until"]["date" if days[0] == days[-1] else "dates"]
    return form.format(date=words.date(days[-1]), first=words.date(days[0]))


def _is_left(item: StatementItem, *, is_copy: bool) -> bool:
    """Whether something asked for was not done: it needs its reason (GDPR Art. 12(4)). To blacken a record leaves
    something out of a copy; in an erasure it is the erasing."""
    if item.did == Did.REDACTED:
        return is_copy
    return item.did in _LEFT or (item.did == Did.RESTRICTED and item.ground is not None)


def _end(note: SystemNote) -> str:
    return note.reason or note.outcome or "other"


def _progress(note: SystemNote, words: Words) -> str:
    state = words.tables["state"].get(note.state, note.state)
    return ", ".join(filter(None, (state, note.outcome, note.reason)))


def _reason(reason: StatusReason | None) -> Ground | None:
    return (_ground(reason.ground) or _ground(reason.code)) if reason else None


def _ground(code: str | None) -> Ground | None:
    try:
        return ground(code) if code else None
    except LawError:
        return None


def _system_title(system: str, registry: Registry) -> str:
    return registry.systems[system].title if system in registry.systems else system


def _safe_name(name: str | None) -> str | None:
    """The name as a greeting may carry it. Whoever fills in a form chooses it, and a mail of ours must not carry
    somebody else's message or link: what cannot be a name is left out."""
    if name is None:
        return None
    clean = " ".join("".join(char if char.isprintable() else " " for char in name).split())
    if not clean or len(clean) > _LONGEST_NAME or _NOT_IN_NAMES & set(clean) or "www." in clean.lower():
        return None
    return clean
