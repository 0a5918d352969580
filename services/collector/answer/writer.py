"""From the facts of a request to the ZIP that is handed out."""

from collections.abc import Iterable
from typing import Final

from habeas.contracts.vocabulary import Right
from services.collector.answer.archive import archive
from services.collector.answer.content import not_covered, sections
from services.collector.answer.data import SCHEMA_FILE, DataWriter
from services.collector.answer.facts import AnswerFacts, Contribution
from services.collector.answer.page import PageWriter
from services.collector.answer.table import to_csv
from services.collector.answer.words import FOLDER, Words
from shared.registry import Registry

MEDIA_TYPE: Final = "application/zip"


class AnswerWriter:
    """Made once per registry: what the registry alone decides is written once, not for every answer."""

    def __init__(self, registry: Registry, language: str = "en") -> None:
        self._registry = registry
        self._page = PageWriter(registry, Words(language))
        self._data = DataWriter(registry)
        self._schema = (FOLDER / SCHEMA_FILE).read_bytes()

    def assemble(self, facts: AnswerFacts, contributions: Iterable[Contribution]) -> bytes:
        """The ZIP. The same facts give the same bytes, whatever the order of the contributions.

        Records that also show somebody else are left out and named as left out; whoever may weigh that (GDPR Art.
        15(4)) is a person, not this function. So are those that the right does not reach, should a system send some.
        """
        given = tuple(contributions)
        found = sections(facts.right, given, self._registry)
        beyond = not_covered(given, self._registry)
        portability = facts.right == Right.PORTABILITY
        filled = [section for section in found if section.records]
        tables = to_csv([(section.records, section.labels) for section in filled])
        names = (f"csv/{self._page.anchor(section.system, section.name)}.csv" for section in filled)
        return archive(
            (
                ("index.html", self._page.write(facts, given, found, beyond)),
                ("data.json", self._data.write(facts, found, beyond)),
                *(((SCHEMA_FILE, self._schema),) if portability else ()),
                *zip(names, tables, strict=True),
            )
        )
