"""What a portal publishes on `dsr.portal.<portal>.submissions.v1`."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from habeas.contracts.base import Code, Id, Line, Message, Model, PersonalModel, Sealed, Text, Timestamp, Word
from habeas.contracts.vocabulary import (
    Channel,
    CorrectionOp,
    DeliverTo,
    NotifyBy,
    Open,
    OpenWord,
    ProofLevel,
    Relationship,
    Right,
)


class Proof(PersonalModel):
    """How and when a person showed that an identity is theirs (GDPR Art. 12(6))."""

    method: Code
    at: Timestamp
    level: Open[ProofLevel]


class Identity(PersonalModel):
    """One identifier of a person, in OpenDSR's members."""

    identity_type: Code
    identity_value: Line
    identity_format: Word = "raw"
    proof: Proof | None = None


class Subject(PersonalModel):
    """The person the data is about."""

    name: Line | None = None
    minor: bool = False
    identities: tuple[Identity, ...] = Field(default=(), max_length=50)


class Authority(PersonalModel):
    """What shows that a requester may act for the subject."""

    kind: Code
    reference: Line | None = None


class Requester(PersonalModel):
    """The person who asks: the subject, or somebody for them."""

    relationship: Open[Relationship] = Relationship.SELF
    name: Line | None = None
    email: (
        Annotated[str, Field(pattern=r"^[^@\s\x00-\x1f\x7f-\x9f<>,;:\"]{1,64}@[^@\s\x00-\x1f\x7f-\x9f<>,;:\"]{1,255}$")]
        | None
    ) = None
    language: Annotated[str, Field(pattern=r"^[a-zA-Z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en"
    authority: Authority | None = None


class Correction(PersonalModel):
    """One field to be rectified (GDPR Art. 16)."""

    category: Code
    record_id: Line | None = None
    field: Line
    old: Text | None = None
    value: Text | None = None
    op: Open[CorrectionOp] = CorrectionOp.SET


class Period(Model):
    """A span of time a request is limited to; open at either end."""

    start: Timestamp | None = None
    end: Timestamp | None = None


class Details(PersonalModel):
    """What exactly is asked for."""

    corrections: tuple[Correction, ...] = Field(default=(), max_length=200)
    purposes: tuple[Code, ...] = ()
    categories: tuple[Code, ...] = ()
    period: Period | None = None
    statement: Text | None = None


class SubmissionPersonal(PersonalModel):
    subject: Subject
    requester: Requester = Requester()
    deliver_to: Annotated[DeliverTo, OpenWord(unknown=DeliverTo.SUBJECT)] = DeliverTo.SUBJECT
    """An unknown word means the subject: data never goes to somebody else by mistake."""
    details: Details = Details()


class RequestSubmitted(Message):
    """A person asks. `request_id` is the portal's and the idempotency key."""

    TYPE: ClassVar[str] = "dsr.request.submitted.v1"
    PERSONAL: ClassVar[type[PersonalModel] | None] = SubmissionPersonal

    request_id: Id
    case_id: Id | None = None
    after: tuple[Id, ...] = Field(default=(), max_length=20)
    submitted_time: Timestamp
    received_at: Timestamp
    channel: Open[Channel] = Channel.FORM
    right: Open[Right]
    regulation: Word | None = None
    jurisdiction: Word | None = None
    """Where the person is (ISO 3166-1 or -2). As with the regulation, a word nobody knows goes to triage."""
    notify_by: Annotated[NotifyBy, OpenWord(unknown=NotifyBy.HABEAS)] = NotifyBy.HABEAS
    """An unknown word means `habeas`: somebody has to tell the person."""
    personal: Sealed

    @model_validator(mode="after")
    def _not_after_itself(self) -> Self:
        if self.request_id in self.after:
            raise ValueError("a request cannot come after itself")
        return self


class AmendedPersonal(PersonalModel):
    identities: tuple[Identity, ...] = Field(default=(), max_length=50)
    requester: Requester | None = None
    details: Details | None = None


class RequestAmended(Message):
    """The person adds to a request, or answers the question `answers`."""

    TYPE: ClassVar[str] = "dsr.request.amended.v1"
    PERSONAL: ClassVar[type[PersonalModel] | None] = AmendedPersonal

    request_id: Id
    answers: Id | None = None
    personal: Sealed


class RequestWithdrawn(Message):
    """The person takes the request back."""

    TYPE: ClassVar[str] = "dsr.request.withdrawn.v1"

    request_id: Id
    reason: Code | None = None


class ConfirmedPersonal(PersonalModel):
    identities: tuple[Identity, ...] = Field(min_length=1, max_length=50)


class IdentityConfirmed(Message):
    """The portal has proven identities that it could not attest at submission."""

    TYPE: ClassVar[str] = "dsr.identity.confirmed.v1"
    PERSONAL: ClassVar[type[PersonalModel] | None] = ConfirmedPersonal

    request_id: Id
    personal: Sealed
