"""`data.json`: the data exactly as it is held, for programs."""

from collections.abc import Sequence
from typing import Any

from habeas.contracts.vocabulary import LegalBasis, Right
from services.collector.answer.content import NotCovered, Section
from services.collector.answer.facts import AnswerFacts
from shared.registry import Category, Registry

SCHEMA_FILE = "schema.json"
PORTABLE_BASES = (LegalBasis.CONSENT, LegalBasis.CONTRACT)
"""GDPR Art. 20(1)(a)."""


def data_of(
    facts: AnswerFacts, found: Sequence[Section], beyond: Sequence[NotCovered], registry: Registry
) -> dict[str, Any]:
    """What `data.json` holds. For a portability `schema.json` describes it; for an access it says as well how each
    category is processed."""
    portability = facts.right == Right.PORTABILITY
    return {
        **({"$schema": SCHEMA_FILE} if portability else {}),
        "request_id": facts.request_id,
        "reference": facts.reference,
        "right": facts.right,
        "regulation": facts.regulation,
        "received_at": facts.received_at,
        "answered_at": facts.answered_at,
        "limited_to": _limits(facts),
        "controller": {
            "name": registry.controller.name,
            "service": registry.controller.service,
            "postal_address": registry.controller.postal_address,
            "contact": registry.controller.contact,
        },
        **({} if portability else _of_access(facts, registry)),
        "categories": [_section(section, registry, portability=portability) for section in found],
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


def _of_access(facts: AnswerFacts, registry: Registry) -> dict[str, Any]:
    return {
        "policy": {"version": registry.policy.version, "url": registry.policy.url},
        "authority": registry.authority_for(facts.jurisdiction).model_dump(),
    }


def _section(section: Section, registry: Registry, *, portability: bool) -> dict[str, Any]:
    category = section.category
    why: dict[str, Any] = (
        {"bases": portable_bases(category) if category else []}
        if portability
        else {"processing": category and _processing(category, registry)}
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
