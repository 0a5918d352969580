"""What a portal reads on `dsr.portal.<portal>.status.v1` (compacted)."""

from typing import Annotated, ClassVar

from pydantic import Field

from habeas.contracts.base import Code, Day, Id, Line, Message, Model, Ordinal, Participant, Timestamp, Word
from habeas.contracts.vocabulary import (
    Open,
    RequestOutcome,
    RequestState,
    Right,
    SystemState,
    TaskOutcome,
    WaitingFor,
)


class Due(Model):
    """When the law wants an answer. A computed date, with the rule that made it."""

    at: Timestamp
    """The last second of the last day."""
    on: Day
    """The last day, in the controller's time zone."""
    rule: Line
    original_at: Timestamp
    """As `at`, before any extension or pause."""
    extended: bool = False


class SystemStatus(Model):
    system: Participant
    state: Open[SystemState]
    outcome: Open[TaskOutcome] | None = None
    reason: Code | None = None


class AnswerStatus(Model):
    available: bool
    expires_at: Timestamp | None = None


class StatusReason(Model):
    code: Code
    ground: Code | None = None


class StatusChanged(Message):
    """The whole state of a request. One writer; readers ignore any `version` below the highest they saw."""

    TYPE: ClassVar[str] = "dsr.request.status_changed.v1"

    request_id: Id
    reference: Annotated[str, Field(pattern=r"^HB-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$")]
    version: Ordinal
    state: Open[RequestState]
    waiting_for: Open[WaitingFor] | None = None
    outcome: Open[RequestOutcome] | None = None
    right: Open[Right]
    regulation: Word | None
    received_at: Timestamp
    since: Timestamp
    due: Due | None
    overdue: bool = False
    systems: tuple[SystemStatus, ...] = ()
    answer: AnswerStatus | None = None
    reason: StatusReason | None = None


class SubmissionError(Model):
    code: Code
    pointer: Annotated[str, Field(max_length=512)]
    """A JSON pointer (RFC 6901) into the refused message, or the name of its header."""


class SubmissionRejected(Message):
    """A message of the portal's was refused. Keyed by its ce_id; only fields of the contract are named, no values."""

    TYPE: ClassVar[str] = "dsr.submission.rejected.v1"
    KEY: ClassVar[str] = "ce_id"

    request_id: Id | None
    ce_id: Id
    errors: tuple[SubmissionError, ...]
