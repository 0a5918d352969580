"""Waves: how a plan goes on as systems finish and find identifiers. Whatever the order, it ends alike."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from habeas.contracts.task import ScopeItem
from habeas.contracts.vocabulary import Action, LegalBasis, Right, SystemState
from services.fanout.domain import Planner, advance, apply
from services.fanout.plan import Asked, Assignment, Facts, NotFound, Plan, Reason, Waiting
from shared.registry import Registry, load_registry

WEEK = timedelta(days=7)
SCOPE = (ScopeItem(category="account", purposes=("billing",), basis=LegalBasis.CONTRACT),)


@pytest.fixture(scope="module")
def ale() -> Registry:
    return load_registry(Path(__file__).parents[2] / "registry" / "ale.toml")


def by_email(registry: Registry) -> Plan:
    return Planner(registry).plan(Right.ACCESS, "eu-gdpr", Facts(frozenset({"email"})))


def facts(*known: str, finished: tuple[str, ...] = ()) -> Facts:
    return Facts(frozenset(("email", *known)), frozenset(finished))


@pytest.mark.parametrize(
    ("so_far", "changes"),
    [
        (facts(), {}),
        (facts(finished=("support",)), {}),
        (facts("account_id"), {"analytics": SystemState.ASKED}),
        (
            facts("account_id", "payment_customer_id", finished=("billing",)),
            {"analytics": SystemState.ASKED, "payments": SystemState.ASKED},
        ),
        (
            facts("account_id", finished=("billing",)),
            {"analytics": SystemState.ASKED, "payments": SystemState.EXCLUDED},
        ),
        (facts(finished=("billing",)), {"analytics": SystemState.EXCLUDED, "payments": SystemState.EXCLUDED}),
        (facts("phone", finished=("support",)), {}),
        (facts(finished=("somebody-else",)), {}),
    ],
)
def test_the_second_wave_of_ale(ale: Registry, so_far: Facts, changes: dict[str, SystemState]) -> None:
    plan = by_email(ale)
    assert {item.system: item.state for item in advance(plan, so_far)} == changes


def test_a_system_that_is_given_up_keeps_its_reason(ale: Registry) -> None:
    plan = by_email(ale)
    excluded = {item.system: item.reason for item in advance(plan, facts(finished=("billing", "support")))}
    assert excluded == dict.fromkeys(("analytics", "payments"), Reason.IDENTIFIER_NOT_FOUND)


def test_a_finding_that_comes_late_still_asks(ale: Registry) -> None:
    plan = by_email(ale)
    given_up = apply(plan, advance(plan, facts(finished=("billing",))))
    assert isinstance(given_up["analytics"], NotFound)
    (late,) = advance(given_up, facts("account_id", finished=("billing",)))
    assert isinstance(late, Asked)
    assert late == Asked("analytics", given_up["analytics"].assignment, given=(Action.ACCESS,))


def test_a_waiting_system_waits_on_one_that_waits_itself() -> None:
    plan = Plan((asked("a", {"email"}, {"b_id"}), waiting("b", {"b_id"}, {"c_id"}), waiting("c", {"c_id"}, set())))
    assert advance(plan, facts()) == ()
    after_a = apply(plan, advance(plan, facts("b_id", finished=("a",))))
    assert [item.state for item in after_a.items] == ["asked", "asked", "waiting"]
    after_b = apply(after_a, advance(after_a, facts("b_id", finished=("a", "b"))))
    assert [item.state for item in after_b.items] == ["asked", "asked", "excluded"]


def test_systems_that_wait_for_each_other_are_given_up() -> None:
    plan = Plan((asked("a", {"email"}, set()), waiting("b", {"b_id"}, {"c_id"}), waiting("c", {"c_id"}, {"b_id"})))
    assert {item.system: item.state for item in advance(plan, facts())} == {"b": "excluded", "c": "excluded"}


def test_a_system_does_not_wait_for_itself() -> None:
    plan = Plan((waiting("b", {"b_id"}, {"b_id"}),))
    assert [item.state for item in advance(plan, facts())] == ["excluded"]


def work(needs: set[str], provides: set[str]) -> Assignment:
    return Assignment(Action.ACCESS, SCOPE, WEEK, frozenset(needs), frozenset(provides))


def asked(system: str, needs: set[str], provides: set[str]) -> Asked:
    return Asked(system, work(needs, provides), given=(Action.ACCESS,))


def waiting(system: str, needs: set[str], provides: set[str]) -> Waiting:
    return Waiting(system, work(needs, provides))


# --- any registry, any findings, any order ----------------------------------------------------------------------

TYPES = ("email", "visitor", "account", "customer", "device")
some_types = st.frozensets(st.sampled_from(TYPES), max_size=3)


@dataclass(frozen=True)
class World:
    """A registry, what is known at first, and what each system would find if it were asked."""

    systems: dict[str, Assignment]
    known: frozenset[str]
    findings: dict[str, frozenset[str]]

    def first_plan(self) -> Plan:
        plan = Plan(tuple(Waiting(name, todo) for name, todo in self.systems.items()))
        return apply(plan, advance(plan, Facts(self.known)))

    def reachable(self) -> set[str]:
        """Who is to be asked in the end, found by going round until nobody is added."""
        asked_systems: set[str] = set()
        known = self.known
        while added := {name for name, todo in self.systems.items() if todo.needs & known} - asked_systems:
            asked_systems |= added
            known = known.union(*(self.findings[name] for name in added))
        return asked_systems


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = [f"system-{number}" for number in range(draw(st.integers(1, 6)))]
    systems, findings = {}, {}
    for name in names:
        needs = draw(st.frozensets(st.sampled_from(TYPES), min_size=1, max_size=3))
        provides = draw(some_types)
        systems[name] = Assignment(Action.ACCESS, SCOPE, WEEK, needs, provides)
        findings[name] = draw(st.frozensets(st.sampled_from(sorted(provides)))) if provides else provides
    return World(systems, draw(some_types), findings)


def run(world: World, data: st.DataObject) -> tuple[Plan, list[str]]:
    """Plays a request to its end: systems that are asked finish in any order, alone or several at once."""
    plan = world.first_plan()
    sent = [item.system for item in plan.asked]
    known, finished = world.known, frozenset[str]()
    while running := sorted({item.system for item in plan.asked} - finished):
        done = data.draw(st.sets(st.sampled_from(running), min_size=1), label="finish")
        finished |= done
        known = known.union(*(world.findings[name] for name in done))
        changes = advance(plan, Facts(known, finished))
        sent += [item.system for item in changes if isinstance(item, Asked)]
        plan = apply(plan, changes)
        assert advance(plan, Facts(known, finished)) == (), "the same facts change nothing twice"
    return plan, sent


@given(worlds(), st.data())
def test_any_order_of_finishing_ends_with_the_same_systems_asked(world: World, data: st.DataObject) -> None:
    plan, sent = run(world, data)
    assert sorted(sent) == sorted(world.reachable()), "each that can be found is asked, and once"
    assert {item.system for item in plan.asked} == world.reachable()
    assert all(isinstance(item, Asked | NotFound) for item in plan.items), "nobody waits in the end"


@given(worlds(), st.data())
def test_nobody_waits_while_nobody_works(world: World, data: st.DataObject) -> None:
    plan = world.first_plan()
    finished = data.draw(st.sets(st.sampled_from(sorted(world.systems))), label="finished")
    plan = apply(plan, advance(plan, Facts(world.known, frozenset(finished))))
    working = {item.system for item in plan.asked} - finished
    assert working or not any(isinstance(item, Waiting) for item in plan.items)


@settings(max_examples=100)
@given(worlds(), st.data())
def test_facts_in_any_order_and_repeated_come_to_the_same(world: World, data: st.DataObject) -> None:
    """Even facts that cannot follow each other so: a finding after the finish, a finish before the question. On the way
    one order may wait where another has asked already; once everybody has finished they are alike."""
    events = [("known", kind) for kind in TYPES] + [("finished", name) for name in world.systems]
    chosen = data.draw(st.lists(st.sampled_from(events), max_size=12), label="events, some repeated")
    ends = []
    for order in (chosen, data.draw(st.permutations(chosen), label="another order")):
        plan, known, finished = world.first_plan(), world.known, frozenset[str]()
        ever_asked = [item.system for item in plan.asked]
        for fact, name in (*order, *(("finished", name) for name in world.systems)):
            known, finished = (known | {name}, finished) if fact == "known" else (known, finished | {name})
            changes = advance(plan, Facts(known, finished))
            ever_asked += [item.system for item in changes if isinstance(item, Asked)]
            plan = apply(plan, changes)
        assert len(ever_asked) == len(set(ever_asked)), "nobody is asked twice"
        ends.append(plan)
    assert ends[0] == ends[1]
