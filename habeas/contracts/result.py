"""What a system publishes on `dsr.system.<system>.results.v1`."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from habeas.contracts.base import (
    ByteCount,
    Code,
    Count,
    Day,
    Id,
    Line,
    Message,
    Model,
    Participant,
    PersonalModel,
    Sealed,
    Text,
    Timestamp,
)
from habeas.contracts.submission import Identity
from habeas.contracts.vocabulary import Did, Open, Origin, ProgressState, TaskOutcome


class SummaryItem(Model):
    """What was done with how many records of a category, and what law keeps the rest until when."""

    category: Code
    did: Open[Did]
    count: Count
    ground: Code | None = None
    until: Day | None = None


class TaskError(Model):
    code: Code
    retryable: bool = False


class Artifact(Model):
    """A sealed object in the store, for what exceeds 900 kB: digest and size are of the sealed object."""

    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}){1,8}$")]
    category: Code
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: ByteCount
    media_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}$")]


class Record(PersonalModel):
    """One record about the person, as it is held."""

    id: Line
    category: Code
    origin: Open[Origin]
    source: Line | None = None
    third_parties: bool = False
    """Whether it also shows somebody else: a person weighs that before it is sent (GDPR Art. 15(4))."""
    data: dict[str, Any]
    files: tuple[Line, ...] = ()


class ResultPersonal(PersonalModel):
    records: tuple[Record, ...] = ()
    identities: tuple[Identity, ...] = ()
    """Identifiers found, for the systems that need them."""
    labels: dict[str, Line] = Field(default_factory=dict)
    """`category.member` to a name people can read."""
    message: Text | None = None


class TaskFinished(Message):
    TYPE: ClassVar[str] = "dsr.task.finished.v1"
    PERSONAL: ClassVar[type[PersonalModel] | None] = ResultPersonal

    task_id: Id
    request_id: Id
    system: Participant
    outcome: Open[TaskOutcome]
    summary: tuple[SummaryItem, ...] = Field(default=(), max_length=500)
    error: TaskError | None = None
    supersedes: Id | None = None
    """The ce_id of an earlier answer to this task that this one replaces."""
    artifacts: tuple[Artifact, ...] = ()
    personal: Sealed


class TaskProgressed(Message):
    TYPE: ClassVar[str] = "dsr.task.progressed.v1"

    task_id: Id
    request_id: Id
    state: Open[ProgressState]
    expected_at: Timestamp | None = None
    reason: Code | None = None
