"""The plan: which systems are asked to do what for a request, in which waves, and why the others are not.

Pure rules. A plan lists every system of the registry, in its order, and is a snapshot: what happens afterwards is
decided from the plan and the facts, never from a registry that may have changed meanwhile.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, assert_never

from habeas.contracts.submission import Identity
from habeas.contracts.task import ScopeItem
from habeas.contracts.vocabulary import Action, Instruction, LegalBasis, Right, SystemState
from shared.law.reach import Beyond, Reached, reach
from shared.law.regime import Reach, regime
from shared.registry import Category, Registry, System


class FanoutError(Exception):
    """Base of everything this service raises."""


class RightNotPlannedError(FanoutError):
    """No plan can be made for the right."""

    def __init__(self, right: Right) -> None:
        self.right = right
        super().__init__(f"No plan can be made for {right}: plans are made for {', '.join(ACTIONS)}.")


class Reason(StrEnum):
    """Why a system is not asked, now or at all. Travels in clear."""

    WAITING_FOR_IDENTIFIER = "waiting_for_identifier"
    IDENTIFIER_NOT_FOUND = "identifier_not_found"
    RIGHT_DOES_NOT_REACH = "right_does_not_reach"


ACTIONS: Final[dict[Right, Action]] = {
    Right.ACCESS: Action.ACCESS,
    Right.PORTABILITY: Action.EXPORT,
    Right.RECTIFICATION: Action.RECTIFY,
    Right.ERASURE: Action.ERASE,
    Right.RESTRICTION: Action.RESTRICT,
    Right.OBJECTION: Action.OBJECT,
    Right.CONSENT_WITHDRAWAL: Action.OBJECT,
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A category that the right does not reach, with the ground (a code of `shared.law.grounds`)."""

    category: str
    ground: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a system does for the request once it is asked."""

    action: Action
    scope: tuple[ScopeItem, ...]
    """Empty for `locate` alone, which hands out identifiers and nothing else."""
    due_at: datetime
    """The system's own due time: not after the request's."""
    needs: frozenset[str]
    """Identity types, any one of which finds a person there. A task carries identities of these types alone."""
    provides: frozenset[str]
    """Identity types that its answer may contain."""

    def __post_init__(self) -> None:
        if bool(self.scope) == (self.action is Action.LOCATE):
            raise ValueError("every action but locate has a scope")
        if not self.needs:
            raise ValueError("a system is asked by at least one identity type")


@dataclass(frozen=True, slots=True)
class Asked:
    system: str
    assignment: Assignment
    left_out: tuple[LeftOut, ...] = ()
    state: Literal[SystemState.ASKED] = SystemState.ASKED
    reason: None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not asked yet: an unfinished system may still find what it needs."""

    system: str
    assignment: Assignment
    left_out: tuple[LeftOut, ...] = ()
    state: Literal[SystemState.WAITING] = SystemState.WAITING
    reason: Literal[Reason.WAITING_FOR_IDENTIFIER] = Reason.WAITING_FOR_IDENTIFIER


@dataclass(frozen=True, slots=True)
class NotFound:
    """Excluded: nobody asked finds what it needs, or could. Keeps its assignment, in case the identifier comes late."""

    system: str
    assignment: Assignment
    left_out: tuple[LeftOut, ...] = ()
    state: Literal[SystemState.EXCLUDED] = SystemState.EXCLUDED
    reason: Literal[Reason.IDENTIFIER_NOT_FOUND] = Reason.IDENTIFIER_NOT_FOUND


@dataclass(frozen=True, slots=True)
class NotReached:
    """Excluded: the right reaches nothing the system holds."""

    system: str
    left_out: tuple[LeftOut, ...]
    assignment: None = None
    state: Literal[SystemState.EXCLUDED] = SystemState.EXCLUDED
    reason: Literal[Reason.RIGHT_DOES_NOT_REACH] = Reason.RIGHT_DOES_NOT_REACH


PlanItem = Asked | Waiting | NotFound | NotReached


