"""The services' own events, on `dsr.requests.v1`, `dsr.progress.v1` and `dsr.outcomes.v1`. Not part of the contract.

intake -> RequestOpened, IdentitiesAdded, WithdrawalReceived, SubmissionRefused -> fanout, collector
fanout -> PlanMade, CollectionAwaited -> collector
collector -> SystemsFinished, RequestCollected, RequestStopped, RoundOrdered -> fanout
collector -> NoticeRequested -> notifier;  notifier -> NoticeDelivered -> collector

Personal parts are sealed under the key `services`.
"""

import datetime as dt
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from habeas.contracts.base import Code, Message, Model, Participant, PersonalModel, Sealed, Timestamp
from habeas.contracts.status import Due, StatusReason, SubmissionError
from habeas.contracts.submission import Details, Identity, Requester, Subject
from habeas.contracts.vocabulary import (
    Action,
    DeliverTo,
    Did,
    NotifyBy,
    Open,
    RequestOutcome,
    Right,
    SystemState,
    TaskOutcome,
)

SERVICES = "services"
"""The participant whose key seals what travels between the services."""

OPERATORS = "operators"
"""The participant whose key seals the services' dead letters."""


class Decision(StrEnum):
    """What intake made of a submission."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    TRIAGE = "triage"


class Audience(StrEnum):
    """As whom the requester is written to."""

    PERSON = "person"
    REPRESENTATIVE = "representative"
    """Somebody who acts for the person: a parent, a guardian, an agent."""
    BYSTANDER = "bystander"
    """Somebody who reported: told that it was dealt with, and nothing of what is or was held."""


class OpenedPersonal(PersonalModel):
    """The submission's personal part, cut to identities that a trusted method has proven."""

    subject: Subject
    requester: Requester
    deliver_to: Open[DeliverTo]
    details: Details


class RequestOpened(Message):
    """A submission has become a request: accepted, refused, or for a person to classify.

    Said again, with a higher `version`, when what was in triage is amended or decided.
    """

    TYPE: ClassVar[str] = "dsr.request.opened.v1"
    PERSONAL: ClassVar[type[PersonalModel] | None] = OpenedPersonal

    request_id: UUID
    version: Annotated[int, Field(ge=1)] = 1
    reference: str
    portal: Participant
    decision: Decision
    right: Open[Right]
    regulation: str | None
    jurisdiction: str | None
    case_id: UUID | None
    after: tuple[UUID, ...] = ()
    """Requests that have to be collected first."""
    notify_by: Open[NotifyBy]
    audience: Audience | None = None
    reachable: bool | None = None
    """Whether there is an address to write to. Said in clear, as `audience` is: who decides need not open the rest.
    None in what was said before these were."""
    received_at: Timestamp
    opened_at: Timestamp
    due: Due | None
    reason: StatusReason | None = None
    personal: Sealed


class SubmissionRefused(Message):
    """A portal's message could not be used; the collector tells the portal on its status topic."""

    TYPE: ClassVar[str] = "dsr.submission.refused.v1"
    KEY: ClassVar[str] = "ce_id"

    request_id: UUID | None
    portal: Participant
    ce_id: UUID
    errors: tuple[SubmissionError, ...]


class FoundPersonal(PersonalModel):
    identities: tuple[Identity, ...]


class IdentitiesAdded(Message):
    """The portal has proven further identities of an accepted request."""

    TYPE: ClassVar[str] = "dsr.request.identities_added.v1"
    PERSONAL: ClassVar[type[PersonalModel] | None] = FoundPersonal

    request_id: UUID
    amendment_id: UUID
    """The ce_id of what the portal said."""
    personal: Sealed


class WithdrawalReceived(Message):
    """The person takes the request back; whether it is still in time, the collector knows."""

    TYPE: ClassVar[str] = "dsr.request.withdrawal.v1"

    request_id: UUID
    reason: Code | None
    received_at: Timestamp


class PastTask(Model):
    """A task of an earlier round: a hold before the erasure, a restriction before its lifting."""

    task_id: UUID
    action: Open[Action]


class LeftOutCategory(Model):
    """A category that the right does not reach, and why: a code of `shared.law.grounds`."""

    category: Code
    ground: Code


class PlannedSystem(Model):
    """One row of a plan. `task_id` is set once the system was asked; a later round has a task of its own."""

    system: Participant
    state: Open[SystemState]
    action: Open[Action] | None = None
    task_id: UUID | None = None
    attempt: int = 0
    due_at: Timestamp | None = None
    reason: Code | None = None
    earlier: tuple[PastTask, ...] = ()
    left_out: tuple[LeftOutCategory, ...] = ()
    categories: tuple[Code, ...] = ()
    """What its task is about; none for one that only locates, and in plans from before this was said."""


class PlanMade(Message):
    """The whole plan as it stands; the highest `version` of a request counts."""

    TYPE: ClassVar[str] = "dsr.plan.made.v1"

    request_id: UUID
    version: Annotated[int, Field(ge=1)]
    systems: tuple[PlannedSystem, ...]


