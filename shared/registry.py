"""The registry: the controller's privacy policy as configuration, read once at start.

It says who the controller is, which portals are believed, and for each system what it holds, why, and what an
erasure does to it. Everything a plan, a due date or a letter states about the controller comes from here.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from habeas.contracts.base import Participant
from habeas.contracts.vocabulary import Instruction, LegalBasis, Origin, ProofLevel
from shared.law.errors import LawError
from shared.law.grounds import ground
from shared.law.places import EEA, country_of, working_days
from shared.law.regime import regimes
from shared.registry_errors import Problem, RegistryError, explain

RESERVED = frozenset({"intake", "fanout", "collector", "notifier", "services", "operators"})
"""Principals of the application itself; no participant may have their name."""

_LEVELS = tuple(ProofLevel)  # from low to high


def _ground_code(value: object) -> object:
    if isinstance(value, str):
        try:
            ground(value)
        except LawError as error:
            raise ValueError(str(error)) from error
    return value


def _place(value: object) -> object:
    if isinstance(value, str):
        try:
            working_days(value)
        except LawError as error:
            raise ValueError(str(error)) from error
    return value


def _time_zone(value: object) -> object:
    if isinstance(value, str):
        try:
            return ZoneInfo(value)
        except (KeyError, OSError, ValueError) as error:
            advice = "write a name of the IANA time zone database, such as 'Europe/Berlin', and install tzdata"
            raise ValueError(advice) from error
    return value


Text = Annotated[str, Field(min_length=1, description="text, not empty")]
Email = Annotated[
    str, Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$", description="a mail address, such as 'privacy@ale.example'")
]
Url = Annotated[str, Field(pattern=r"^https?://\S+$", description="an address that begins with https://")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", description="a name in snake_case, such as 'invoices'")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="an ISO 3166-1 country, such as 'DE'")]
Jurisdiction = Annotated[
    str,
    Field(
        pattern=r"^(default|[A-Z]{2}(-[A-Z0-9]{1,3})?)$",
        description="a country ('DE'), a region ('DE-BY') or 'default'",
    ),
]
ParticipantName = Annotated[Participant, Field(description="a name matching [a-z][a-z0-9-]{1,30}")]
GroundCode = Annotated[str, BeforeValidator(_ground_code)]
Days = Annotated[int, Field(ge=1, le=365, strict=True, description="a whole number of days from 1 to 365")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)


class Policy(_Entry):
    """The privacy policy in force, cited in every answer."""

    version: Text
    url: Url


class Controller(_Entry):
    name: Text
    service: Text
    postal_address: Text
    contact: Email
    dpo_email: Email
    place: Annotated[str, BeforeValidator(_place)]
    """ISO 3166-1 or -2. Its public holidays move a last day (Reg. 1182/71 Art. 3(4))."""
    time_zone: Annotated[ZoneInfo, BeforeValidator(_time_zone)]
    """Whose day a "day" is."""
    languages: tuple[
        Annotated[str, Field(pattern=r"^[a-z]{2}$", description="an ISO 639-1 language, such as 'en'")], ...
    ]
    court: Text
    """The sentence on the judicial remedy (GDPR Art. 79), for letters."""


class Mails(_Entry):
    """Whom mails to requesters come from."""

    sender_name: Text
    sender_address: Email


class Authority(_Entry):
    """Where a person may complain (GDPR Art. 77)."""

    name: Text
    postal_address: Text
    url: Url


class Party(_Entry):
    """An actual recipient or source, by its name and not only its kind (C-154/21)."""

    name: Text
    kind: Text
    country: Country
    safeguard: Text | None = None
    """What protects a transfer out of the EEA (GDPR Art. 15(2), 46)."""

    @model_validator(mode="after")
    def _outside_eea_with_safeguard(self) -> Self:
        if self.country not in EEA and self.safeguard is None:
            raise ValueError(
                f"{self.country} is outside the EEA: add `safeguard`, what protects the transfer (Art. 46)"
            )
        return self


class AtErasure(_Entry):
    """What an erasure does to a category, and what may keep it from it."""

    instruction: Instruction
    ground: GroundCode | None = None
    """Why it is retained."""
    until: Text | None = None
    """Until when it is retained, as a rule for people; the system knows the date of each record."""
    unless: GroundCode | None = None
    """A ground on which the system, which alone knows the facts, keeps what it would else delete or anonymize."""

    @model_validator(mode="after")
    def _kept_with_ground(self) -> Self:
        retained = self.instruction is Instruction.RETAIN
        if retained and (self.ground is None or self.until is None):
            raise ValueError("what is retained needs its `ground` and `until`, which the person is told (Art. 12(4))")
        if retained and self.unless is not None:
            raise ValueError("remove `unless`: what is retained anyway needs no exception")
        if not retained and (self.ground is not None or self.until is not None):
            raise ValueError("`ground` and `until` belong to what is retained: write `unless` for an exception")
        return self


class Category(_Entry):
    """One kind of data a system holds for the same purposes, on the same bases, with the same fate."""

    name: Name
    title: Text
    purposes: tuple[Name, ...] = Field(min_length=1, description="one purpose or more, each a name under [purposes]")
    basis: LegalBasis
    further_bases: tuple[LegalBasis, ...] = ()
    """Other bases of the same data, for other purposes or other people."""
    origin: tuple[Origin, ...] = Field(min_length=1, description="one or more of " + ", ".join(Origin))
    recipients: tuple[Party, ...] = Field(description="a list of names under [parties], possibly empty")
    sources: tuple[Party, ...] = ()
    """Where data came from that the person did not give (GDPR Art. 15(1)(g))."""
    retention: Text
    at_erasure: AtErasure
    reviewed: StrictBool = False
    """Whether a person reviews it before it is sent (GDPR Art. 15(4))."""
    marketing: StrictBool = False
    """Direct marketing: an objection always succeeds (GDPR Art. 21(3))."""

    @property
    def bases(self) -> tuple[LegalBasis, ...]:
        """All bases, the main one first."""
        return (self.basis, *self.further_bases)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.basis in self.further_bases:
            raise ValueError(f"remove {self.basis} from `further_bases`: it is the `basis` already")
        kept = {LegalBasis.LEGAL_OBLIGATION, LegalBasis.PUBLIC_TASK} & set(self.bases)
        if kept and self.at_erasure.instruction is not Instruction.RETAIN:
            basis = ", ".join(sorted(kept))
            raise ValueError(
                f"{basis} does not end with an erasure (Art. 17(3)(b)): at_erasure.instruction is 'retain'"
            )
        return self


class Portal(_Entry):
    """Where requests come from, and whose word on a person's identity is taken."""

    name: str
    title: Text
    trusted: Mapping[Name, ProofLevel]
    """Proof method → the lowest level at which it is believed (eIDAS Art. 8(2))."""

    def trusts(self, method: str, level: str) -> bool:
        """Whether a proof by this method at this level counts; unknown methods and levels do not."""
        lowest = self.trusted.get(method)
        return lowest is not None and level in _LEVELS and _LEVELS.index(ProofLevel(level)) >= _LEVELS.index(lowest)


