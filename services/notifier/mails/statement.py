"""What was done with a person's data, told, left and not covered: the entries of a letter's sections."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from habeas.contracts.status import StatusReason
from habeas.contracts.vocabulary import COPIES, Did, Right
from services.notifier.mails.form import Blanks
from services.notifier.mails.words import Words
from shared.events import NotCovered, NoticePersonal, StatementItem, SystemNote
from shared.law.errors import LawError
from shared.law.grounds import Ground, ground
from shared.registry import Category, Registry

_LEFT: Final = frozenset({Did.RETAINED, Did.WITHHELD})
_LEFT_FOR_A_GROUND: Final = frozenset({Did.RESTRICTED, Did.UNRESTRICTED})
_NOT_REACHED: Final = "right_does_not_reach"
_HELD: Final = "held_for_request"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a section."""

    title: str
    did: str | None = None
    until: str | None = None
    why: str | None = None
    article: str | None = None

    @property
    def line(self) -> str:
        """Title, deed and date as one sentence."""
        said = ", ".join(filter(None, (self.did, self.until)))
        line = f"{self.title}: {said}" if said else self.title
        return line if line.endswith(".") else f"{line}."


@dataclass(frozen=True, slots=True)
class Statement:
    done: tuple[Entry, ...] = ()
    left: tuple[Entry, ...] = ()
    """Asked for and not done: each with its reason (GDPR Art. 12(4))."""
    told: tuple[Entry, ...] = ()
    """Recipients who were told (GDPR Art. 19)."""
    suppressed: bool = False
    keeps: bool = False
    """Whether something is kept that is deleted later."""


