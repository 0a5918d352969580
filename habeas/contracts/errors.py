"""What is wrong with a message, as a value that can be published: never the message itself."""

from enum import StrEnum
from typing import Any

from pydantic import ValidationError


class Reason(StrEnum):
    """Why a record is refused. Stands in clear in dead letters and in `dsr.submission.rejected.v1`."""

    TOMBSTONE = "tombstone"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    HEADER_MISSING = "header_missing"
    HEADER_INVALID = "header_invalid"
    HEADER_REPEATED = "header_repeated"
    KEY_MISSING = "key_missing"
    KEY_INVALID = "key_invalid"
    KEY_MISMATCH = "key_mismatch"
    TYPE_UNKNOWN = "type_unknown"
    TYPE_UNEXPECTED = "type_unexpected"
    MEMBER_INVALID = "member_invalid"
    MEMBER_MISSING = "member_missing"
    PERSONAL_IN_CLEAR = "personal_in_clear"
    PERSONAL_UNOPENABLE = "personal_unopenable"
    PERSONAL_MISPLACED = "personal_misplaced"
    KEY_FOREIGN = "key_foreign"
    KEY_UNKNOWN = "key_unknown"
    CONFLICT = "conflict"
    FOREIGN_REQUEST = "foreign_request"
    TASK_UNKNOWN = "task_unknown"
    TASK_FOREIGN = "task_foreign"
    RECEIVED_IN_FUTURE = "received_in_future"
    HANDLER_FAILED = "handler_failed"


class HabeasError(Exception):
    """Base of every error this package raises."""


class ContractError(HabeasError):
    """A message that breaks the contract.

    `pointer` is the JSON pointer (RFC 6901) of the member at fault, or the name of the header. Neither it nor
    `detail` ever carries a value from the message.
    """

    def __init__(self, reason: Reason, pointer: str = "", detail: str = "") -> None:
        super().__init__(f"{reason}{f' at {pointer}' if pointer else ''}{f': {detail}' if detail else ''}")
        self.reason = reason
        self.pointer = pointer
        self.detail = detail


class KeyUnknownError(ContractError):
    """Sealed under a key of the right participant that this key file does not hold (yet): worth another try."""

    def __init__(self, participant: str) -> None:
        super().__init__(
            Reason.KEY_UNKNOWN,
            "/personal",
            f"no such key of {participant}: distribute the new key to its readers, then replay the dead letter",
        )
        self.participant = participant


# Members whose names come from the sender: a name in them is not ours to repeat.
_FREE_NAMED = frozenset({"labels", "data"})


def pointer_to(location: tuple[int | str, ...], prefix: str = "") -> str:
    """The JSON pointer of a pydantic error location, cut where member names are the sender's own words."""
    parts: list[str] = []
    for part in location:
        if parts and parts[-1] in _FREE_NAMED:
            break
        parts.append(str(part))
    return prefix + "".join(f"/{part}" for part in parts)


def invalid(error: ValidationError, prefix: str = "") -> ContractError:
    """The first of a pydantic error's findings, without the input it quotes."""
    first: dict[str, Any] = dict(error.errors(include_input=False, include_url=False, include_context=False)[0])
    if first["type"] == "json_invalid":
        return ContractError(Reason.NOT_JSON, prefix, "the value is not a JSON object in UTF-8")
    pointer = pointer_to(first["loc"], prefix)
    reason = Reason.MEMBER_MISSING if first["type"] == "missing" else Reason.MEMBER_INVALID
    return ContractError(reason, pointer, f"expected otherwise: {first['type']}")