class System(_Entry):
    """A system that holds people's data, and the team that answers for it."""

    name: str
    title: Text
    team: Text
    contact: Email
    needs: frozenset[Name] = Field(min_length=1, description="identity types, any one of which finds a person there")
    provides: frozenset[Name] = frozenset()
    """Identity types that its answer may contain, for the systems that wait for them."""
    days: Days
    """How long it has for a task, in calendar days of 24 hours from the receipt of the request."""
    categories: tuple[Category, ...] = Field(min_length=1, description="a [[…categories]] table for each kind of data")

    @model_validator(mode="after")
    def _categories_once(self) -> Self:
        names = [category.name for category in self.categories]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"each category stands once: join or rename {', '.join(twice)}")
        return self


class Registry(_Entry):
    """Frozen; `systems` and `portals` keep the order of the file."""

    policy: Policy
    controller: Controller
    mails: Mails
    answer_days_valid: Days
    authorities: Mapping[Jurisdiction, Authority]
    regulations: Mapping[str, tuple[Country, ...]]
    purposes: Mapping[Name, Text]
    parties: Mapping[Name, Party]
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
    if "default" not in registry.authorities:
        yield Problem("authorities.default", "is missing: add the authority where the controller is established")
    for system in registry.systems.values():
        for index, category in enumerate(system.categories):
            for position, purpose in enumerate(category.purposes):
                if purpose not in registry.purposes:
                    path = f"systems.{system.name}.categories[{index}].purposes[{position}]"
                    yield Problem(path, f"write one of {', '.join(registry.purposes)}, or add it under [purposes]")


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
