"""Whether a right reaches a kind of data, from why the controller holds it and where it came from."""

from collections.abc import Collection
from dataclasses import dataclass

from habeas.contracts.vocabulary import LegalBasis, Origin
from shared.law.regime import Reach


@dataclass(frozen=True, slots=True)
class Reached:
    basis: LegalBasis
    """The first of the data's bases on which the right reaches it."""


@dataclass(frozen=True, slots=True)
class Beyond:
    ground: str
    """Why the right does not reach it: a code of `shared.law.grounds`."""


def reach(
    rule: Reach, bases: tuple[LegalBasis, ...], origins: Collection[Origin], *, marketing: bool
) -> Reached | Beyond:
    """`bases` has the main one first and is not empty: its ground is the one told where no basis is reached."""
    if marketing and rule.marketing_always:
        return Reached(bases[0])
    on = next((basis for basis in bases if basis in rule.reached), None)
    if on is None:
        return Beyond(rule.beyond[bases[0]])
    if rule.beyond_origin is not None and not rule.origins.intersection(origins):
        return Beyond(rule.beyond_origin)
    return Reached(on)
