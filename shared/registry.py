"""The registry: the controller's privacy policy as configuration, read once at start.

It says who the controller is, which portals are believed, and for each system what it holds, why, and what an
erasure does to it. Everything a plan, a due date or a letter states about the controller comes from here.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from shared.law.places import country_of
from shared.law.regime import regimes
from shared.registry_entries import (
    AtErasure,
    Authority,
    Category,
    Controller,
    Country,
    Days,
    Entry,
    Jurisdiction,
    Mails,
    Name,
    NotController,
    ParticipantName,
    Party,
    Policy,
    Portal,
    System,
    Text,
)
from shared.registry_errors import Problem, RegistryError, explain

__all__ = [
    "AtErasure",
    "Authority",
    "Category",
    "Controller",
    "Mails",
    "NotController",
    "Party",
    "Policy",
    "Portal",
    "Problem",
    "Registry",
    "RegistryError",
    "System",
    "load_registry",
]

RESERVED = frozenset({"intake", "fanout", "collector", "notifier", "services", "operators"})
"""Principals of the application itself; no participant may have their name."""


class Registry(Entry):
    """Frozen; `systems` and `portals` keep the order of the file."""

    policy: Policy
    controller: Controller
    mails: Mails
    answer_days_valid: Days
    authorities: Mapping[Jurisdiction, Authority]
    regulations: Mapping[str, tuple[Country, ...]]
    purposes: Mapping[Name, Text]
    parties: Mapping[Name, Party]
    not_controller: Mapping[Name, NotController] = Field(default_factory=dict)
    """What a request may name as its category although another controller holds it."""
    portals: Mapping[ParticipantName, Portal] = Field(min_length=1, description="a table for each portal")
    systems: Mapping[ParticipantName, System] = Field(min_length=1, description="a table for each system")

    @cached_property
    def participants(self) -> tuple[str, ...]:
        """The names of all portals and systems."""
        return (*self.portals, *self.systems)

    def regulation_for(self, jurisdiction: str | None) -> str | None:
        """The regime of where a person is (ISO 3166-1 or -2), or None: that request goes to triage."""
        if jurisdiction is None:
            return None
        country = country_of(jurisdiction)
        return next((code for code, countries in self.regulations.items() if country in countries), None)

    def authority_for(self, jurisdiction: str | None) -> Authority:
        """The supervisory authority of the region, else the country, else the controller's own."""
        closest = (jurisdiction, country_of(jurisdiction)) if jurisdiction else ()
        return next(
            (self.authorities[code] for code in closest if code in self.authorities), self.authorities["default"]
        )

    @cached_property
    def category_names(self) -> frozenset[str]:
        """What a request may name as its categories, of any system."""
        return frozenset(category.name for system in self.systems.values() for category in system.categories)

    def category(self, system: str, name: str) -> Category | None:
        """A system's category by name, or None where the registry (by now) has no such entry."""
        held = self.systems[system].categories if system in self.systems else ()
        return next((category for category in held if category.name == name), None)


def load_registry(path: Path) -> Registry:
    """Reads and checks a registry; raises `RegistryError` with everything that is wrong in it."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        advice = f"cannot be read ({error.strerror}): set HABEAS_REGISTRY to a TOML file such as registry/ale.toml"
        raise RegistryError(path, (Problem("", advice),)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RegistryError(path, (Problem("", f"is not TOML in UTF-8: {error}"),)) from error

    problems = list(_link(tables))
    if problems:
        raise RegistryError(path, tuple(problems))
    try:
        registry = Registry.model_validate(tables)
    except ValidationError as error:
        raise RegistryError(path, tuple(explain(finding, Registry) for finding in error.errors())) from error
    problems = list(_contradictions(registry))
    if problems:
        raise RegistryError(path, tuple(problems))
    return registry


def _tables(parent: object, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    found = parent.get(key) if isinstance(parent, dict) else None
    if isinstance(found, dict):
        yield from ((name, table) for name, table in found.items() if isinstance(table, dict))


def _link(tables: dict[str, Any]) -> Iterator[Problem]:
    """Gives participants their names and replaces the names of parties by the parties themselves."""
    try:
        parties = TypeAdapter(dict[Name, Party]).validate_python(tables.get("parties", {}))
    except ValidationError as error:
        yield from (explain(finding, Registry, ("parties",)) for finding in error.errors())
        return
    for kind in ("portals", "systems"):
        for name, table in _tables(tables, kind):
            if table.setdefault("name", name) != name:
                yield Problem(f"{kind}.{name}.name", "remove it: the name is the table's")
    for system, table in _tables(tables, "systems"):
        categories = table.get("categories")
        for index, category in enumerate(categories if isinstance(categories, list) else ()):
            for member in ("recipients", "sources"):
                names = category.get(member) if isinstance(category, dict) else None
                if not isinstance(names, list):
                    continue
                for position, name in enumerate(names):
                    if isinstance(name, str) and name in parties:
                        names[position] = parties[name]
                    else:
                        path = f"systems.{system}.categories[{index}].{member}[{position}]"
                        yield Problem(path, f"write one of {', '.join(parties)}, or add it under [parties]")


def _contradictions(registry: Registry) -> Iterator[Problem]:
    """What each table allows and all of them together do not."""
    yield from _misnamed_participants(registry)
    yield from _misplaced_countries(registry)
    yield from _held_and_not(registry)
    if "default" not in registry.authorities:
        yield Problem("authorities.default", "is missing: add the authority where the controller is established")
    for system in registry.systems.values():
        for index, category in enumerate(system.categories):
            for position, purpose in enumerate(category.purposes):
                if purpose not in registry.purposes:
                    path = f"systems.{system.name}.categories[{index}].purposes[{position}]"
                    yield Problem(path, f"write one of {', '.join(registry.purposes)}, or add it under [purposes]")


def _held_and_not(registry: Registry) -> Iterator[Problem]:
    for name in registry.category_names & set(registry.not_controller):
        yield Problem(f"not_controller.{name}", "is a category that a system holds: remove it here or there")


def _misnamed_participants(registry: Registry) -> Iterator[Problem]:
    for name in registry.systems:
        if name in registry.portals:
            yield Problem(f"systems.{name}", "is a portal's name as well: give one of the two another")
    for kind, names in (("portals", registry.portals), ("systems", registry.systems)):
        for name in RESERVED.intersection(names):
            yield Problem(f"{kind}.{name}", "is a principal of the application itself: choose another name")


def _misplaced_countries(registry: Registry) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for code, countries in registry.regulations.items():
        if code not in regimes():
            yield Problem(f"regulations.{code}", f"is not known: write one of {', '.join(regimes())}")
        for index, country in enumerate(countries):
            if country in seen:
                yield Problem(
                    f"regulations.{code}[{index}]", f"remove {country}: it stands under {seen[country]} already"
                )
            seen.setdefault(country, code)
