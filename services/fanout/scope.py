"""What a system is asked about: the categories that a right reaches and a request wants. Pure rules."""

from dataclasses import dataclass
from typing import assert_never

from habeas.contracts.submission import Details
from habeas.contracts.task import ScopeItem
from habeas.contracts.vocabulary import STOPPING, Instruction, LegalBasis, Right
from shared.law.reach import Beyond, Reached, reach
from shared.law.regime import Reach
from shared.registry import Category, System


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A category that the right does not reach, with the ground (a code of `shared.law.grounds`)."""

    category: str
    ground: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What of everything a request is about; empty means all of it."""

    categories: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()

    @classmethod
    def of(cls, right: Right, details: Details) -> "Wish":
        """A rectification is about the categories of its corrections, whatever else it names."""
        if right is Right.RECTIFICATION:
            return cls(categories=frozenset(correction.category for correction in details.corrections))
        return cls(frozenset(details.categories), frozenset(details.purposes))

    def wants(self, category: Category) -> bool:
        named = not self.categories or category.name in self.categories
        return named and (not self.purposes or not self.purposes.isdisjoint(category.purposes))


def scope_of(
    system: System, right: Right, rule: Reach, wish: Wish
) -> tuple[tuple[ScopeItem, ...], tuple[LeftOut, ...]]:
    """What the right reaches of what is wanted, and what it does not. Both empty: nothing there is asked for."""
    scope: list[ScopeItem] = []
    left_out: list[LeftOut] = []
    for category in system.categories:
        if not wish.wants(category):
            continue
        entry = _entry(category, right, rule)
        match entry:
            case ScopeItem():
                scope.append(_narrowed(entry, right, wish))
            case LeftOut():
                left_out.append(entry)
            case _:
                assert_never(entry)
    return tuple(scope), tuple(left_out)


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


def _narrowed(item: ScopeItem, right: Right, wish: Wish) -> ScopeItem:
    """Only the purposes objected to stop; a copy or an erasure is of the whole category."""
    if right not in STOPPING or not wish.purposes:
        return item
    return item.model_copy(update={"purposes": tuple(purpose for purpose in item.purposes if purpose in wish.purposes)})


def _scope_item(category: Category, basis: LegalBasis, instruction: Instruction | None) -> ScopeItem:
    return ScopeItem(category=category.name, purposes=category.purposes, basis=basis, instruction=instruction)
