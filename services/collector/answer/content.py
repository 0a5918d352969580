"""What goes into the copy and what stays out, by category, in the order of the registry."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from habeas.contracts.result import Record
from habeas.contracts.vocabulary import Did, Origin, Right
from services.collector.answer.facts import Contribution
from shared.registry import Category, Registry

RIGHTS_OF_OTHERS = "rights_of_others"
NOT_PROVIDED = "not_provided_by_person"

_PORTABLE = frozenset({Origin.PROVIDED, Origin.OBSERVED})
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
    records: list[Record] = field(default_factory=list, repr=False)
    left: list[Left] = field(default_factory=list)


def sections(right: str, contributions: Iterable[Contribution], registry: Registry) -> list[Section]:
    """The categories that hold something. A system's own categories stand in the registry's order, others after."""
    found: list[Section] = []
    places = {name: place for place, name in enumerate(registry.systems)}
    for given in sorted(contributions, key=lambda given: (places.get(given.system, len(places)), given.system)):
        by_name: dict[str, Section] = {}
        known = registry.systems[given.system].categories if given.system in registry.systems else ()
        names = [category.name for category in known]
        named = {record.category for record in given.records} | {item.category for item in given.summary}
        names += sorted(named.difference(names))
        for name in names:
            prefix = f"{name}."
            by_name[name] = Section(
                given.system,
                name,
                registry.category(given.system, name),
                {key.removeprefix(prefix): label for key, label in given.labels.items() if key.startswith(prefix)},
            )
        _share_out(given.records, right, by_name)
        _name_what_is_left(given, by_name)
        found.extend(section for section in by_name.values() if section.records or section.left)
    return found


def _share_out(records: Sequence[Record], right: str, by_name: dict[str, Section]) -> None:
    withheld: Counter[tuple[str, str]] = Counter()
    portability = right == Right.PORTABILITY
    for record in records:
        if record.third_parties:
            withheld[record.category, RIGHTS_OF_OTHERS] += 1
        elif portability and record.origin not in _PORTABLE:
            withheld[record.category, NOT_PROVIDED] += 1
        else:
            by_name[record.category].records.append(record)
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
