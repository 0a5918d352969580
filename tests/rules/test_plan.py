"""The first plan, for the demonstration controller and for registries made to be awkward."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from habeas.contracts.submission import Identity
from habeas.contracts.task import ScopeItem
from habeas.contracts.vocabulary import Action, Instruction, LegalBasis, Right, SystemState
from services.fanout.domain import ACTIONS, Planner, RightNotPlannedError, identities_for
from services.fanout.plan import Asked, Assignment, Facts, NotConcerned, Plan, Reason, Waiting
from services.fanout.scope import Wish
from shared.law.errors import ClockOnlyError, UnknownRegulationError
from shared.law.regime import regime
from shared.registry import Registry, load_registry

RECEIVED_AT = datetime(2026, 3, 2, 9, 16, 10, tzinfo=UTC)
DUE_AT = datetime(2026, 4, 2, 21, 59, 59, tzinfo=UTC)
WEEK = timedelta(days=7)
SYSTEMS = ("billing", "support", "analytics", "payments")
ASKED, WAITING, EXCLUDED = SystemState.ASKED, SystemState.WAITING, SystemState.EXCLUDED


@pytest.fixture(scope="module")
def ale() -> Registry:
    return load_registry(Path(__file__).parents[2] / "registry" / "ale.toml")


def planned(registry: Registry, right: Right, *identity_types: str) -> Plan:
    return Planner(registry).plan(right, "eu-gdpr", Facts(frozenset(identity_types)))


@pytest.mark.parametrize("right", [Right.ACCESS, Right.ERASURE])
@pytest.mark.parametrize(
    ("identity_types", "states"),
    [
        ({"email"}, (ASKED, ASKED, WAITING, WAITING)),
        ({"email", "visitor_id"}, (ASKED, ASKED, WAITING, WAITING)),
        ({"controller_customer_id"}, (ASKED, EXCLUDED, WAITING, WAITING)),
        ({"account_id"}, (ASKED, EXCLUDED, ASKED, WAITING)),
        ({"visitor_id"}, (EXCLUDED, EXCLUDED, ASKED, EXCLUDED)),
        ({"payment_customer_id"}, (EXCLUDED, EXCLUDED, EXCLUDED, ASKED)),
        ({"phone"}, (EXCLUDED, EXCLUDED, EXCLUDED, EXCLUDED)),
        (set(), (EXCLUDED, EXCLUDED, EXCLUDED, EXCLUDED)),
    ],
)
def test_who_is_asked_by_what_is_known(
    ale: Registry, right: Right, identity_types: set[str], states: tuple[SystemState, ...]
) -> None:
    plan = planned(ale, right, *identity_types)
    assert tuple(item.system for item in plan.items) == SYSTEMS
    assert tuple(item.state for item in plan.items) == states
    reasons = {
        ASKED: None,
        WAITING: Reason.WAITING_FOR_IDENTIFIER,
        EXCLUDED: Reason.IDENTIFIER_NOT_FOUND,
    }
    assert all(item.reason == reasons[item.state] for item in plan.items)


def test_an_access_reaches_everything_and_instructs_nothing(ale: Registry) -> None:
    plan = planned(ale, Right.ACCESS, "email")
    for item in plan.items:
        assert item.assignment is not None
        assert item.assignment.action is Action.ACCESS
        held = ale.systems[item.system].categories
        assert [entry.category for entry in item.assignment.scope] == [category.name for category in held]
        assert all(entry.instruction is None for entry in item.assignment.scope)
        assert item.left_out == ()


def test_an_erasure_names_what_is_kept_too(ale: Registry) -> None:
    plan = planned(ale, Right.ERASURE, "email")
    instructions: dict[str, object] = {}
    for item in plan.items:
        assert item.assignment is not None
        assert item.assignment.action is Action.ERASE
        instructions |= {entry.category: entry.instruction for entry in item.assignment.scope}
    assert instructions == {
        "account": Instruction.DELETE,
        "invoices": Instruction.RETAIN,
        "support_conversations": Instruction.DELETE,
        "product_improvement": Instruction.DELETE,
        "visits": Instruction.ANONYMIZE,
        "marketing_preference": Instruction.RETAIN,
        "payment_customer": Instruction.DELETE,
        "charges": Instruction.RETAIN,
        "fraud_signals": Instruction.DELETE,
    }


def test_the_scope_says_why_the_data_is_held(ale: Registry) -> None:
    billing = planned(ale, Right.ERASURE, "email")["billing"]
    assert billing.assignment is not None
    assert billing.assignment.scope[1] == ScopeItem(
        category="invoices",
        purposes=("billing", "legal_compliance"),
        basis=LegalBasis.LEGAL_OBLIGATION,
        instruction=Instruction.RETAIN,
    )


def test_portability_leaves_out_what_it_does_not_reach(ale: Registry) -> None:
    plan = planned(ale, Right.PORTABILITY, "email")
    left_out = {item.system: {out.category: out.ground for out in item.left_out} for item in plan.items}
    assert left_out == {
        "billing": {},
        "support": {"product_improvement": "other_legal_basis"},
        "analytics": {},
        "payments": {
            "payment_customer": "not_provided_by_person",
            "charges": "not_provided_by_person",
            "fraud_signals": "other_legal_basis",
        },
    }
    assert plan["payments"] == NotConcerned("payments", plan["payments"].left_out)
    assert plan["payments"].reason is Reason.RIGHT_DOES_NOT_REACH
    invoices = plan.asked[0].assignment.scope[1]
    assert (invoices.category, invoices.basis) == ("invoices", LegalBasis.CONTRACT)


def test_a_system_beyond_reach_only_locates_where_another_needs_it(ale: Registry) -> None:
    billing = planned(ale, Right.OBJECTION, "email")["billing"]
    assert isinstance(billing, Asked)
    assert (billing.assignment.action, billing.assignment.scope) == (Action.LOCATE, ())
    assert {out.category for out in billing.left_out} == {"account", "invoices"}

    analytics = ale.systems["analytics"].model_copy(update={"needs": frozenset({"email"})})
    without_payments = {"billing": ale.systems["billing"], "support": ale.systems["support"], "analytics": analytics}
    alone = planned(ale.model_copy(update={"systems": without_payments}), Right.OBJECTION, "email")
    assert isinstance(alone["billing"], NotConcerned)


@pytest.mark.parametrize(
    ("due_at", "billing", "payments"),
    [
        (DUE_AT, RECEIVED_AT + timedelta(days=7), RECEIVED_AT + timedelta(days=10)),
        (RECEIVED_AT + timedelta(days=8), RECEIVED_AT + timedelta(days=7), RECEIVED_AT + timedelta(days=8)),
        (RECEIVED_AT + timedelta(days=1), RECEIVED_AT + timedelta(days=1), RECEIVED_AT + timedelta(days=1)),
    ],
)
def test_a_system_is_due_by_its_days_but_not_after_the_request(
    ale: Registry, due_at: datetime, billing: datetime, payments: datetime
) -> None:
    plan = planned(ale, Right.ACCESS, "email")
    dues = {
        item.system: item.assignment.due_at(RECEIVED_AT, due_at) for item in plan.items if item.assignment is not None
    }
    assert (dues["billing"], dues["payments"]) == (billing, payments)


def test_a_task_carries_only_identities_that_its_system_needs(ale: Registry) -> None:
    plan = planned(ale, Right.ACCESS, "email", "visitor_id")
    identities = tuple(
        Identity(identity_type=kind, identity_value="x") for kind in ("visitor_id", "email", "account_id", "phone")
    )
    carried = {
        item.system: [identity.identity_type for identity in identities_for(item.assignment, identities)]
        for item in plan.items
        if item.assignment is not None
    }
    assert carried == {
        "billing": ["email", "account_id"],
        "support": ["email"],
        "analytics": ["visitor_id", "account_id"],
        "payments": [],
    }


def test_rights_of_the_regime_are_those_that_can_be_planned() -> None:
    assert set(ACTIONS) == set(regime("eu-gdpr").reach)


def test_what_cannot_be_planned_is_refused(ale: Registry) -> None:
    with pytest.raises(RightNotPlannedError, match="plans are made for access"):
        planned(ale, Right.UNCLASSIFIED, "email")
    with pytest.raises(UnknownRegulationError):
        Planner(ale).plan(Right.ACCESS, "xx-law", Facts(frozenset({"email"})))
    with pytest.raises(ClockOnlyError, match="Of ccpa only the clock is known"):
        Planner(ale).plan(Right.ACCESS, "ccpa", Facts(frozenset({"email"})))


@pytest.mark.parametrize("right", list(ACTIONS))
def test_a_plan_survives_being_stored(ale: Registry, right: Right) -> None:
    plan = planned(ale, right, "email")
    again = Plan.of(plan.text)
    assert (again, again.plan_id, hash(again)) == (plan, plan.plan_id, hash(plan))


def test_plans_that_differ_have_names_that_differ(ale: Registry) -> None:
    names = {planned(ale, right, *known).plan_id for right in ACTIONS for known in (("email",), ("visitor_id",), ())}
    assert len(names) == 3 * len(ACTIONS)


def test_what_many_ask_for_is_worked_out_once(ale: Registry) -> None:
    planner, by_email = Planner(ale), Facts(frozenset({"email"}))
    plan = planner.plan(Right.ERASURE, "eu-gdpr", by_email)
    assert planner.plan(Right.ERASURE, "eu-gdpr", Facts(frozenset({"email"}))) is plan
    assert planner.plan(Right.ERASURE, "eu-gdpr", by_email, Wish(frozenset({"invoices"}))) != plan
    assert planner.advanced(plan, by_email) is plan


def test_impossible_plans_cannot_be_made() -> None:
    scope = (ScopeItem(category="visits", purposes=("trends",), basis=LegalBasis.CONSENT),)
    needs, nothing = frozenset({"email"}), frozenset[str]()
    with pytest.raises(ValueError, match="every action but locate has a scope"):
        Assignment(Action.ACCESS, (), WEEK, needs, nothing)
    with pytest.raises(ValueError, match="every action but locate has a scope"):
        Assignment(Action.LOCATE, scope, WEEK, needs, nothing)
    with pytest.raises(ValueError, match="at least one identity type"):
        Assignment(Action.ACCESS, scope, WEEK, nothing, nothing)
    twice = Waiting("analytics", Assignment(Action.ACCESS, scope, WEEK, needs, nothing))
    with pytest.raises(ValueError, match="one item for each system"):
        Plan((twice, twice))
