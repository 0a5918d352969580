"""What a check is, and what can come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operations.conformance.bench import Bench


class State(StrEnum):
    HOLDS = "holds"
    FAILS = "fails"
    UNSUPPORTED = "unsupported"
    """The system says that it does not do this: lawful, and for the registry to know."""
    NOT_TRIED = "not tried"
    REPORTED = "reported"
    """A measure: nothing to judge."""


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence about a system that is true or not."""

    id: str
    sentence: str
    rests_on: str
    """The paragraph of the contract's text (docs/contract/README.md) or the article behind it."""
    run: Callable[[Bench], Awaitable[str | None]]
    """Returns what is worth saying all the same. Raises one of the errors below."""
    restarts: bool = False
    """Whether it kills the participant and starts it again."""
    measures: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    check: Check
    state: State
    detail: str = ""
    """For people; names codes, categories and counts, never what is held about a person."""
    seconds: float = 0.0


class ContractBrokenError(Exception):
    """The system does not do what the sentence says; the text says what it did."""


class NotTriedError(Exception):
    """Something the check needs is not there; the text says what."""


class UnsupportedError(Exception):
    """The system answers this action with `unsupported`."""

    def __init__(self, action: str) -> None:
        super().__init__(f"{action} is answered `unsupported`")


def broken_if(condition: object, what: str) -> None:
    """Raise ContractBrokenError with `what` the system did when the condition is true."""
    if condition:
        raise ContractBrokenError(what)