@dataclass(frozen=True, slots=True)
class Plan:
    """One item for each system of the registry, in its order."""

    items: tuple[PlanItem, ...]

    def __post_init__(self) -> None:
        if len({item.system for item in self.items}) != len(self.items):
            raise ValueError("a plan has one item for each system")

    def __getitem__(self, system: str) -> PlanItem:
        return next(item for item in self.items if item.system == system)

    @property
    def asked(self) -> tuple[Asked, ...]:
        return tuple(item for item in self.items if isinstance(item, Asked))


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything recorded so far about a request, not only what is new. Sets: order and repetition do not matter."""

    known: frozenset[str] = field(default_factory=frozenset)
    """Identity types with at least one value, given and proven or found by a system."""
    finished: frozenset[str] = field(default_factory=frozenset)
    """Systems that have given their final answer, whatever it was."""


def make_plan(
    registry: Registry,
    right: Right,
    regulation: str,
    identity_types: Set[str],
    *,
    received_at: datetime,
    due_at: datetime,
) -> Plan:
    """The plan of a request whose proven identities are of `identity_types`.

    `received_at` and `due_at` are the request's. Raises `RightNotPlannedError`, and `LawError` where the regulation is
    unknown or says nothing about the right.
    """
    if right not in ACTIONS:
        raise RightNotPlannedError(right)
    rule = regime(regulation).reach_of(right)
    dues = {name: min(due_at, received_at + timedelta(days=system.days)) for name, system in registry.systems.items()}
    reached = [_first_item(system, right, rule, dues[system.name]) for system in registry.systems.values()]
    plan = Plan(_with_locators(reached, registry, dues))
    return apply(plan, advance(plan, Facts(known=frozenset(identity_types))))


def advance(plan: Plan, facts: Facts) -> tuple[PlanItem, ...]:
    """The items that change: each replaces the plan's item of the same system; an `Asked` among them is to be sent.

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
            case Asked() | NotReached():
                continue
            case Waiting() | NotFound():
                outcome = _outcome(item, facts, possible, ahead)
            case _:
                assert_never(item)
        if outcome != item:
            changes.append(outcome)
    return tuple(changes)


def apply(plan: Plan, changes: tuple[PlanItem, ...]) -> Plan:
    """The plan with the changed items in place of their systems' former ones."""
    changed = {item.system: item for item in changes}
    return replace(plan, items=tuple(changed.get(item.system, item) for item in plan.items))


def identities_for(assignment: Assignment, identities: Iterable[Identity]) -> tuple[Identity, ...]:
    """Those its task carries: only of the types that the system needs (data minimisation, Art. 5(1)(c))."""
    return tuple(identity for identity in identities if identity.identity_type in assignment.needs)


def _outcome(item: Waiting | NotFound, facts: Facts, possible: Set[str], ahead: Set[str]) -> Asked | Waiting | NotFound:
    if item.assignment.needs & facts.known and not (item.assignment.needs - facts.known) & ahead:
        return Asked(item.system, item.assignment, item.left_out)
    if item.assignment.needs & possible:
        return Waiting(item.system, item.assignment, item.left_out)
    return NotFound(item.system, item.assignment, item.left_out)


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


def _first_item(system: System, right: Right, rule: Reach, due_at: datetime) -> Waiting | NotReached:
    scope: list[ScopeItem] = []
    left_out: list[LeftOut] = []
    for category in system.categories:
        entry = _entry(category, right, rule)
        match entry:
            case ScopeItem():
                scope.append(entry)
            case LeftOut():
                left_out.append(entry)
            case _:
                assert_never(entry)
    if not scope:
        return NotReached(system.name, tuple(left_out))
    return Waiting(system.name, _assignment(system, ACTIONS[right], tuple(scope), due_at), tuple(left_out))


def _assignment(system: System, action: Action, scope: tuple[ScopeItem, ...], due_at: datetime) -> Assignment:
    return Assignment(action=action, scope=scope, due_at=due_at, needs=system.needs, provides=system.provides)


def _with_locators(
    items: list[Waiting | NotReached], registry: Registry, dues: Mapping[str, datetime]
) -> tuple[PlanItem, ...]:
    """Systems that the right does not reach are asked to locate the person where another cannot be found without."""
    while True:
        needed = frozenset[str]().union(*(item.assignment.needs for item in items if item.assignment is not None))
        locators = {
            item.system
            for item in items
            if isinstance(item, NotReached) and (registry.systems[item.system].provides & needed)
        }
        if not locators:
            return tuple(items)
        items = [
            Waiting(name, _assignment(registry.systems[name], Action.LOCATE, (), dues[name]), item.left_out)
            if (name := item.system) in locators
            else item
            for item in items
        ]


def _entry(category: Category, right: Right, rule: Reach) -> ScopeItem | LeftOut:
    if right is Right.ERASURE:
        # What the law keeps from an erasure is in scope too: the system restricts it and names it (Art. 12(4)).
        kept = any(basis in rule.beyond for basis in category.bases)
        instruction = Instruction.RETAIN if kept else category.at_erasure.instruction
        return _scope_item(category, category.basis, instruction)
    reached = reach(rule, category.bases, category.origin, marketing=category.marketing)
    match reached:
        case Reached(basis):
            return _scope_item(category, basis, None)
        case Beyond(ground):
            return LeftOut(category.name, ground)
        case _:
            assert_never(reached)


def _scope_item(category: Category, basis: LegalBasis, instruction: Instruction | None) -> ScopeItem:
    return ScopeItem(category=category.name, purposes=category.purposes, basis=basis, instruction=instruction)
