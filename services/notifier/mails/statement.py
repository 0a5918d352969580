"""What was done with a person's data, told, left and not covered: the entries of a letter's sections."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
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
_DEEDS: Final = 1024
"""That a clerk remembers: systems and categories have open names."""
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


_EMPTY: Final = Statement()


@dataclass(frozen=True, slots=True)
class _Deed:
    """What the entries about one deed to one category have in common."""

    is_left: bool
    title: str
    did: str
    why: str | None
    article: str | None
    until: str | None
    """By what rule it is kept, where no dates are given."""


class Clerk:
    """Writes the entries of all letters about one right, to one audience, in one language."""

    def __init__(self, right: str, registry: Registry, words: Words) -> None:
        self.registry = registry
        self.words = words
        self._right = right
        self._deed = lru_cache(_DEEDS)(self._new_deed)

    def statement(self, items: Sequence[StatementItem], blanks: Blanks) -> Statement:
        if not items:
            return _EMPTY
        told = [item for item in items if item.did == Did.RECIPIENTS_NOTIFIED]
        others = [item for item in items if item.did != Did.RECIPIENTS_NOTIFIED]
        done: list[Entry] = []
        left: list[Entry] = []
        for group in _alike(others):
            deed = self._deed(group[0].system, group[0].category, group[0].did, group[0].ground)
            (left if deed.is_left else done).append(self._entry(deed, group, blanks))
        kept = [item for item in others if item.did == Did.RETAINED and item.ground != _HELD]
        return Statement(
            done=tuple(done),
            left=tuple(left),
            told=tuple([self._told(group, blanks) for group in _alike(told) if any(item.count for item in group)]),
            suppressed=any(item.did == Did.SUPPRESSED for item in items),
            keeps=self._right not in COPIES and bool(kept),
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
                yield Entry(title, self.words.of("ended", self._end(note)))

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
            known = self.registry.not_controller.get(name)
            ask = known.ask if known else self.words.of("reason", "unknown_elsewhere")
            yield Entry(known.title if known else _readable(name), why=ask)

    def system(self, name: str) -> str:
        return self.registry.systems[name].title if name in self.registry.systems else name

    def progress(self, note: SystemNote) -> str:
        """For the privacy team."""
        state = self.words.tables["state"].get(note.state, note.state)
        return ", ".join(filter(None, (state, note.outcome, note.reason)))

    def _is_left(self, did: str, ground: str | None) -> bool:
        """To blacken a record leaves something out of a copy; in an erasure it is the erasing. To restrict is what a
        restriction asks for; where another right has a ground for it, or for going on, something was not done."""
        if did == Did.REDACTED:
            return self._right in COPIES
        if did in _LEFT_FOR_A_GROUND:
            return ground is not None and self._right != Right.RESTRICTION
        return did in _LEFT

    def _new_deed(self, system: str, name: str, did: str, ground: str | None) -> _Deed:
        category = self.registry.category(system, name)
        fallback = category.at_erasure if category and did == Did.RETAINED else None
        why, article = self._reason(ground or (fallback.ground if fallback else None))
        until = None
        if fallback and fallback.until and ground in {None, fallback.ground}:
            until = self.words.tables["until"]["rule"].format(rule=fallback.until)
        said = self.words.of("did", self._word_for(did))
        return _Deed(self._is_left(did, ground), self._title(system, name), said, why, article, until)

    def _entry(self, deed: _Deed, items: Sequence[StatementItem], blanks: Blanks) -> Entry:
        count = sum([each.count for each in items])
        days = sorted([each.until for each in items if each.until])
        return Entry(
            title=deed.title,
            did=f"{self.words.count('records', count, blanks(str(count)))} {deed.did}" if count else deed.did,
            until=self._until(days, blanks),
            why=deed.why if days or not deed.until else " ".join(filter(None, (deed.why, deed.until))),
            article=deed.article,
        )

    def _word_for(self, did: str) -> str:
        if did == Did.REDACTED and self._right not in COPIES:
            return "redacted_in_place"
        if did in {Did.REDACTED, Did.WITHHELD} and self._right == Right.PORTABILITY:
            return f"{did}_from_files"
        return did

    def _told(self, items: Sequence[StatementItem], blanks: Blanks) -> Entry:
        item, count = items[0], max(each.count for each in items)
        category: Category | None = self.registry.category(item.system, item.category)
        names = [party.name for party in category.recipients] if category else []
        form: str = self.words.tables["told"]["all" if count == len(names) else "some"]
        return Entry(
            title=self._title(item.system, item.category),
            did=self.words.count("told", count, blanks(str(count))),
            why=form.format(names=", ".join(names)) if names else None,
        )

    def _title(self, system: str, code: str) -> str:
        """The title's head: what exactly the category holds after the colon is for the policy and the copy."""
        category = self.registry.category(system, code)
        return category.title.partition(": ")[0] if category else _readable(code)

    def _until(self, days: Sequence[date], blanks: Blanks) -> str | None:
        if not days:
            return None
        form: str = self.words.tables["until"]["date" if days[0] == days[-1] else "dates"]
        return blanks(form.format(date=self.words.date(days[-1]), first=self.words.date(days[0])))

    def _reason(self, code: str | None) -> tuple[str | None, str | None]:
        """Sentence and article. A ground that is not in the catalogue is still named."""
        found = find_ground(code)
        if found:
            return found.sentence, found.article
        return (self.words.tables["reason"]["unknown_ground"].format(code=code) if code else None), None

    def _end(self, note: SystemNote) -> str:
        known = self.words.tables["ended"]
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
