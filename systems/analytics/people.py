"""By what people are known in analytics: accounts, and cookies of visitors without one."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from systems.keyed_hash import KeyedHash


@dataclass(frozen=True, slots=True)
class Person:
    """By what somebody is known here."""

    accounts: tuple[str, ...] = field(repr=False)
    visitors: tuple[str, ...] = field(repr=False)

    def parameters(self) -> dict[str, list[str]]:
        # DuckDB cannot tell the type of an empty list.
        return {"accounts": list(self.accounts) or [""], "visitors": list(self.visitors) or [""]}

    def subjects(self, keyed: KeyedHash) -> list[str]:
        """How limits and notices to recipients name them."""
        return [keyed.of(value) for value in (*self.accounts, *self.visitors)]


NOBODY = Person((), ())


def behind(subjects: Collection[str], accounts: Iterable[str], visitors: Iterable[str], keyed: KeyedHash) -> Person:
    """Those among these accounts and visitors whom the hashes name."""
    return Person(
        tuple(sorted(each for each in accounts if keyed.of(each) in subjects)),
        tuple(sorted(each for each in visitors if keyed.of(each) in subjects)),
    )
