"""`data.json`: the data exactly as it is held, for programs."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from habeas.contracts.vocabulary import LegalBasis, Right
from services.collector.answer.content import NotCovered, Section
from services.collector.answer.encoding import to_json
from services.collector.answer.facts import AnswerFacts
from shared.registry import Category, Registry

SCHEMA_FILE = "schema.json"
PORTABLE_BASES = (LegalBasis.CONSENT, LegalBasis.CONTRACT)
"""GDPR Art. 20(1)(a)."""


class DataWriter:
    """Writes `data.json`. For a portability `schema.json` describes it; for an access it says as well how each category
    is processed. What the registry alone decides is put together once."""

    def __init__(self, registry: Registry) -> None:
        controller = registry.controller
        self._controller = {
            "name": controller.name,
            "service": controller.service,
            "postal_address": controller.postal_address,
            "contact": controller.contact,
        }
        self._policy = {"version": registry.policy.version, "url": registry.policy.url}
        self._authority = lru_cache(256)(lambda jurisdiction: registry.authority_for(jurisdiction).model_dump())
        self._processing = {
            (system.name, category.name): _processing(category, registry)
            for system in registry.systems.values()
            for category in system.categories
        }

    def write(self, facts: AnswerFacts, found: Sequence[Section], beyond: Sequence[NotCovered]) -> bytes:
        portability = facts.right == Right.PORTABILITY
        data = {
            **({"$schema": SCHEMA_FILE} if portability else {}),
            "request_id": facts.request_id,
            "reference": facts.reference,
            "right": facts.right,
            "regulation": facts.regulation,
            "received_at": facts.received_at,
            "answered_at": facts.answered_at,
            "limited_to": _limits(facts),
            "controller": self._controller,
            **({} if portability else self._of_access(facts)),
            "categories": [self._section(section, portability=portability) for section in found],
            "not_covered": [
                {
                    "category": left.name,
                    "title": title_of(left.category, left.name),
                    "system": left.system,
                    "ground": left.ground,
                }
                for left in beyond
            ],
        }
        return to_json(data, indent=True)

    def _of_access(self, facts: AnswerFacts) -> dict[str, Any]:
        return {"policy": self._policy, "authority": self._authority(facts.jurisdiction)}

    def _section(self, section: Section, *, portability: bool) -> dict[str, Any]:
        category = section.category
        why: dict[str, Any] = (
            {"bases": portable_bases(category) if category else []}
            if portability
            else {"processing": self._processing.get((section.system, section.name))}
        )
        return {
            "category": section.name,
            "title": title_of(category, section.name),
            "system": section.system,
            **why,
            "labels": section.labels,
            "left_out": [{"did": left.did, "count": left.count, "ground": left.ground} for left in section.left],
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


def portable_bases(category: Category) -> list[LegalBasis]:
    """The bases on which portability reaches a category."""
    return [basis for basis in category.bases if basis in PORTABLE_BASES]


def title_of(category: Category | None, name: str) -> str:
    return category.title if category else name.replace("_", " ").capitalize()


def _limits(facts: AnswerFacts) -> dict[str, Any] | None:
    period = facts.period
    if not facts.categories and period is None:
        return None
    return {
        "categories": list(facts.categories) or None,
        "from": period.start if period else None,
        "before": period.end if period else None,
    }


def _processing(category: Category, registry: Registry) -> dict[str, Any]:
    """GDPR Art. 15(1)(a)-(d), (g)."""
    return {
        "purposes": [registry.purposes[purpose] for purpose in category.purposes],
        "bases": category.bases,
        "origin": category.origin,
        "recipients": [party.model_dump() for party in category.recipients],
        "sources": [party.name for party in category.sources],
        "retention": category.retention,
    }