class Clerk:
    """Writes the entries of one letter."""

    def __init__(self, right: str, registry: Registry, words: Words, blanks: Blanks) -> None:
        self._right = right
        self._registry = registry
        self._words = words
        self._blanks = blanks

    def statement(self, items: Sequence[StatementItem]) -> Statement:
        told = [item for item in items if item.did == Did.RECIPIENTS_NOTIFIED]
        others = [item for item in items if item.did != Did.RECIPIENTS_NOTIFIED]
        entries = [(self._is_left(group[0]), self._entry(group)) for group in _alike(others)]
        kept = (item for item in others if item.did == Did.RETAINED and item.ground != _HELD)
        return Statement(
            done=tuple(entry for left, entry in entries if not left),
            left=tuple(entry for left, entry in entries if left),
            told=tuple(self._told(group) for group in _alike(told) if any(item.count for item in group)),
            suppressed=any(item.did == Did.SUPPRESSED for item in items),
            keeps=self._right not in COPIES and any(kept),
        )

    def ended(self, personal: NoticePersonal) -> Iterator[Entry]:
        """The systems that neither the statement nor what is not covered names."""
        named = {item.system for item in personal.statement}
        beyond = {item.system for item in personal.not_covered}
        for note in personal.systems:
            if note.system in named or (note.reason == _NOT_REACHED and note.system in beyond):
                continue
            title = self.system(note.system)
            reason = find_ground(note.reason)
            if reason:
                yield Entry(title, why=reason.sentence, article=reason.article)
            else:
                yield Entry(title, self._words.of("ended", self._end(note)))

    def not_covered(self, items: Iterable[NotCovered]) -> Iterator[Entry]:
        """One entry for each ground: the same reason is not read five times."""
        by_ground: dict[str, list[str]] = {}
        for item in items:
            title = self._title(item.system, item.category)
            titles = by_ground.setdefault(item.ground, [])
            if title not in titles:
                titles.append(title)
        for code, titles in by_ground.items():
            why, article = self._reason(code)
            yield Entry("; ".join(titles), why=why, article=article)

    def elsewhere(self, names: Iterable[str]) -> Iterator[Entry]:
        for name in dict.fromkeys(names):
            known = self._registry.not_controller.get(name)
            ask = known.ask if known else self._words.of("reason", "unknown_elsewhere")
            yield Entry(known.title if known else _readable(name), why=ask)

    def system(self, name: str) -> str:
        return self._registry.systems[name].title if name in self._registry.systems else name

    def progress(self, note: SystemNote) -> str:
        """For the privacy team."""
        state = self._words.tables["state"].get(note.state, note.state)
        return ", ".join(filter(None, (state, note.outcome, note.reason)))

    def _is_left(self, item: StatementItem) -> bool:
        """To blacken a record leaves something out of a copy; in an erasure it is the erasing. To restrict is what a
        restriction asks for; where another right has a ground for it, or for going on, something was not done."""
        if item.did == Did.REDACTED:
            return self._right in COPIES
        if item.did in _LEFT_FOR_A_GROUND:
            return item.ground is not None and self._right != Right.RESTRICTION
        return item.did in _LEFT

    def _entry(self, items: Sequence[StatementItem]) -> Entry:
        item, count = items[0], sum(each.count for each in items)
        category = self._registry.category(item.system, item.category)
        fallback = category.at_erasure if category and item.did == Did.RETAINED else None
        why, article = self._reason(item.ground or (fallback.ground if fallback else None))
        days = sorted(each.until for each in items if each.until)
        if not days and fallback and fallback.until and item.ground in {None, fallback.ground}:
            why = " ".join(filter(None, (why, self._words.tables["until"]["rule"].format(rule=fallback.until))))
        did = self._words.of("did", self._deed(item.did))
        return Entry(
            title=self._title(item.system, item.category),
            did=f"{self._words.count('records', count, self._blanks(str(count)))} {did}" if count else did,
            until=self._until(days),
            why=why,
            article=article,
        )

    def _deed(self, did: str) -> str:
        if did == Did.REDACTED and self._right not in COPIES:
            return "redacted_in_place"
        if did in {Did.REDACTED, Did.WITHHELD} and self._right == Right.PORTABILITY:
            return f"{did}_from_files"
        return did

    def _told(self, items: Sequence[StatementItem]) -> Entry:
        item, count = items[0], max(each.count for each in items)
        category: Category | None = self._registry.category(item.system, item.category)
        names = [party.name for party in category.recipients] if category else []
        form: str = self._words.tables["told"]["all" if count == len(names) else "some"]
        return Entry(
            title=self._title(item.system, item.category),
            did=self._words.count("told", count, self._blanks(str(count))),
            why=form.format(names=", ".join(names)) if names else None,
        )

    def _title(self, system: str, code: str) -> str:
        """The title's head: what exactly the category holds after the colon is for the policy and the copy."""
        category = self._registry.category(system, code)
        return category.title.partition(": ")[0] if category else _readable(code)

    def _until(self, days: Sequence[date]) -> str | None:
        if not days:
            return None
        form: str = self._words.tables["until"]["date" if days[0] == days[-1] else "dates"]
        return self._blanks(form.format(date=self._words.date(days[-1]), first=self._words.date(days[0])))

    def _reason(self, code: str | None) -> tuple[str | None, str | None]:
        """Sentence and article. A ground that is not in the catalogue is still named."""
        found = find_ground(code)
        if found:
            return found.sentence, found.article
        return (self._words.tables["reason"]["unknown_ground"].format(code=code) if code else None), None

    def _end(self, note: SystemNote) -> str:
        known = self._words.tables["ended"]
        return next((code for code in (note.reason, note.outcome) if code and code in known), "other")


def find_ground(code: str | None) -> Ground | None:
    try:
        return ground(code) if code else None
    except LawError:
        return None


def reason_ground(reason: StatusReason | None) -> Ground | None:
    """Why a request as a whole was refused."""
    return (find_ground(reason.ground) or find_ground(reason.code)) if reason else None


def _alike(items: Iterable[StatementItem]) -> list[list[StatementItem]]:
    """Items that differ only in their number and date, together: six invoices of six years are one line to a reader."""
    groups: dict[tuple[str, str, str, str | None], list[StatementItem]] = {}
    for item in items:
        groups.setdefault((item.system, item.category, item.did, item.ground), []).append(item)
    return list(groups.values())


def _readable(code: str) -> str:
    return code.replace("_", " ").capitalize()
