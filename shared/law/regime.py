"""Regimes: the models behind the files in `data/`. One that is `clock_only` is of use for its due dates alone."""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from habeas.contracts.vocabulary import LegalBasis, Origin, Right
from shared.law.errors import ClockOnlyError, NoClockError, NoReachError, UnknownRegulationError
from shared.law.grounds import ground

GroundCode = Annotated[str, AfterValidator(lambda code: ground(code).code)]
Amount = Annotated[int, Field(ge=1, strict=True)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Unit(StrEnum):
    MONTHS = "months"
    DAYS = "days"
    WORKING_DAYS = "working_days"


class LastDay(StrEnum):
    """What becomes of a last day on which nobody works."""

    NEXT_WORKING_DAY = "next_working_day"
    STANDS = "stands"


class Start(StrEnum):
    """What a clock waits for before it starts."""

    RECEIPT = "receipt"
    IDENTITY = "identity"
    AUTHORITY = "authority"
    """Proof that somebody may act for the person."""
    FEE = "fee"


class Question(StrEnum):
    """What the person is asked while their request waits."""

    CLARIFICATION = "clarification"
    IDENTITY = "identity"


class Period(_Entry):
    """A length in exactly one unit."""

    months: Amount | None = None
    days: Amount | None = None
    working_days: Amount | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a period has one unit: write months, days or working_days")
        return self

    @property
    def unit(self) -> Unit:
        (unit,) = self.model_fields_set
        return Unit(unit)

    @property
    def amount(self) -> int:
        amount: int = getattr(self, self.unit)
        return amount

    def __str__(self) -> str:
        words = self.unit.replace("_", " ")
        return f"{self.amount} {words.removesuffix('s') if self.amount == 1 else words}"


class Pauses(_Entry):
    """Questions to the person that stop the clock until they are answered."""

    questions: frozenset[Question] = Field(min_length=1)
    claim: bool
    """The text does not grant it, an authority's reading does: the date without the pause stays the one to watch."""
    source: str


class Clock(_Entry):
    """How long a controller has to answer a right, as a rule on dates."""

    rights: frozenset[Right]
    first: Period
    extension: Period | None = None
    """Added to the first period and counted from the same start; never from where the first one ended."""
    extension_open: str | None = None
    """How the law lets the answer be put off without saying by how long. No due date is computed from it."""
    confirmation: Period | None = None
    """From receipt, until the person has to be told that the request has come."""
    starts: frozenset[Start] = frozenset({Start.RECEIPT})
    """The latest of these starts the clock."""
    pauses: Pauses | None = None
    no_pause: str = "no rule that stops it stands here"
    """Why it does not stop, or not for every question."""
    last_day: LastDay
    working_days_within: int = 0
    """The least number of working days the period has to contain."""
    source: str
    notes: tuple[str, ...] = ()
    """What a reader of the due date has to know beside it."""
    unverified: tuple[str, ...] = ()
    """What was written from memory of the text and not looked up since."""

    @model_validator(mode="after")
    def _starts_no_earlier_than_receipt(self) -> Self:
        if Start.RECEIPT not in self.starts:
            raise ValueError("no clock starts before the receipt: write receipt among starts")
        return self

    @model_validator(mode="after")
    def _extension_in_the_same_unit(self) -> Self:
        if self.extension is not None and self.extension.unit is not self.first.unit:
            raise ValueError(f"write the extension in {self.first.unit}, as the first period: the two are added")
        return self


class Reach(_Entry):
    """Which processing a right reaches, by the bases it rests on. Every basis is either `reached` or `beyond`."""

    source: str
    reached: frozenset[LegalBasis]
    beyond: Mapping[LegalBasis, GroundCode] = Field(default_factory=dict)
    """Basis → the ground that the person is told."""
    origins: frozenset[Origin] = frozenset(Origin)
    beyond_origin: GroundCode | None = None
    marketing_always: bool = False

    @model_validator(mode="after")
    def _each_basis_once(self) -> Self:
        twice = self.reached & set(self.beyond)
        nowhere = set(LegalBasis) - self.reached - set(self.beyond)
        if twice or nowhere:
            names = ", ".join(sorted(twice | nowhere))
            raise ValueError(f"write each basis once, under reached or beyond: {names}")
        if (self.origins == frozenset(Origin)) != (self.beyond_origin is None):
            raise ValueError("origins and beyond_origin go together")
        return self


class Regime(_Entry):
    code: str
    title: str
    clock_only: bool = False
    """Nothing but the clocks stands here: neither reach nor grounds, notices or authorities."""
    clocks: tuple[Clock, ...] = Field(min_length=1)
    reach: Mapping[Right, Reach] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _clock_only_is_said(self) -> Self:
        if self.clock_only == bool(self.reach):
            raise ValueError("write clock_only = true where there is no reach, and only there")
        return self

    @model_validator(mode="after")
    def _one_clock_for_a_right(self) -> Self:
        rights = [right for clock in self.clocks for right in clock.rights]
        twice = sorted({right for right in rights if rights.count(right) > 1})
        if twice:
            raise ValueError(f"write each right under one clock: {', '.join(twice)}")
        return self

    def clock(self, right: Right) -> Clock:
        """The clock of a right; raises `NoClockError`."""
        for clock in self.clocks:
            if right in clock.rights:
                return clock
        raise NoClockError(self.code, right, tuple(sorted(right for clock in self.clocks for right in clock.rights)))

    def check_whole(self) -> None:
        """Raises `ClockOnlyError` where nothing but the clocks is known."""
        if self.clock_only:
            raise ClockOnlyError(self.code, tuple(code for code, known in regimes().items() if not known.clock_only))

    def reach_of(self, right: Right) -> Reach:
        """What a right reaches; raises `ClockOnlyError`, `NoReachError`."""
        self.check_whole()
        if right not in self.reach:
            raise NoReachError(self.code, right, tuple(self.reach))
        return self.reach[right]


@cache
def regimes() -> Mapping[str, Regime]:
    """All regimes by code, as they stand in `data/`."""
    files = sorted(resources.files("shared.law").joinpath("data").iterdir(), key=lambda file: file.name)
    found = (
        Regime.model_validate(tomllib.loads(file.read_text("utf-8"))) for file in files if file.name.endswith(".toml")
    )
    return {regime.code: regime for regime in found}


def regime(code: str) -> Regime:
    """The regime with that code; raises `UnknownRegulationError`."""
    if code not in regimes():
        raise UnknownRegulationError(code, tuple(regimes()))
    return regimes()[code]
