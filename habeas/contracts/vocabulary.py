"""The words of the contract.

Every enum is open on the wire (see `Open`): a word that a reader does not know arrives as a plain string and is
handled as the contract says, never refused.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, TypeVar, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from habeas.contracts.base import WORD_PATTERN

Words = TypeVar("Words", bound=StrEnum)


class _Known(dict[str, StrEnum]):
    """Words by their spelling; looked up without a call into Python, as messages hold many of them."""

    def __init__(self, words: Iterable[StrEnum], unknown: StrEnum | None) -> None:
        super().__init__((word.value, word) for word in words)
        self._unknown = unknown

    def __missing__(self, text: str) -> str:
        return text if self._unknown is None else self._unknown


class OpenWord:
    """Reads a known word as its enum member; an unknown one stays as it is, or means `unknown` where that is given.

    A union of enum and string would do nearly the same, but name its branches in the pointers of errors.
    """

    def __init__(self, unknown: StrEnum | None = None) -> None:
        self._unknown = unknown

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        words = next(part for part in get_args(source) or (source,) if part is not str)
        known = _Known(words, self._unknown)
        return core_schema.no_info_after_validator_function(
            known.__getitem__,
            core_schema.str_schema(pattern=WORD_PATTERN, strict=True),
            metadata={"words": list(known)},
            serialization=core_schema.to_string_ser_schema(),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        words = schema["metadata"]["words"]
        return {"anyOf": [{"enum": words}, {"type": "string", "pattern": WORD_PATTERN}]}


Open = Annotated[Words | str, OpenWord()]
"""A word of the enum, or one that a later version of the contract added."""


class Right(StrEnum):
    """GDPR Art. 15-22 and 7(3), and what other regimes add."""

    ACCESS = "access"
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    CONSENT_WITHDRAWAL = "consent_withdrawal"
    OPT_OUT = "opt_out"
    LIMIT_USE = "limit_use"
    AUTOMATED_DECISION = "automated_decision"
    UNCLASSIFIED = "unclassified"


COPIES = frozenset({Right.ACCESS, Right.PORTABILITY})
"""The rights that are answered with a copy of the data (GDPR Art. 15, 20); only a copy can be of a period."""

STOPPING = frozenset({Right.OBJECTION, Right.CONSENT_WITHDRAWAL})
"""The rights that are about purposes and not about the data itself (GDPR Art. 21, 7(3))."""


class Channel(StrEnum):
    FORM = "form"
    EMAIL = "email"
    CHAT = "chat"
    PHONE = "phone"
    POST = "post"
    IN_PERSON = "in_person"
    AGENT = "agent"
    SIGNAL = "signal"


class NotifyBy(StrEnum):
    """Who tells the requester: Habeas by mail, or the portal in its own words."""

    HABEAS = "habeas"
    PORTAL = "portal"


class ProofLevel(StrEnum):
    """Assurance levels as in eIDAS, Regulation (EU) 910/2014 Art. 8(2)."""

    LOW = "low"
    SUBSTANTIAL = "substantial"
    HIGH = "high"


class Relationship(StrEnum):
    SELF = "self"
    PARENT = "parent"
    GUARDIAN = "guardian"
    AGENT = "agent"
    LEGAL_REPRESENTATIVE = "legal_representative"
    EXECUTOR = "executor"
    REPORTER = "reporter"
    CONTROLLER = "controller"


class DeliverTo(StrEnum):
    SUBJECT = "subject"
    REQUESTER = "requester"


class CorrectionOp(StrEnum):
    SET = "set"
    COMPLETE = "complete"
    REMOVE = "remove"


class RequestState(StrEnum):
    RECEIVED = "received"
    TRIAGE = "triage"
    WAITING = "waiting"
    IN_PROGRESS = "in_progress"
    IN_REVIEW = "in_review"
    CLOSED = "closed"


class WaitingFor(StrEnum):
    IDENTITY = "identity"
    CLARIFICATION = "clarification"
    AUTHORITY = "authority"
    FEE = "fee"
    APPROVAL = "approval"


class RequestOutcome(StrEnum):
    COMPLETED = "completed"
    PARTIALLY_COMPLETED = "partially_completed"
    NOTHING_HELD = "nothing_held"
    REFUSED = "refused"
    NOT_CONTROLLER = "not_controller"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    DUPLICATE = "duplicate"


class SystemState(StrEnum):
    WAITING = "waiting"
    ASKED = "asked"
    WORKING = "working"
    FINISHED = "finished"
    EXCLUDED = "excluded"


class Action(StrEnum):
    LOCATE = "locate"
    ACCESS = "access"
    EXPORT = "export"
    RECTIFY = "rectify"
    ERASE = "erase"
    RESTRICT = "restrict"
    UNRESTRICT = "unrestrict"
    OBJECT = "object"
    HOLD = "hold"


class LegalBasis(StrEnum):
    """GDPR Art. 6(1)(a)-(f), in the article's order."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


class Instruction(StrEnum):
    """What erasure does to a category."""

    DELETE = "delete"
    ANONYMIZE = "anonymize"
    RETAIN = "retain"


class TaskOutcome(StrEnum):
    COMPLETED = "completed"
    PARTIAL = "partial"
    NOTHING_HELD = "nothing_held"
    REFUSED = "refused"
    NEEDS_INPUT = "needs_input"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNSUPPORTED = "unsupported"


class TaskErrorCode(StrEnum):
    """What may stand in a system's way.

    Another code is shown to nobody as it is: whoever chose it may have put a person's name into it.
    """

    OLD_VALUE_DIFFERS = "old_value_differs"
    ALREADY_FILLED = "already_filled"
    FIELD_UNKNOWN = "field_unknown"
    RECORD_UNKNOWN = "record_unknown"
    RECORD_ID_MISSING = "record_id_missing"
    VALUE_MISSING = "value_missing"
    VALUE_INVALID = "value_invalid"
    VALUE_TAKEN = "value_taken"
    OP_UNKNOWN = "op_unknown"
    CORRECTIONS_MISSING = "corrections_missing"
    PURPOSE_UNKNOWN = "purpose_unknown"
    ANSWER_TOO_LARGE = "answer_too_large"
    ACTION_UNSUPPORTED = "action_unsupported"
    PROCESSOR_REFUSED = "processor_refused"
    """A processor of the system's declined."""
    HANDLER_FAILED = "handler_failed"
    OTHER = "other"


class Did(StrEnum):
    """What a system did with the records of a category."""

    DISCLOSED = "disclosed"
    EXPORTED = "exported"
    RECTIFIED = "rectified"
    DELETED = "deleted"
    ANONYMIZED = "anonymized"
    PSEUDONYMIZED = "pseudonymized"
    DETACHED = "detached"
    RESTRICTED = "restricted"
    UNRESTRICTED = "unrestricted"
    STOPPED = "stopped"
    SUPPRESSED = "suppressed"
    RETAINED = "retained"
    WITHHELD = "withheld"
    REDACTED = "redacted"
    RECIPIENTS_NOTIFIED = "recipients_notified"


class Origin(StrEnum):
    """Where data came from; portability reaches only the first two (WP242 rev.01)."""

    PROVIDED = "provided"
    OBSERVED = "observed"
    THIRD_PARTY = "third_party"
    DERIVED = "derived"


class ProgressState(StrEnum):
    WORKING = "working"
    BLOCKED = "blocked"
