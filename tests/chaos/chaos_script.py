"""What each request of a run is, how everybody behaves towards it, and what must come of it. Pure: seed and number.

The oracle is written from the contract and from `registry/ale.toml`, not from the services' rules: who is asked
follows from what billing finds, the outcome from what the systems answer, the mails from the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import Final, TypeVar
from uuid import UUID, uuid5

_Kind = TypeVar("_Kind")

PORTAL: Final = "web"
SYSTEMS: Final = ("billing", "support", "analytics", "payments")
NEEDED: Final = MappingProxyType({"analytics": "account_id", "payments": "payment_customer_id"})
"""What billing has to find before the system can be asked."""

_EVERYBODY: Final = SYSTEMS
ASKED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "access": _EVERYBODY,
        "portability": ("billing", "support", "analytics"),
        "erasure": _EVERYBODY,
        "restriction": _EVERYBODY,
        "consent_withdrawal": ("billing", "analytics"),
    }
)
"""By right the systems that the registry's plan asks once they can be asked; at a withdrawal of consent billing is
asked to locate the person alone."""
COPIES: Final = frozenset({"access", "portability"})
LOCATING: Final = frozenset({("consent_withdrawal", "billing")})


class Twist(StrEnum):
    """What is special about a request."""

    NONE = "plain"
    FAILS = "failing first"  # a system fails first, and is asked again
    HOPELESS = "always failing"  # it fails again, and the request is released
    WITHDRAWN = "withdrawn"  # withdrawn while a system is silent
    BOUNCES = "bouncing"  # the address bounces, and the request is released
    GREYLISTED = "greylisted"  # the mail server takes no first attempt
    UNPROVEN = "unproven"  # no identity is proven
    AGAIN = "submitted twice"
    CONTRADICTED = "contradicted"  # the same id again with other content
    GARBLED = "garbled before"  # an undecodable record comes before it


_TWISTS: Final = {
    Twist.NONE: 70,
    Twist.FAILS: 5,
    Twist.HOPELESS: 3,
    Twist.WITHDRAWN: 4,
    Twist.BOUNCES: 3,
    Twist.GREYLISTED: 3,
    Twist.UNPROVEN: 3,
    Twist.AGAIN: 4,
    Twist.CONTRADICTED: 3,
    Twist.GARBLED: 2,
}


class Manner(StrEnum):
    """How a system answers a task."""

    AT_ONCE = "at once"
    LATE = "late"
    TWICE = "twice"
    OTHERWISE = "and then says otherwise"
    RUBBISH = "rubbish first"
    PROGRESS = "working first"
    AFTERTHOUGHT = "working, said after the answer"


_MANNERS: Final = {
    Manner.AT_ONCE: 62,
    Manner.LATE: 18,
    Manner.TWICE: 8,
    Manner.OTHERWISE: 2,
    Manner.RUBBISH: 2,
    Manner.PROGRESS: 5,
    Manner.AFTERTHOUGHT: 3,
}
_ANSWERS: Final = {"completed": 70, "partial": 12, "nothing_held": 12, "refused": 6}
_RIGHTS: Final = {"erasure": 35, "access": 30, "portability": 10, "restriction": 15, "consent_withdrawal": 10}


@dataclass(frozen=True, slots=True)
class Answering:
    """How one system meets one request."""

    outcome: str
    manner: Manner
    delay: float
    """Seconds between task and answer."""
    records: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What must have come of a request in the end."""

    outcome: str
    systems: Mapping[str, str | None] | None
    """By system the outcome it ended with, None: not asked. None as a whole: as far as it had come."""
    attempts: Mapping[str, int]
    """By system how many tasks it was given."""
    maybe: frozenset[str]
    """Systems that may have been given one task, as far as things had come."""
    mails: Mapping[tuple[str, str], int]
    """By notice and reader (`requester`, `dpo`) how many different mails were accepted."""


