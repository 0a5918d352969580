"""The plan: which systems are asked to do what for a request, in which waves, and why the others are not.

Pure rules. A plan lists every system of the registry, in its order, and is a snapshot: what happens afterwards is
decided from the plan and the facts, never from a registry that may have changed meanwhile.
"""

from collections.abc import Iterable, Set
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, assert_never

from habeas.contracts.submission import Identity
from habeas.contracts.task import ScopeItem
from habeas.contracts.vocabulary import Action, Right
from services.fanout.plan import (
    Asked,
    Assignment,
    Ended,
    Facts,
    NotConcerned,
    NotFound,
    Order,
    Plan,
    PlanItem,
    Reason,
    Waiting,
)
from services.fanout.scope import Wish, scope_of
from shared.law.regime import Reach, regime
from shared.registry import Registry, System

_DAYS_OF_THE_FORMER: Final = 7
"""For a further round at a system that the registry does not know any more."""


DESTRUCTIVE: Final = frozenset({Right.ERASURE, Right.RECTIFICATION})
"""What must not overtake a copy of the same person: there would be nothing, or something else, to copy."""


class FanoutError(Exception):
    """Base of everything this service raises."""


class RightNotPlannedError(FanoutError):
    """No plan can be made for the right."""

    def __init__(self, right: Right) -> None:
        self.right = right
        super().__init__(f"No plan can be made for {right}: plans are made for {', '.join(ACTIONS)}.")


ACTIONS: Final[dict[Right, Action]] = {
    Right.ACCESS: Action.ACCESS,
    Right.PORTABILITY: Action.EXPORT,
    Right.RECTIFICATION: Action.RECTIFY,
    Right.ERASURE: Action.ERASE,
    Right.RESTRICTION: Action.RESTRICT,
    Right.OBJECTION: Action.OBJECT,
    Right.CONSENT_WITHDRAWAL: Action.OBJECT,
}


class Planner:
    """Makes the first plan of a request, for one registry, and the next ones. What many ask for is worked out once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._made = lru_cache(maxsize=1024)(self._make)
        self._advanced = lru_cache(maxsize=1024)(lambda plan, facts: apply(plan, advance(plan, facts)))

    def plan(
        self,
        right: Right,
        regulation: str,
        facts: Facts,
        wish: Wish = Wish(),  # noqa: B008 - frozen
    ) -> Plan:
        """The plan of a request as it stands by `facts`: the same object for the same again.

        Raises `RightNotPlannedError`, and `LawError` where the regulation is unknown or says nothing about the right.
        """
        return self._made(right, regulation, facts, wish)

    def advanced(self, plan: Plan, facts: Facts) -> Plan:
        """What the plan has come to by `facts`; the same object where that changes nothing."""
        return self._advanced(plan, facts)

    def _make(self, right: Right, regulation: str, facts: Facts, wish: Wish) -> Plan:
        if right not in ACTIONS:
            raise RightNotPlannedError(right)
        rule = regime(regulation).reach_of(right)
        shares = [_first_share(system, right, rule, wish) for system in self._registry.systems.values()]
        plan = Plan(_with_locators(shares, self._registry))
        return self.advanced(plan, facts)


def advance(plan: Plan, facts: Facts) -> tuple[PlanItem, ...]:
    """The items that change: each replaces the plan's item of the same system; what is `given` more is to be sent.

    Once everybody has finished, what a system has come to depends on the whole of the facts and not on the way there;
    and after `apply`, the same facts change nothing more. An asked system stays asked, whatever is found later. A
    system given up as not found is asked after all if its identifier turns up.

    One that could be asked still waits for further identifiers that a system before it in the plan may find: asked by
    a visitor's cookie alone, it would miss what it holds under the account. Only for those before it, so that no two
    wait for each other.
    """
    possible = _may_still_find(plan, facts)
    before: frozenset[str] = frozenset()
    changes: list[PlanItem] = []
    for item in plan.items:
        ahead, before = before, before | _may_provide(item, facts, before)
        match item:
            case Asked() | NotConcerned() | Ended():
                continue
            case Waiting() | NotFound():
                outcome = _outcome(item, facts, possible, ahead)
            case _:
                assert_never(item)
        if outcome != item:
            changes.append(outcome)
    return tuple(changes)


def carry_out(
    plan: Plan, order: Order, *, registry: Registry, now: datetime, received_at: datetime, due_at: datetime
) -> tuple[PlanItem, ...]:
    """What a further round changes; `received_at` and `due_at` are the request's.

    Only those that were asked can be asked again; an answer to an earlier task of the same action still counts until
    the new one is answered.
    """
    changes = []
    for item in plan.asked:
        if item.system not in order.systems:
            continue
        action = order.action or item.assignment.action
        scope = tuple(
            entry for entry in item.assignment.scope if not order.categories or entry.category in order.categories
        )
        if not scope and action is not Action.LOCATE:
            continue
        days = registry.systems[item.system].days if item.system in registry.systems else _DAYS_OF_THE_FORMER
        due = max(item.assignment.due_at(received_at, due_at), now + timedelta(days=days))
        assignment = replace(item.assignment, action=action, scope=scope, due=due)
        changes.append(Asked(item.system, assignment, item.left_out, (*item.given, action)))
    return tuple(changes)


def apply(plan: Plan, changes: tuple[PlanItem, ...]) -> Plan:
    """The plan with the changed items in place of their systems' former ones; the same object where none changed."""
    if not changes:
        return plan
    changed = {item.system: item for item in changes}
    return replace(plan, items=tuple(changed.get(item.system, item) for item in plan.items))


