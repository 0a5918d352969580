"""What a letter's template sees: a notice in words. Nothing that is not here can get into a mail.

What differs between people stands in it as a blank, so that the views of many mails are equal.
"""

from dataclasses import dataclass, field
from typing import Final

from habeas.contracts.status import StatusReason
from habeas.contracts.vocabulary import COPIES, Right
from services.notifier.domain import Mail
from services.notifier.mails.form import Blanks
from services.notifier.mails.privacy_team import RIGHTS, Step, brief
from services.notifier.mails.statement import Clerk, Entry, reason_ground
from services.notifier.mails.words import Phrases, Words, size
from shared.events import Audience, Notice, Recipient
from shared.registry import Authority

_LONGEST_NAME: Final = 80
_NOT_IN_NAMES: Final = frozenset('/:@<>[]{}|\\"')


@dataclass(frozen=True, slots=True)
class BystanderView:
    """All that somebody who reported may read: the same whatever was found or done."""

    reference: str
    received_on: str


@dataclass(frozen=True, slots=True)
class MailView:
    reference: str
    name: str = field(repr=False)
    is_copy: bool
    for_another: bool
    """Whether the reader acts for the person whose data it is."""
    phrases: Phrases
    in_triage: bool
    first_look: str
    """Why a person looks at it first, as the requester is told; may be empty."""
    regulation: str | None
    jurisdiction: str | None
    received_on: str
    due_on: str | None
    due_rule: str | None
    done: tuple[Entry, ...]
    left: tuple[Entry, ...]
    told: tuple[Entry, ...]
    suppressed: bool
    keeps: bool
    limited: bool
    """Whether only a part was asked for."""
    not_covered: tuple[Entry, ...]
    elsewhere: tuple[Entry, ...]
    ended: tuple[Entry, ...]
    systems: tuple[tuple[str, str], ...]
    reason: str
    reason_code: str | None
    reason_article: str | None
    why: str
    """Why the privacy team must look."""
    steps: tuple[Step, ...]
    right_to_choose: bool
    rights: tuple[str, ...]
    link: str = field(repr=False)
    link_until: str | None
    size: str | None
    authority: Authority
    authority_is_local: bool
    court: str


def audience_of(mail: Mail) -> Audience:
    """As whom the reader is written to. A word that is new to us means the one who may be told least."""
    if mail.notice.recipient is Recipient.DPO:
        return Audience.PERSON
    audience = mail.personal.audience
    return audience if isinstance(audience, Audience) else Audience.BYSTANDER


def bystander_view(mail: Mail, clerk: Clerk, blanks: Blanks) -> BystanderView:
    received = mail.notice.received_at.astimezone(clerk.registry.controller.time_zone)
    return BystanderView(blanks(mail.notice.reference), clerk.words.date(received.date()))


def view(mail: Mail, clerk: Clerk, blanks: Blanks) -> MailView:
    """For everybody but bystanders. `clerk` is the one for the mail's right, audience and language."""
    notice, personal, registry, words = mail.notice, mail.personal, clerk.registry, clerk.words
    zone = registry.controller.time_zone
    for_another = audience_of(mail) is Audience.REPRESENTATIVE
    right = str(notice.right)
    # Of a copy that was never handed out, nothing was done that a statement could name.
    no_copy = notice.notice == Notice.WITHDRAWN and right in COPIES
    statement = clerk.statement(() if no_copy else personal.statement, blanks)
    reason = reason_ground(notice.reason)
    authority = registry.authority_for(notice.jurisdiction)
    answer = personal.answer if mail.link else None
    orders = brief(notice, personal.systems, words)
    return MailView(
        reference=blanks(notice.reference),
        name=blanks(_safe_name(personal.name)),
        is_copy=right in COPIES,
        for_another=for_another,
        phrases=words.phrases(right, audience_of(mail)),
        in_triage=_in_triage(right, notice.reason, words),
        first_look=words.of("first_look", notice.reason.code if notice.reason else "other"),
        regulation=notice.regulation,
        jurisdiction=notice.jurisdiction,
        received_on=words.date(notice.received_at.astimezone(zone).date()),
        due_on=words.date(notice.due.on) if notice.due else None,
        due_rule=notice.due.rule if notice.due else None,
        done=statement.done,
        left=statement.left,
        told=statement.told,
        suppressed=statement.suppressed,
        keeps=statement.keeps,
        limited=personal.limited,
        not_covered=tuple(clerk.not_covered(personal.not_covered)),
        elsewhere=tuple(clerk.elsewhere(personal.elsewhere)),
        ended=tuple(clerk.ended(personal)),
        systems=tuple((clerk.system(note.system), clerk.progress(note)) for note in personal.systems),
        reason=reason.sentence if reason else words.of("reason", "other"),
        reason_code=notice.reason.code if notice.reason else None,
        reason_article=reason.article if reason else None,
        why=orders.why,
        steps=orders.steps,
        right_to_choose=orders.right_to_choose,
        rights=RIGHTS,
        link=blanks(mail.link or ""),
        link_until=words.date(answer.expires_at.astimezone(zone).date()) if answer else None,
        size=blanks(size(answer.bytes)) if answer else None,
        authority=authority,
        authority_is_local=authority is not registry.authorities["default"],
        court=registry.controller.court,
    )


def letter_of(mail: Mail) -> str:
    """The name of the letter. All that a bystander gets after the acknowledgement is one and the same letter."""
    if audience_of(mail) is Audience.BYSTANDER:
        return f"bystander_{shown_notice(mail)}"
    return str(mail.notice.notice)


def subject_of(mail: Mail) -> str:
    """The name of the subject line."""
    letter = letter_of(mail)
    part = mail.personal.not_covered or mail.personal.limited
    return "nothing_covered" if letter == Notice.NOTHING_HELD and part else letter


def shown_notice(mail: Mail) -> str:
    """The notice as the mail's headers name it. To a bystander they say no more than the letter: not that nothing was
    held, and not that something was kept."""
    if audience_of(mail) is not Audience.BYSTANDER or mail.notice.notice == Notice.ACKNOWLEDGED:
        return str(mail.notice.notice)
    return str(Notice.COMPLETED)


def _in_triage(right: str, reason: StatusReason | None, words: Words) -> bool:
    """Whether a person of the privacy team decides first how the request goes on."""
    if right == Right.UNCLASSIFIED or reason is None:
        return right == Right.UNCLASSIFIED
    return reason.code != "other" and reason.code in words.tables["first_look"]


def _safe_name(name: str | None) -> str:
    """The name as a greeting may carry it. Whoever fills in a form chooses it, and a mail of ours must not carry
    somebody else's message or link: what cannot be a name is left out."""
    if name is None:
        return ""
    printable = name if name.isprintable() else "".join(char if char.isprintable() else " " for char in name)
    clean = " ".join(printable.split())
    if not clean or len(clean) > _LONGEST_NAME or not _NOT_IN_NAMES.isdisjoint(clean) or "www." in clean.lower():
        return ""
    return clean