class CollectionAwaited(Message):
    """Another request comes after this one: say when it is collected, or that it is already."""

    TYPE: ClassVar[str] = "dsr.collection.awaited.v1"

    request_id: UUID


class SystemsFinished(Message):
    """Which systems have answered so far, with all the identifiers they found."""

    TYPE: ClassVar[str] = "dsr.systems.finished.v1"
    PERSONAL: ClassVar[type[PersonalModel] | None] = FoundPersonal

    request_id: UUID
    systems: tuple[Participant, ...]
    personal: Sealed


class RequestCollected(Message):
    """All systems have answered, or none will be asked any more: requests that come after it may go on."""

    TYPE: ClassVar[str] = "dsr.request.collected.v1"

    request_id: UUID
    let_go: UUID | None = None
    """The only one that may go on: the privacy team lets it go without this request, of which nobody has heard. If that
    comes after all, others do wait for it."""


class RequestStopped(Message):
    """The request ended before its systems did: no further tasks, and those in hand are cancelled."""

    TYPE: ClassVar[str] = "dsr.request.stopped.v1"

    request_id: UUID
    finished: tuple[Participant, ...]
    """Systems that have answered: there is nothing to cancel."""


class RoundOrdered(Message):
    """Systems that were asked are to be asked once more."""

    TYPE: ClassVar[str] = "dsr.round.ordered.v1"

    request_id: UUID
    order_id: UUID
    """The command behind it: the same order again is nothing."""
    systems: tuple[Participant, ...]
    action: Open[Action] | None = None
    """What is to be done now; None for the same as before."""
    categories: tuple[Code, ...] = ()
    """The part of the former scope it is about; none named means all of it."""


class Notice(StrEnum):
    """What a mail is about; the value of its `X-Habeas-Notice` header."""

    ACKNOWLEDGED = "acknowledged"
    COMPLETED = "completed"
    PARTIALLY_COMPLETED = "partially_completed"
    NOTHING_HELD = "nothing_held"
    REFUSED = "refused"
    NOT_CONTROLLER = "not_controller"
    WITHDRAWN = "withdrawn"
    RESTRICTION_LIFTING = "restriction_lifting"
    """Comes before the restriction is lifted (GDPR Art. 18(3))."""
    DPO_REVIEW = "dpo_review"
    DPO_TRIAGE = "dpo_triage"


class Recipient(StrEnum):
    """Whom a mail goes to, by role: an address never stands in clear."""

    REQUESTER = "requester"
    DPO = "dpo"


class StatementItem(Model):
    """What one system did with one category of records."""

    system: Participant
    category: Code
    did: Open[Did]
    count: int
    ground: Code | None = None
    until: dt.date | None = None


class SystemNote(Model):
    """How a system ended, where it has no items to show: excluded, nothing held, failed."""

    system: Participant
    state: Open[SystemState]
    outcome: Open[TaskOutcome] | None = None
    reason: Code | None = None


class NotCovered(Model):
    """A category that the right does not reach; the person is told why (a code of `shared.law.grounds`)."""

    system: Participant
    category: Code
    ground: Code


class AnswerObject(PersonalModel):
    """Where the sealed answer lies in the object store and what opens it."""

    key: str
    secret: str
    """The content key, base64url: whoever holds it can read the answer."""
    sha256: str
    bytes: int
    media_type: str
    expires_at: Timestamp


class NoticePersonal(PersonalModel):
    """Everything a mail needs besides the clear members of `NoticeRequested`."""

    email: str | None
    """None for the DPO, whose address the registry has."""
    name: str | None = None
    language: str = "en"
    statement: tuple[StatementItem, ...] = ()
    systems: tuple[SystemNote, ...] = ()
    answer: AnswerObject | None = None
    audience: Open[Audience] = Audience.PERSON
    not_covered: tuple[NotCovered, ...] = ()
    limited: bool = False
    """Whether only a part was asked for: what was not found there may be held elsewhere."""
    elsewhere: tuple[Code, ...] = ()
    """What was asked for and another controller decides about: names under the registry's [not_controller]."""


class NoticeRequested(Message):
    """Somebody is to be told. Natural key: request, notice, recipient, ordinal."""

    TYPE: ClassVar[str] = "dsr.notice.requested.v1"
    PERSONAL: ClassVar[type[PersonalModel] | None] = NoticePersonal

    request_id: UUID
    notice: Open[Notice]
    recipient: Recipient
    ordinal: Annotated[int, Field(ge=1)] = 1
    reference: str
    right: Open[Right]
    regulation: str | None
    jurisdiction: str | None
    received_at: Timestamp
    due: Due | None
    outcome: Open[RequestOutcome] | None = None
    reason: StatusReason | None = None
    personal: Sealed


class DeliveryResult(StrEnum):
    ACCEPTED = "accepted"
    BOUNCED = "bounced"


class NoticeDelivered(Message):
    """SMTP has taken the mail, or refused it for good."""

    TYPE: ClassVar[str] = "dsr.notice.delivered.v1"

    request_id: UUID
    notice: Open[Notice]
    recipient: Recipient
    ordinal: int
    result: DeliveryResult
    at: Timestamp
