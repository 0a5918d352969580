"""From the facts of a request to the ZIP that is handed out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from habeas.contracts.vocabulary import Right
from services.collector.answer.archive import archive
from services.collector.answer.content import PORTABLE_ORIGINS, Left, NotCovered, Section, not_covered, sections
from services.collector.answer.data import SCHEMA_FILE, data_of, portable_bases, title_of
from services.collector.answer.encoding import to_json
from services.collector.answer.facts import AnswerFacts, Contribution
from services.collector.answer.table import to_csv
from services.collector.answer.values import RecordWriter
from services.collector.answer.words import FOLDER, Words
from shared.law.errors import LawError
from shared.law.grounds import Ground, ground
from shared.registry import Authority, Category, Party, Registry

MEDIA_TYPE: Final = "application/zip"


@dataclass(frozen=True, slots=True)
class _Part:
    """A section of the page, as the template has it."""

    anchor: str
    title: str
    held_by: str
    count: str | None
    facts: Markup
    left: list[dict[str, str | None]]
    records: Markup


class AnswerWriter:
    """Made once per registry: what the registry alone decides is written then, not for every answer."""

    def __init__(self, registry: Registry, language: str = "en") -> None:
        self._registry = registry
        self._words = Words(language)
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
        self._pages = {
            portability: self._templates.get_template(f"{language}/{name}.jinja")
            for portability, name in ((False, "access"), (True, "portability"))
        }
        self._schema = (FOLDER / SCHEMA_FILE).read_bytes()
        places = [(system.name, category) for system in registry.systems.values() for category in system.categories]
        self._processing = {(system, category.name): self._describe(category) for system, category in places}
        self._portable = {(system, category.name): self._describe_portable(category) for system, category in places}
        self._rights: dict[tuple[str, bool], Markup] = {}
        names = [category.name for _, category in places]
        self._shared_names = {name for name in names if names.count(name) > 1}

    def assemble(self, facts: AnswerFacts, contributions: Iterable[Contribution]) -> bytes:
        """The ZIP. The same facts give the same bytes, whatever the order of the contributions.

        Records that also show somebody else are left out and named as left out; whoever may weigh that (GDPR Art.
        15(4)) is a person, not this function. So are those that the right does not reach, should a system send some.
        """
        given = tuple(contributions)
        found = sections(facts.right, given, self._registry)
        beyond = not_covered(given, self._registry)
        portability = facts.right == Right.PORTABILITY
        return archive(
            (
                ("index.html", self._render(facts, given, found, beyond).encode()),
                ("data.json", to_json(data_of(facts, found, beyond, self._registry), indent=True)),
                *(((SCHEMA_FILE, self._schema),) if portability else ()),
                *(
                    (f"csv/{self._anchor(section)}.csv", to_csv(section.records, section.labels))
                    for section in found
                    if section.records
                ),
            )
        )

    def _render(
        self,
        facts: AnswerFacts,
        given: Sequence[Contribution],
        found: Sequence[Section],
        beyond: Sequence[NotCovered],
    ) -> str:
        zone = self._registry.controller.time_zone
        portability = facts.right == Right.PORTABILITY
        described = self._portable if portability else self._processing
        return self._pages[portability].render(
            facts=facts,
            schema_file=SCHEMA_FILE,
            received_on=self._words.date(facts.received_at.astimezone(zone).date()),
            answered_on=self._words.date(facts.answered_at.astimezone(zone).date()),
            limit_categories=[self._asked_for(name) for name in facts.categories],
            limit_period=self._words.period(facts.period, zone) if facts.period else None,
            parts=[self._part(section, described) for section in found],
            beyond=self._beyond(beyond),
            looked=self._looked(given, found),
            rights=self._rights_for(facts.jurisdiction, portability=portability),
        )

    def _asked_for(self, name: str) -> str:
        """The title of a category as a request names it: of whichever system."""
        categories = (category for system in self._registry.systems.values() for category in system.categories)
        return title_of(next((category for category in categories if category.name == name), None), name)

    def _beyond(self, beyond: Sequence[NotCovered]) -> list[dict[str, Any]]:
        """By ground: the same reason is not read five times."""
        titles: dict[str, list[str]] = {}
        for left in beyond:
            titles.setdefault(left.ground, []).append(title_of(left.category, left.name))
        return [{"titles": dict.fromkeys(of_ground), **_why(code)} for code, of_ground in titles.items()]

    def _part(self, section: Section, described: Mapping[tuple[str, str], Markup]) -> _Part:
        count = len(section.records)
        return _Part(
            anchor=self._anchor(section),
            title=title_of(section.category, section.name),
            held_by=self._system_title(section.system),
            count=self._words.records(count) if count else None,
            facts=described.get((section.system, section.name), Markup()),
            left=[self._left(left) for left in section.left],
            records=RecordWriter(section.labels, self._words).write(section.records),
        )

    def _left(self, left: Left) -> dict[str, str | None]:
        return {
            "what": f"{self._words.records(left.count)} {self._words.of('left', left.did)}",
            **_why(left.ground),
        }

    def _looked(self, given: Sequence[Contribution], found: Sequence[Section]) -> list[tuple[str, str]]:
        """Every system of the plan, in the registry's order, and what was found there."""
        held: dict[str, int] = {}
        for section in found:
            held[section.system] = held.get(section.system, 0) + len(section.records)
        by_name = {contribution.system: contribution for contribution in given}
        order = [*(name for name in self._registry.systems if name in by_name), *sorted(by_name)]
        return [
            (
                self._system_title(name),
                self._words.records(held[name])
                if held.get(name)
                else self._words.of("ended", by_name[name].reason or by_name[name].outcome or "other"),
            )
            for name in dict.fromkeys(order)
        ]

    def _describe(self, category: Category) -> Markup:
        """GDPR Art. 15(1)(a)-(d), (g) and 15(2), for one category."""
        words = self._words
        rendered = self._templates.get_template(f"{words.language}/processing.jinja").render(
            category=category,
            purposes=[self._registry.purposes[purpose] for purpose in category.purposes],
            bases=[words.of("basis", basis) for basis in category.bases],
            origins=[words.of("origin", origin) for origin in category.origin],
            sources=[party.name for party in category.sources],
            recipients=[self._party(party) for party in category.recipients],
        )
        return Markup(rendered)  # noqa: S704 - the template has escaped it

    def _party(self, party: Party) -> dict[str, str | None]:
        country = self._words.tables["country"].get(party.country, party.country)
        return {"name": party.name, "kind": party.kind, "country": country, "safeguard": party.safeguard}

    def _describe_portable(self, category: Category) -> Markup:
        """Why portability covers a category (GDPR Art. 20(1))."""
        words = self._words
        rendered = self._templates.get_template(f"{words.language}/portable.jinja").render(
            origins=[words.of("origin", origin) for origin in category.origin if origin in PORTABLE_ORIGINS],
            bases=[words.of("basis", basis) for basis in portable_bases(category)],
        )
        return Markup(rendered)  # noqa: S704 - the template has escaped it

    def _rights_for(self, jurisdiction: str | None, *, portability: bool) -> Markup:
        """GDPR Art. 15(1)(e), (f) and (h), or where to complain: written once for every authority."""
        authority: Authority = self._registry.authority_for(jurisdiction)
        rendered = self._rights.get((authority.name, portability))
        if rendered is None:
            name = "rights_portability" if portability else "rights_access"
            template = self._templates.get_template(f"{self._words.language}/{name}.jinja")
            local = authority is not self._registry.authorities["default"]
            rendered = Markup(template.render(authority=authority, local=local))  # noqa: S704 - escaped by the template
            self._rights[authority.name, portability] = rendered
        return rendered

    def _anchor(self, section: Section) -> str:
        """The category's name; with its system's where another system has a category of that name."""
        known = section.category is not None and section.name not in self._shared_names
        return section.name if known else f"{section.system}-{section.name}"

    def _system_title(self, system: str) -> str:
        return self._registry.systems[system].title if system in self._registry.systems else system


def _why(code: str | None) -> dict[str, str | None]:
    """Sentence and article. A ground that is not in the catalogue is still named."""
    try:
        found: Ground | None = ground(code) if code else None
    except LawError:
        found = None
    return {"why": found.sentence if found else code or "", "article": found.article if found else None}
