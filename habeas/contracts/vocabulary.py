"""The words of the contract.

Every enum is open on the wire (see `Open`): a word that a reader does not know arrives as a plain string and is
handled as the contract says, never refused.
"""

from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import Field

Word = TypeVar("Word", bound=StrEnum)
Open = Annotated[Word | str, Field(union_mode="left_to_right")]


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
