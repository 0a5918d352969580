"""The law as data: what it says about reach, and that data which contradicts itself is refused."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from habeas.contracts.vocabulary import LegalBasis, Origin, Right
from shared.law.errors import ClockOnlyError, NoReachError, UnknownGroundError
from shared.law.grounds import GROUNDS, ground
from shared.law.reach import Beyond, Reached, reach
from shared.law.regime import Clock, LastDay, Period, Reach, Regime, Start, regime, regimes

CONSENT, CONTRACT, OBLIGATION, VITAL, PUBLIC, INTERESTS = LegalBasis
ALL = set(LegalBasis)
DATA = Path(__file__).parents[2] / "shared" / "law" / "data"


@pytest.mark.parametrize(
    ("right", "reached"),
    [
        (Right.ACCESS, ALL),
        (Right.RECTIFICATION, ALL),
        (Right.RESTRICTION, ALL),
        (Right.ERASURE, {CONSENT, CONTRACT, VITAL, INTERESTS}),
        (Right.PORTABILITY, {CONSENT, CONTRACT}),
        (Right.OBJECTION, {PUBLIC, INTERESTS}),
    ],
)
def test_which_right_reaches_which_basis(right: Right, reached: set[LegalBasis]) -> None:
    rule = regime("eu-gdpr").reach_of(right)
    outcomes = {basis: reach(rule, (basis,), {Origin.PROVIDED}, marketing=False) for basis in LegalBasis}
    assert {basis for basis, outcome in outcomes.items() if outcome == Reached(basis)} == reached
    assert all(isinstance(outcomes[basis], Beyond) for basis in ALL - reached)


@pytest.mark.parametrize(
    ("right", "basis", "told"),
    [
        (Right.ERASURE, OBLIGATION, "legal_obligation"),
        (Right.ERASURE, PUBLIC, "public_task"),
        (Right.PORTABILITY, INTERESTS, "other_legal_basis"),
        (Right.OBJECTION, CONSENT, "withdraw_consent"),
        (Right.OBJECTION, CONTRACT, "other_legal_basis"),
    ],
)
def test_what_is_told_where_a_right_does_not_reach(right: Right, basis: LegalBasis, told: str) -> None:
    rule = regime("eu-gdpr").reach_of(right)
    assert reach(rule, (basis,), {Origin.PROVIDED}, marketing=False) == Beyond(told)


@pytest.mark.parametrize(
    ("origins", "outcome"),
    [
        ({Origin.PROVIDED}, Reached(CONTRACT)),
        ({Origin.OBSERVED}, Reached(CONTRACT)),
        ({Origin.DERIVED, Origin.PROVIDED}, Reached(CONTRACT)),
        ({Origin.DERIVED}, Beyond("not_provided_by_person")),
        ({Origin.THIRD_PARTY}, Beyond("not_provided_by_person")),
    ],
)
def test_portability_covers_what_was_provided_or_observed(origins: set[Origin], outcome: Reached | Beyond) -> None:
    rule = regime("eu-gdpr").reach_of(Right.PORTABILITY)
    assert reach(rule, (CONTRACT,), origins, marketing=False) == outcome


def test_an_objection_to_marketing_always_reaches() -> None:
    rule = regime("eu-gdpr").reach_of(Right.OBJECTION)
    assert reach(rule, (CONSENT,), {Origin.PROVIDED}, marketing=True) == Reached(CONSENT)


def test_of_several_bases_the_one_that_is_reached_counts() -> None:
    rule = regime("eu-gdpr").reach_of(Right.PORTABILITY)
    assert reach(rule, (OBLIGATION, CONTRACT), {Origin.PROVIDED}, marketing=False) == Reached(CONTRACT)


def test_each_regime_is_found_by_its_code() -> None:
    files = {file.stem for file in DATA.glob("*.toml")}
    assert files == set(regimes())
    assert all(regime(code).code == code for code in regimes())


def test_a_regime_without_reach_is_clock_only() -> None:
    clock = Clock(
        rights=frozenset({Right.ACCESS}), first=Period(days=15), last_day=LastDay.STANDS, source="a test's rule"
    )
    with pytest.raises(ClockOnlyError, match=r"Of test only the clock is known here.* Write one of eu-gdpr"):
        Regime(code="test", title="A test's law", clock_only=True, clocks=(clock,)).reach_of(Right.ACCESS)
    with pytest.raises(NoReachError, match="it is for access"):
        regime("eu-gdpr").reach_of(Right.OPT_OUT)


def test_what_a_regime_lacks_has_to_be_said() -> None:
    clock = Clock(rights=frozenset({Right.ACCESS}), first=Period(days=15), last_day=LastDay.STANDS, source="a rule")
    reached = {Right.ACCESS: regime("eu-gdpr").reach_of(Right.ACCESS)}
    with pytest.raises(ValidationError, match="write clock_only = true"):
        Regime(code="test", title="A test's law", clocks=(clock,))
    with pytest.raises(ValidationError, match="write clock_only = true"):
        Regime(code="test", title="A test's law", clock_only=True, clocks=(clock,), reach=reached)
    with pytest.raises(ValidationError, match="each right under one clock: access"):
        Regime(code="test", title="A test's law", clock_only=True, clocks=(clock, clock))


def test_no_clock_starts_before_the_receipt() -> None:
    with pytest.raises(ValidationError, match="write receipt among starts"):
        Clock(
            rights=frozenset({Right.ACCESS}),
            first=Period(days=15),
            starts=frozenset({Start.FEE}),
            last_day=LastDay.STANDS,
            source="a rule",
        )


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"months": 1, "days": 3}, "has one unit"),
        ({}, "has one unit"),
        ({"months": 0}, "greater than or equal to 1"),
    ],
)
def test_a_period_has_one_unit(fields: dict[str, int], advice: str) -> None:
    with pytest.raises(ValidationError, match=advice):
        Period.model_validate(fields)


def test_an_extension_is_in_the_unit_of_the_first_period() -> None:
    with pytest.raises(ValidationError, match="write the extension in months"):
        Clock(
            rights=frozenset({Right.ACCESS}),
            first=Period(months=1),
            extension=Period(days=60),
            last_day=LastDay.STANDS,
            source="a test's rule",
        )


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"reached": [CONSENT]}, "write each basis once.*contract"),
        ({"reached": list(LegalBasis), "beyond": {CONSENT: "withdraw_consent"}}, "write each basis once.*consent"),
        ({"reached": list(LegalBasis), "origins": [Origin.PROVIDED]}, "go together"),
    ],
)
def test_reach_that_contradicts_itself_is_refused(fields: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError, match=advice):
        Reach.model_validate({"source": "a test's rule", **fields})


@pytest.mark.parametrize("code", sorted(GROUNDS))
def test_each_ground_has_an_article_and_a_sentence(code: str) -> None:
    entry = ground(code)
    assert entry.code == code
    assert entry.article.startswith("GDPR Art. ")
    assert entry.sentence.endswith(".")


def test_an_unknown_ground_is_refused() -> None:
    with pytest.raises(UnknownGroundError, match="accounting_records"):
        ground("because")
