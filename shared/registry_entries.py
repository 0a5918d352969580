"""The tables of a registry: what each member means, and what it must be."""

from collections.abc import Mapping
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from habeas.contracts.base import Participant
from habeas.contracts.vocabulary import Instruction, LegalBasis, Origin, ProofLevel
from shared.law.errors import LawError
from shared.law.grounds import ground
from shared.law.places import EEA, working_days

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


def _trust(value: object) -> object:
    return {"level": value} if isinstance(value, str) else value


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


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)


class Policy(Entry):
    """The privacy policy in force, cited in every answer."""

    version: Text
    url: Url


class Controller(Entry):
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


class Mails(Entry):
    """Whom mails to requesters come from."""

    sender_name: Text
    sender_address: Email


class Authority(Entry):
    """Where a person may complain (GDPR Art. 77)."""

    name: Text
    postal_address: Text
    url: Url


class Party(Entry):
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


class AtErasure(Entry):
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


class Category(Entry):
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


class Trust(Entry):
    """How far a portal's word about a proof is taken."""

    level: ProofLevel
    """The lowest level at which it is believed (eIDAS Art. 8(2))."""
    proves: frozenset[Name] | None = None
    """The identity types it can prove; left out, any: a cookie proves the visitor and nobody's address."""


class Portal(Entry):
    """Where requests come from, and whose word on a person's identity is taken."""

    name: str
    title: Text
    trusted: Mapping[Name, Annotated[Trust, BeforeValidator(_trust)]]
    """Proof method → how far it is believed; a bare level means any identity type."""

    def trusts(self, method: str, level: str, identity_type: str) -> bool:
        """Whether a proof of such an identity by this method counts; unknown methods and levels do not."""
        trust = self.trusted.get(method)
        if trust is None or level not in _LEVELS:
            return False
        high_enough = _LEVELS.index(level) >= _LEVELS.index(trust.level)
        return high_enough and (trust.proves is None or identity_type in trust.proves)


class NotController(Entry):
    """Data that people ask for and another controller decides about (GDPR Art. 4(7))."""

    title: Text
    ask: Text
    """Whom to ask instead, as a sentence for letters."""


class System(Entry):
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
