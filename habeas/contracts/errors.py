"""What is wrong with a message, as a value that can be published: never the message itself."""

import re
from enum import StrEnum

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
    TOO_LATE = "too_late"
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

# What pydantic's finding means to a sender. Its own texts are not used: some quote the input.
_ADVICE = {
    "missing": "the member is required",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "tuple_type": "must be a JSON array",
    "string_type": "must be a string",
    "string_pattern_mismatch": "must have the form that the schema's pattern gives",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than the schema allows",
    "too_short": "has fewer items than the schema asks for",
    "too_long": "has more items than the schema allows",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "greater_than_equal": "is below the schema's minimum",
    "less_than_equal": "is above the schema's maximum",
    "uuid": "must be a UUID in its 36-character form",
    "instant": "must be an RFC 3339 instant with an offset, as 2026-03-02T09:15:00Z",
    "day": "must be a date, as 2026-03-02",
    "base64": "must be base64",
}
_TOKEN = re.compile(r"[A-Za-z0-9_.-]*")


def pointer_to(location: tuple[int | str, ...], prefix: str = "") -> str:
    """The JSON pointer of a pydantic error location, cut where member names are the sender's own words."""
    parts: list[str] = []
    for part in location:
        if parts and parts[-1] in _FREE_NAMED:
            break
        parts.append(str(part))
    return prefix + "".join(f"/{part}" for part in parts)


def invalid(error: ValidationError, prefix: str = "") -> ContractError:
    """The first of a pydantic error's findings, without the input it quotes. Findings at `/personal` come first:
    a person's data in clear matters more than a misspelled member."""
    findings = error.errors(include_url=False, include_context=False)
    first = next((finding for finding in findings if not prefix and finding["loc"] == ("personal",)), findings[0])
    kind = first["type"]
    if kind == "json_invalid":
        return not_json(prefix)
    pointer = pointer_to(first["loc"], prefix)
    if kind == "missing":
        return ContractError(Reason.MEMBER_MISSING, pointer, _ADVICE[kind])
    if pointer == "/personal" and not prefix:
        return ContractError(
            _unsealed(first["input"]), pointer, "must be a compact JWE, sealed under the key of the topic's participant"
        )
    return ContractError(Reason.MEMBER_INVALID, pointer, _ADVICE.get(kind, "does not fit the schema"))


def _unsealed(personal: object) -> Reason:
    """What stands in a `personal` that is no compact JWE: a person's data, a broken token, or nothing."""
    if isinstance(personal, dict | list) and personal:
        return Reason.PERSONAL_IN_CLEAR
    if isinstance(personal, str) and personal:
        return Reason.PERSONAL_UNOPENABLE if _TOKEN.fullmatch(personal) else Reason.PERSONAL_IN_CLEAR
    return Reason.MEMBER_INVALID


def not_json(pointer: str = "") -> ContractError:
    return ContractError(Reason.NOT_JSON, pointer, "must be JSON in UTF-8 (RFC 8259), without a byte order mark")
