"""`index.html`: a frame and forms of sections that are the same for many answers, with holes for what is not.

What the registry and the templates alone decide is rendered and encoded once; an answer fills the holes. A person's
data is never part of a form that is kept.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from habeas.contracts.vocabulary import Right
from services.collector.answer.content import PORTABLE_ORIGINS, Left, NotCovered, Section
from services.collector.answer.data import SCHEMA_FILE, portable_bases, title_of
from services.collector.answer.facts import AnswerFacts, Contribution
from services.collector.answer.values import RecordWriter
from services.collector.answer.words import FOLDER, Words
from shared.law.errors import LawError
from shared.law.grounds import Ground, ground
from shared.registry import Category, Party, Registry

_HOLE: Final = re.compile("\0([a-z_]*)\0")
_KEPT: Final = 256
"""Forms of each kind: some kilobytes each."""


class _Frame(NamedTuple):
    """What decides about a page besides what fills its holes."""

    portability: bool
    jurisdiction: str | None
    for_another: bool
    named: bool
    limited_categories: bool
    limited_period: bool
    beyond: tuple[tuple[str, str], ...]
    """Title and ground of each category that the right does not reach."""


class _Part(NamedTuple):
    """The forms of a section."""

    entry: bytes
    """In the contents; with a hole for how many records there are, if there are any."""
    head: bytes
    """With a hole as well."""
    tail: bytes


class PageWriter:
    def __init__(self, registry: Registry, words: Words) -> None:
        self._registry = registry
        self._words = words
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        style = Markup((FOLDER / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
        self._templates.globals.update(controller=registry.controller, policy=registry.policy, style=style)
        names = [category.name for system in registry.systems.values() for category in system.categories]
        self._shared_names = {name for name in names if names.count(name) > 1}
        self._frame = lru_cache(_KEPT)(self._render_frame)
        self._part = lru_cache(_KEPT)(self._render_part)
        self._count = lru_cache(_KEPT)(lambda count: words.records(count).encode())
        self._line = lru_cache(_KEPT)(self._render_line)

    def write(
        self,
        facts: AnswerFacts,
        given: Sequence[Contribution],
        found: Sequence[Section],
        beyond: Sequence[NotCovered],
    ) -> bytes:
        portability = facts.right == Right.PORTABILITY
        zone = self._registry.controller.time_zone
        period = self._words.period(facts.period, zone) if facts.period else None
        records = RecordWriter(self._words)
        for section in found:
            records.write(section.records, section.labels)
        contents: list[bytes] = []
        sections: list[bytes] = []
        for section, written in zip(found, records.sections(), strict=True):
            count = (self._count(len(section.records)),) if section.records else ()
            part = self._part(portability, section.system, section.name, bool(count), tuple(section.left))
            contents.append(part.entry % count)
            sections += (part.head % count, written.encode(), part.tail)
        frame = self._frame(
            _Frame(
                portability=portability,
                jurisdiction=facts.jurisdiction,
                for_another=facts.for_another,
                named=bool(facts.name),
                limited_categories=bool(facts.categories),
                limited_period=bool(period),
                beyond=tuple((title_of(left.category, left.name), left.ground) for left in beyond),
            )
        )
        return frame % {
            b"reference": escape(facts.reference).encode(),
            b"name": escape(facts.name or "").encode(),
            b"received_on": escape(self._words.date(facts.received_at.astimezone(zone).date())).encode(),
            b"answered_on": escape(self._words.date(facts.answered_at.astimezone(zone).date())).encode(),
            b"limit_categories": escape("; ".join(self._asked_for(name) for name in facts.categories)).encode(),
            b"limit_period": escape(period or "").encode(),
            b"contents": b"".join(contents),
            b"sections": b"".join(sections),
            b"looked": self._looked(given, found),
        }

    def _render_frame(self, frame: _Frame) -> bytes:
        return self._form(
            "portability" if frame.portability else "access",
            {
                name: _hole(name)
                for name in ("reference", "received_on", "answered_on", "contents", "sections", "looked")
            },
            schema_file=SCHEMA_FILE,
            for_another=frame.for_another,
            name=_hole("name") if frame.named else None,
            limit_categories=_hole("limit_categories") if frame.limited_categories else None,
            limit_period=_hole("limit_period") if frame.limited_period else None,
            beyond=self._beyond(frame.beyond),
            rights=self._rights(frame.jurisdiction, portability=frame.portability),
        )

    def _render_part(
        self, portability: bool, system: str, name: str, has_records: bool, left: tuple[Left, ...]
    ) -> _Part:
        category = self._registry.category(system, name)
        describe = self._describe_portable if portability else self._describe
        context = {
            "anchor": self.anchor(system, name),
            "title": title_of(category, name),
            "held_by": self._system_title(system),
            "count": _hole() if has_records else None,
            "left": [self._left(each) for each in left],
        }
        entry = self._form("contents", context)
        facts = describe(category) if category else Markup()
        section = self._form("section", context, facts=facts, records=_hole("records"))
        head, _, tail = section.partition(b"%(records)s")
        # What has no hole for the count is a form all the same: its percent signs are doubled.
        return _Part(b"%s\n" % entry, head, b"%s\n" % (tail % ()))

    def _form(self, template: str, context: Mapping[str, Any], **more: Any) -> bytes:
        rendered = self._templates.get_template(f"{self._words.language}/{template}.jinja").render(context, **more)
        form = _HOLE.sub(lambda hole: f"%({hole[1]})s" if hole[1] else "%s", rendered.replace("%", "%%"))
        return form.encode()

    def _asked_for(self, name: str) -> str:
        """The title of a category as a request names it: of whichever system."""
        categories = (category for system in self._registry.systems.values() for category in system.categories)
        return title_of(next((category for category in categories if category.name == name), None), name)

    def _beyond(self, beyond: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        """By ground: the same reason is not read five times."""
        titles: dict[str, list[str]] = {}
        for title, code in beyond:
            titles.setdefault(code, []).append(title)
        return [{"titles": dict.fromkeys(of_ground), **_why(code)} for code, of_ground in titles.items()]

    def _left(self, left: Left) -> dict[str, str | None]:
        return {
            "what": f"{self._words.records(left.count)} {self._words.of('left', left.did)}",
            **_why(left.ground),
        }

    def _looked(self, given: Sequence[Contribution], found: Sequence[Section]) -> bytes:
        """Every system of the plan, in the registry's order, and what was found there."""
        held: dict[str, int] = {}
        for section in found:
            held[section.system] = held.get(section.system, 0) + len(section.records)
        by_name = {contribution.system: contribution for contribution in given}
        order = dict.fromkeys([*(name for name in self._registry.systems if name in by_name), *sorted(by_name)])
        return b"".join(
            [
                self._line(name, held.get(name, 0), by_name[name].reason or by_name[name].outcome or "other")
                for name in order
            ]
        )

    def _render_line(self, system: str, held: int, ended: str) -> bytes:
        end = self._words.records(held) if held else self._words.of("ended", ended)
        return f"<dt>{escape(self._system_title(system))}</dt><dd>{escape(end)}</dd>\n".encode()

    def _describe(self, category: Category) -> Markup:
        """GDPR Art. 15(1)(a)-(d), (g) and 15(2), for one category."""
        words = self._words
        return self._rendered(
            "processing",
            category=category,
            purposes=[self._registry.purposes[purpose] for purpose in category.purposes],
            bases=[words.of("basis", basis) for basis in category.bases],
            origins=[words.of("origin", origin) for origin in category.origin],
            sources=[party.name for party in category.sources],
            recipients=[self._party(party) for party in category.recipients],
        )

    def _party(self, party: Party) -> dict[str, str | None]:
        country = self._words.tables["country"].get(party.country, party.country)
        return {"name": party.name, "kind": party.kind, "country": country, "safeguard": party.safeguard}

    def _describe_portable(self, category: Category) -> Markup:
        """Why portability covers a category (GDPR Art. 20(1))."""
        words = self._words
        return self._rendered(
            "portable",
            origins=[words.of("origin", origin) for origin in category.origin if origin in PORTABLE_ORIGINS],
            bases=[words.of("basis", basis) for basis in portable_bases(category)],
        )

    def _rights(self, jurisdiction: str | None, *, portability: bool) -> Markup:
        """GDPR Art. 15(1)(e), (f) and (h), or where to complain."""
        authority = self._registry.authority_for(jurisdiction)
        local = authority is not self._registry.authorities["default"]
        name = "rights_portability" if portability else "rights_access"
        return self._rendered(name, authority=authority, local=local)

    def _rendered(self, template: str, **context: Any) -> Markup:
        rendered = self._templates.get_template(f"{self._words.language}/{template}.jinja").render(context)
        return Markup(rendered)  # noqa: S704 - the template has escaped it

    def anchor(self, system: str, name: str) -> str:
        """The category's name; with its system's where another system has a category of that name."""
        known = self._registry.category(system, name) is not None and name not in self._shared_names
        return name if known else f"{system}-{name}"

    def _system_title(self, system: str) -> str:
        return self._registry.systems[system].title if system in self._registry.systems else system


def _hole(name: str = "") -> Markup:
    return Markup(f"\0{name}\0")  # noqa: S704 - what fills it is escaped


def _why(code: str | None) -> dict[str, str | None]:
    """Sentence and article. A ground that is not in the catalogue is still named."""
    try:
        found: Ground | None = ground(code) if code else None
    except LawError:
        found = None
    return {"why": found.sentence if found else code or "", "article": found.article if found else None}
