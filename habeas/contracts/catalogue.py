"""All event types of the contract, and how a body is read from and written into an event."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

from pydantic import ValidationError

from habeas.contracts.base import Message, PersonalModel
from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.command import CommandDecided
from habeas.contracts.dead_letter import DeadLetter
from habeas.contracts.errors import ContractError, Reason, invalid
from habeas.contracts.result import TaskFinished, TaskProgressed
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.submission import IdentityConfirmed, RequestAmended, RequestSubmitted, RequestWithdrawn
from habeas.contracts.task import TaskAssigned, TaskCancelled, TaskReminded

Body = TypeVar("Body", bound=Message)
Personal = TypeVar("Personal", bound=PersonalModel)

SUBMISSION_TYPES: tuple[type[Message], ...] = (RequestSubmitted, RequestAmended, RequestWithdrawn, IdentityConfirmed)
STATUS_TYPES: tuple[type[Message], ...] = (StatusChanged, SubmissionRejected)
TASK_TYPES: tuple[type[Message], ...] = (TaskAssigned, TaskReminded, TaskCancelled)
RESULT_TYPES: tuple[type[Message], ...] = (TaskFinished, TaskProgressed)
DECISION_TYPES: tuple[type[Message], ...] = (CommandDecided,)
DEAD_LETTER_TYPES: tuple[type[Message], ...] = (DeadLetter,)
ALL_TYPES = (*SUBMISSION_TYPES, *STATUS_TYPES, *TASK_TYPES, *RESULT_TYPES, *DECISION_TYPES, *DEAD_LETTER_TYPES)


def read(event: CloudEvent, model: type[Body]) -> Body:
    """The body of `event`. Raises `ContractError` for anything that breaks the contract."""
    try:
        body = model.model_validate_json(event.data)
    except ValidationError as error:
        refusal = invalid(error)
        if refusal.pointer == "/personal" and refusal.reason is Reason.MEMBER_INVALID:
            raise ContractError(
                Reason.PERSONAL_IN_CLEAR, "/personal", "must be a compact JWE sealed under the sender's key"
            ) from None
        raise refusal from None
    if getattr(body, "request_id", event.subject) not in (event.subject, None) and model is not SubmissionRejected:
        raise ContractError(Reason.KEY_MISMATCH, "/request_id", "must be the record's key")
    return body


def read_personal(keyring: Keyring, place: Place, token: str, model: type[Personal]) -> Personal:
    """What is sealed in a body's `personal`. Raises `ContractError`, `KeyUnknownError`."""
    plaintext = keyring.open(place, token)
    try:
        return model.model_validate_json(plaintext)
    except ValidationError as error:
        raise invalid(error, "/personal") from None


def write(
    body: Message,
    *,
    subject: UUID,
    source: str,
    now: datetime,
    new_id: Callable[[], UUID] = uuid4,
    causation_id: str | None = None,
) -> CloudEvent:
    """`body` as an event about the request (or refused message) `subject`."""
    return CloudEvent(
        id=new_id(),
        source=source,
        type=body.TYPE,
        time=now,
        subject=subject,
        data=body.model_dump_json().encode(),
        causation_id=causation_id,
    )


def seal_personal(keyring: Keyring, place: Place, personal: PersonalModel) -> str:
    """`personal` sealed for `place`. Defaults travel too: the reader fills in nothing."""
    return keyring.seal(place, personal.model_dump_json().encode())


def types(*groups: tuple[type[Message], ...]) -> dict[str, type[Message]]:
    """ce_type to model."""
    return {model.TYPE: model for group in groups for model in group}
