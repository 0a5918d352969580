"""From the facts of a request to the ZIP that is handed out."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from habeas.contracts.vocabulary import Right
from services.collector.answer.archive import archive
from services.collector.answer.content import Left, Section, sections
from services.collector.answer.encoding import to_json
from services.collector.answer.facts import AnswerFacts, Contribution
from services.collector.answer.table import to_csv
from services.collector.answer.values import RecordWriter
from services.collector.answer.words import FOLDER, Words
from shared.law.errors import LawError
from shared.law.grounds import Ground, ground
from shared.registry import Authority, Category, Party, Registry

MEDIA_TYPE: Final = "application/zip"


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
        self._page = self._templates.get_template(f"{language}/page.jinja")
        self._processing = {
            (system.name, category.name): self._describe(category)
            for system in registry.systems.values()
            for category in system.categories
        }
        self._rights: dict[str, Markup] = {}
        names = [category.name for system in registry.systems.values() for category in system.categories]
        self._shared_names = {name for name in names if names.count(name) > 1}

    def assemble(self, facts: AnswerFacts, contributions: Iterable[Contribution]) -> bytes:
        """The ZIP. The same facts give the same bytes, whatever the order of the contributions.

        Records that also show somebody else are left out and named as left out; whoever may weigh that (GDPR Art.
        15(4)) is a person, not this function.
        """
        given = tuple(contributions)
        found = sections(facts.right, given, self._registry)
        return archive(
            (
                ("index.html", self._render(facts, given, found).encode()),
                ("data.json", self._data(facts, found)),
                *(
                    (f"csv/{self._anchor(section)}.csv", to_csv(section.records, section.labels))
                    for section in found
                    if section.records
                ),
            )
        )

    def _render(self, facts: AnswerFacts, given: Sequence[Contribution], found: Sequence[Section]) -> str:
        zone = self._registry.controller.time_zone
        return self._page.render(
            facts=facts,
            portability=facts.right == Right.PORTABILITY,
            received_on=self._words.date(facts.received_at.astimezone(zone).date()),
            answered_on=self._words.date(facts.answered_at.astimezone(zone).date()),
            parts=[self._part(section) for section in found],
            looked=self._looked(given, found),
            rights=self._rights_for(facts.jurisdiction),
        )

    def _part(self, section: Section) -> dict[str, Any]:
        count = len(section.records)
        return {
            "anchor": self._anchor(section),
            "title": self._title(section),
            "held_by": self._system_title(section.system),
            "count": self._words.records(count) if count else None,
            "processing": self._processing.get((section.system, section.name), ""),
            "left": [self._left(left) for left in section.left],
            "records": RecordWriter(section.labels, self._words).write(section.records),
        }

    def _left(self, left: Left) -> dict[str, str | None]:
        reason = _ground(left.ground)
        return {
            "what": f"{self._words.records(left.count)} {self._words.of('left', left.did)}",
            "why": reason.sentence if reason else left.ground or "",
            "article": reason.article if reason else None,
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

    def _data(self, facts: AnswerFacts, found: Sequence[Section]) -> bytes:
        registry = self._registry
        authority = registry.authority_for(facts.jurisdiction)
        return to_json(
            {
                "request_id": facts.request_id,
                "reference": facts.reference,
                "right": facts.right,
                "regulation": facts.regulation,
                "received_at": facts.received_at,
                "answered_at": facts.answered_at,
                "controller": {
                    "name": registry.controller.name,
                    "postal_address": registry.controller.postal_address,
                    "contact": registry.controller.contact,
                },
                "policy": {"version": registry.policy.version, "url": registry.policy.url},
                "authority": authority.model_dump(),
                "categories": [
                    {
                        "category": section.name,
                        "title": self._title(section),
                        "system": section.system,
                        "processing": section.category and self._processing_data(section.category),
                        "labels": section.labels,
                        "left_out": [
                            {"did": left.did, "count": left.count, "ground": left.ground} for left in section.left
                        ],
                        "records": [
                            {
                                "id": record.id,
                                "origin": record.origin,
                                "source": record.source,
                                "data": record.data,
                                "files": record.files,
                            }
                            for record in section.records
                        ],
                    }
                    for section in found
                ],
            },
            indent=True,
        )

    def _processing_data(self, category: Category) -> dict[str, Any]:
        return {
            "purposes": [self._registry.purposes[purpose] for purpose in category.purposes],
            "bases": category.bases,
            "origin": category.origin,
            "recipients": [party.model_dump() for party in category.recipients],
            "sources": [party.name for party in category.sources],
            "retention": category.retention,
        }

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

    def _rights_for(self, jurisdiction: str | None) -> Markup:
        """GDPR Art. 15(1)(e), (f) and (h): written once for every authority."""
        authority: Authority = self._registry.authority_for(jurisdiction)
        rendered = self._rights.get(authority.name)
        if rendered is None:
            template = self._templates.get_template(f"{self._words.language}/rights.jinja")
            local = authority is not self._registry.authorities["default"]
            rendered = Markup(template.render(authority=authority, local=local))  # noqa: S704 - escaped by the template
            self._rights[authority.name] = rendered
        return rendered

    def _anchor(self, section: Section) -> str:
        """The category's name; with its system's where another system has a category of that name."""
        known = section.category is not None and section.name not in self._shared_names
        return section.name if known else f"{section.system}-{section.name}"

    def _title(self, section: Section) -> str:
        return section.category.title if section.category else section.name.replace("_", " ").capitalize()

    def _system_title(self, system: str) -> str:
        return self._registry.systems[system].title if system in self._registry.systems else system


def _ground(code: str | None) -> Ground | None:
    try:
        return ground(code) if code else None
    except LawError:
        return None