@dataclass(frozen=True, slots=True)
class Script:
    """One request."""

    number: int
    request_id: UUID
    right: str
    twist: Twist
    by_mail: bool
    found: frozenset[str]
    """What billing finds."""
    answers: Mapping[str, Answering]
    troubled: str | None
    """The system that fails, or stays silent."""

    @property
    def address(self) -> str:
        """A made-up person's; the mail server knows by it what to do."""
        kind = {Twist.BOUNCES: "bounces", Twist.GREYLISTED: "greylisted"}.get(self.twist, "somebody")
        return f"{kind}.{self.request_id.hex}@chaos.example"

    def task(self, system: str, attempt: int) -> UUID:
        """The id that an attempt has by the contract of fan-out: the same wherever it is computed."""
        return uuid5(self.request_id, f"{system}/{attempt}")

    def command(self, verb: str) -> UUID:
        return uuid5(self.request_id, f"chaos/{verb}")

    @property
    def is_retried(self) -> bool:
        return self.twist in {Twist.FAILS, Twist.HOPELESS}

    @property
    def orders(self) -> frozenset[str]:
        """What an operator has to order."""
        match self.twist:
            case Twist.FAILS:
                return frozenset({"retry"})
            case Twist.HOPELESS:
                return frozenset({"retry", "release"})
            case Twist.BOUNCES if self.expected.mails:
                return frozenset({"release"})
            case _:
                return frozenset()

    @property
    def reachable(self) -> tuple[str, ...]:
        """The systems that can come to be asked."""
        found = frozenset() if self._fails_for_good("billing") else self.found
        return tuple(name for name in ASKED[self.right] if name not in NEEDED or NEEDED[name] in found)

    def outcome_at(self, system: str) -> str:
        """The system's last word."""
        return "failed" if self._fails_for_good(system) else self.answers[system].outcome

    def _fails_for_good(self, system: str) -> bool:
        return self.twist is Twist.HOPELESS and self.troubled == system

    @property
    def expected(self) -> Expected:
        match self.twist:
            case Twist.UNPROVEN:
                return Expected("refused", {}, {}, frozenset(), self._mails("refused"))
            case Twist.WITHDRAWN:
                sure = {"billing": 1, "support": 1}
                maybe = frozenset(self.reachable) - sure.keys()
                return Expected("withdrawn", None, sure, maybe, self._mails("withdrawn"))
        ended = {name: self.outcome_at(name) if name in self.reachable else None for name in SYSTEMS}
        attempts = {name: 2 if self.is_retried and name == self.troubled else 1 for name in self.reachable}
        outcome = outcome_of([self.outcome_at(name) for name in self.reachable if (self.right, name) not in LOCATING])
        return Expected(outcome, ended, attempts, frozenset(), self._mails(outcome))

    def is_copied(self, outcome: str) -> bool:
        """Whether somebody gets a copy of the data."""
        return self.right in COPIES and outcome in {"completed", "partially_completed"}

    def _mails(self, outcome: str) -> Mapping[tuple[str, str], int]:
        mails: dict[tuple[str, str], int] = {}
        copied = self.is_copied(outcome)
        if self.is_retried:
            mails["dpo_review", "dpo"] = 1 if self.twist is Twist.FAILS else 2
        if self.twist is Twist.BOUNCES:
            if self.by_mail or copied:
                mails["dpo_review", "dpo"] = 1
            return mails
        if self.by_mail and self.twist is not Twist.UNPROVEN:
            mails["acknowledged", "requester"] = 1
        if self.by_mail or copied:  # a copy's link stands in the mail alone, whoever tells the rest
            mails[outcome, "requester"] = 1
        return mails


def outcome_of(answers: list[str]) -> str:
    """What the systems' last words amount to for the person."""
    held = [answer for answer in answers if answer != "nothing_held"]
    if not held:
        return "nothing_held"
    if all(answer == "refused" for answer in held):
        return "refused"
    return "completed" if all(answer == "completed" for answer in held) else "partially_completed"


def script(seed: int, number: int) -> Script:
    """The request with that number in the run of that seed."""
    random = Random(f"{seed}/request/{number}")
    request_id = UUID(int=random.getrandbits(128), version=4)
    right = _chosen(random, _RIGHTS)
    twist = _chosen(random, _TWISTS)
    if twist is Twist.WITHDRAWN and "support" not in ASKED[right]:
        twist = Twist.NONE
    by_mail = random.random() < 0.85
    answers = {name: _answering(random, right, name) for name in SYSTEMS}
    found = frozenset(kind for kind in NEEDED.values() if random.random() < 0.8)
    if answers["billing"].outcome not in {"completed", "partial"}:
        found = frozenset()
    made = Script(number, request_id, right, twist, by_mail, found, answers, None)
    troubled = "support" if twist is Twist.WITHDRAWN else random.choice(made.reachable)
    return Script(number, request_id, right, twist, by_mail, found, answers, troubled)


def _answering(random: Random, right: str, system: str) -> Answering:
    outcome = _chosen(random, _ANSWERS)
    if (right, system) in LOCATING and outcome in {"partial", "refused"}:
        outcome = "completed"
    manner = _chosen(random, _MANNERS)
    delay = random.uniform(0.2, 6.0) if manner is Manner.LATE else random.uniform(0.0, 0.2)
    return Answering(outcome, manner, delay, random.randint(1, 3))


def _chosen(random: Random, weights: Mapping[_Kind, int]) -> _Kind:
    return random.choices(list(weights), list(weights.values()))[0]
