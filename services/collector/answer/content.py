"""What goes into the copy and what stays out, by category, in the order of the registry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from habeas.contracts.result import Record
from habeas.contracts.vocabulary import Did, Origin, Right
from services.collector.answer.facts import Contribution, HeldRecord
from shared.registry import Category, Registry

RIGHTS_OF_OTHERS = "rights_of_others"
NOT_PROVIDED = "not_provided_by_person"

PORTABLE_ORIGINS = frozenset({Origin.PROVIDED, Origin.OBSERVED})
_SHOWS_OTHERS = attrgetter("third_parties")
_LEFT = frozenset({Did.WITHHELD, Did.REDACTED, Did.RETAINED})


@dataclass(frozen=True, slots=True)
class Left:
    """Records that are not in the copy, or not whole."""

    did: str
    count: int
    ground: str | None


@dataclass(slots=True)
class Section:
    """One category of one system."""

    system: str
    name: str
    category: Category | None
    """None where the registry has no such entry (any more)."""
    labels: dict[str, str]
    records: list[HeldRecord] = field(default_factory=list, repr=False)
    left: list[Left] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NotCovered:
    """A category that the right does not reach."""

    system: str
    name: str
    category: Category | None
    ground: str


def ground_for_leaving_out(record: HeldRecord | Record, right: str, not_covered: Mapping[str, str]) -> str | None:
    """Why a record that a system sent has no place in the copy, or None where it has.

    `not_covered`: category to ground, of what the right does not reach. Portability reaches what the person provided
    and what was observed of their use, and neither what was derived nor what came from others (GDPR Art. 20(1); WP242
    rev.01). A record that also shows somebody else waits for a person to weigh it (Art. 15(4), 20(4)).
    """
    if record.category in not_covered:
        return not_covered[record.category]
    if record.third_parties:
        return RIGHTS_OF_OTHERS
    if right == Right.PORTABILITY and record.origin not in PORTABLE_ORIGINS:
        return NOT_PROVIDED
    return None


def leaves_nothing_out(records: Iterable[HeldRecord | Record], right: str, not_covered: Mapping[str, str]) -> bool:
    """Whether no record has such a ground: as nearly always, and told in a fifth of the time."""
    return right != Right.PORTABILITY and not not_covered and not any(map(_SHOWS_OTHERS, records))


def not_covered(contributions: Iterable[Contribution], registry: Registry) -> list[NotCovered]:
    """In the order of the registry, each category once."""
    given = {
        (contribution.system, left.category): left.ground
        for contribution in contributions
        for left in contribution.left_out
    }
    known = [(system.name, category.name) for system in registry.systems.values() for category in system.categories]
    order = [*(place for place in known if place in given), *sorted(set(given).difference(known))]
    return [NotCovered(system, name, registry.category(system, name), given[system, name]) for system, name in order]


def sections(right: str, contributions: Iterable[Contribution], registry: Registry) -> list[Section]:
    """The categories that hold something. A system's own categories stand in the registry's order, others after."""
    found: list[Section] = []
    places = {name: place for place, name in enumerate(registry.systems)}
    for given in sorted(contributions, key=lambda given: (places.get(given.system, len(places)), given.system)):
        named = {record.category for record in given.records} | {item.category for item in given.summary}
        if not named:
            continue
        held = registry.systems[given.system].categories if given.system in registry.systems else ()
        known: dict[str, Category | None] = {category.name: category for category in held if category.name in named}
        known |= dict.fromkeys(sorted(named.difference(known)))
        by_name = {
            name: Section(given.system, name, category, _labels_of(name, given.labels))
            for name, category in known.items()
        }
        _share_out(given, right, by_name)
        _name_what_is_left(given, by_name)
        found.extend(section for section in by_name.values() if section.records or section.left)
    return found


def _labels_of(category: str, labels: Mapping[str, str]) -> dict[str, str]:
    prefix = f"{category}."
    return {key.removeprefix(prefix): label for key, label in labels.items() if key.startswith(prefix)}


def _share_out(given: Contribution, right: str, by_name: dict[str, Section]) -> None:
    beyond = {left.category: left.ground for left in given.left_out}
    if leaves_nothing_out(given.records, right, beyond):
        for record in given.records:
            by_name[record.category].records.append(record)
        return
    withheld: dict[tuple[str, str], int] = {}
    for record in given.records:
        ground = ground_for_leaving_out(record, right, beyond)
        if ground is None:
            by_name[record.category].records.append(record)
        else:
            withheld[record.category, ground] = withheld.get((record.category, ground), 0) + 1
    for (category, ground), count in withheld.items():
        by_name[category].left.append(Left(Did.WITHHELD, count, ground))


def _name_what_is_left(given: Contribution, by_name: dict[str, Section]) -> None:
    """What the system itself left out. What was left out here may stand in the summary as well: named once."""
    for item in given.summary:
        if item.did not in _LEFT or not item.count:
            continue
        left = by_name[item.category].left
        same = next(
            (index for index, other in enumerate(left) if (other.did, other.ground) == (item.did, item.ground)), -1
        )
        if same < 0:
            left.append(Left(item.did, item.count, item.ground))
        elif left[same].count < item.count:
            left[same] = Left(item.did, item.count, item.ground)
