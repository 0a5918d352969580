"""What a system reads on `dsr.system.<system>.tasks.v1`."""

from typing import ClassVar

from habeas.contracts.base import (
    Code,
    Id,
    Message,
    Model,
    Ordinal,
    Participant,
    PersonalModel,
    Sealed,
    Text,
    Timestamp,
    Word,
)
from habeas.contracts.submission import Correction, Identity, Period
from habeas.contracts.vocabulary import Action, Instruction, LegalBasis, Open, Right


class ScopeItem(Model):
    """One category of data a task is about, with why the controller holds it."""

    category: Code
    purposes: tuple[Code, ...]
    basis: Open[LegalBasis]
    instruction: Open[Instruction] | None = None


class TaskSubject(PersonalModel):
    identities: tuple[Identity, ...]


class TaskDetails(PersonalModel):
    """What was asked, cut to the categories of the system."""

    corrections: tuple[Correction, ...] = ()
    purposes: tuple[Code, ...] = ()
    statement: Text | None = None


class TaskPersonal(PersonalModel):
    subject: TaskSubject
    details: TaskDetails = TaskDetails()


class _TaskBody(Message):
    PERSONAL: ClassVar[type[PersonalModel] | None] = TaskPersonal

    task_id: Id
    """New for each attempt."""
    request_id: Id
    system: Participant
    attempt: Ordinal
    action: Open[Action]
    right: Open[Right]
    regulation: Word
    policy_version: Word
    scope: tuple[ScopeItem, ...]
    period: Period | None = None
    due_at: Timestamp
    """When the system has to have answered: ahead of the request's own due date."""
    personal: Sealed


class TaskAssigned(_TaskBody):
    TYPE: ClassVar[str] = "dsr.task.assigned.v1"


class TaskReminded(_TaskBody):
    """The same body with the current due time: enough to do the work by."""

    TYPE: ClassVar[str] = "dsr.task.reminded.v1"

    level: Ordinal


class TaskCancelled(Message):
    TYPE: ClassVar[str] = "dsr.task.cancelled.v1"

    task_id: Id
    request_id: Id
    reason: Code