def identities_for(assignment: Assignment, identities: Iterable[Identity]) -> tuple[Identity, ...]:
    """Those its task carries: only of the types that the system needs (data minimisation, Art. 5(1)(c))."""
    return tuple(identity for identity in identities if identity.identity_type in assignment.needs)


def person(identity: Identity) -> bytes:
    """What an identity is recognised by, to be hashed with a key: the same address in other letters is the same."""
    return f"{identity.identity_type}\0{identity.identity_value.strip().casefold()}".encode()


def _outcome(item: Waiting | NotFound, facts: Facts, possible: Set[str], ahead: Set[str]) -> PlanItem:
    assignment, left_out, given = item.assignment, item.left_out, item.given
    if facts.ended:
        return Ended(item.system, assignment, left_out, given) if isinstance(item, Waiting) else item
    if facts.blocked is not None:
        hold = assignment.scope and assignment.needs & facts.known and Action.HOLD not in given
        return Waiting(
            item.system, assignment, left_out, (*given, Action.HOLD) if hold else given, reason=facts.blocked
        )
    if assignment.needs & facts.known and not (assignment.needs - facts.known) & ahead:
        return Asked(item.system, assignment, left_out, (*given, assignment.action))
    if assignment.needs & possible:
        return Waiting(item.system, assignment, left_out, given)
    return NotFound(item.system, assignment, left_out, given)


def _may_provide(item: PlanItem, facts: Facts, possible: Set[str]) -> frozenset[str]:
    """What an unfinished system may find, if it is or can come to be asked."""
    if item.assignment is None or item.system in facts.finished:
        return frozenset()
    asked = isinstance(item, Asked) or bool(item.assignment.needs & (facts.known | possible))
    return item.assignment.provides if asked else frozenset()


def _may_still_find(plan: Plan, facts: Facts) -> frozenset[str]:
    """The identity types that may yet be found: by systems asked and unfinished, and by those that may yet be asked.

    Grown from those certainly asked, so that two systems that wait for each other do not keep each other waiting.
    """
    possible: frozenset[str] = frozenset()
    while True:
        grown = possible.union(*(_may_provide(item, facts, possible) for item in plan.items))
        if grown == possible:
            return possible
        possible = grown


def _first_share(system: System, right: Right, rule: Reach, wish: Wish) -> Waiting | NotConcerned:
    """A system's part in every request for the same, before anything is known about the person."""
    scope, left_out = scope_of(system, right, rule, wish)
    if scope:
        return Waiting(system.name, _assignment(system, ACTIONS[right], scope), left_out)
    if left_out:
        return NotConcerned(system.name, left_out)
    return NotConcerned(system.name, left_out, reason=Reason.NOT_ASKED_FOR)


def _assignment(system: System, action: Action, scope: tuple[ScopeItem, ...]) -> Assignment:
    return Assignment(action, scope, timedelta(days=system.days), system.needs, system.provides)


def _with_locators(shares: list[Waiting | NotConcerned], registry: Registry) -> tuple[Waiting | NotConcerned, ...]:
    """Systems that the right does not reach are asked to locate the person where another cannot be found without."""
    while True:
        needed = frozenset[str]().union(*(share.assignment.needs for share in shares if isinstance(share, Waiting)))
        locators = {
            share.system: registry.systems[share.system]
            for share in shares
            if isinstance(share, NotConcerned) and (registry.systems[share.system].provides & needed)
        }
        if not locators:
            return tuple(shares)
        shares = [
            Waiting(system.name, _assignment(system, Action.LOCATE, ()), share.left_out)
            if (system := locators.get(share.system)) is not None
            else share
            for share in shares
        ]
