"""All event types of the contract, and how a body is read from and written into an event."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import TypeVar
from uuid import UUID

import orjson
from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticSerializationError, core_schema

from habeas.contracts.base import Message, Model, PersonalModel, strict_json
from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.command import (
    Command,
    CommandClassify,
    CommandDecided,
    CommandLift,
    CommandRefuse,
    CommandRelease,
    CommandRetry,
    CommandWeigh,
)
from habeas.contracts.dead_letter import DeadLetter
from habeas.contracts.errors import ContractError, Reason, invalid, not_json
from habeas.contracts.forms import Written
from habeas.contracts.randomness import random_id
from habeas.contracts.result import TaskFinished, TaskProgressed
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.submission import IdentityConfirmed, RequestAmended, RequestSubmitted, RequestWithdrawn
from habeas.contracts.task import TaskAssigned, TaskCancelled, TaskReminded
from habeas.contracts.topics import PERSONAL_LIMIT

Body = TypeVar("Body", bound=Message)
Personal = TypeVar("Personal", bound=PersonalModel)
Read = TypeVar("Read", bound=Model)

SUBMISSION_TYPES: tuple[type[Message], ...] = (RequestSubmitted, RequestAmended, RequestWithdrawn, IdentityConfirmed)
STATUS_TYPES: tuple[type[Message], ...] = (StatusChanged, SubmissionRejected)
TASK_TYPES: tuple[type[Message], ...] = (TaskAssigned, TaskReminded, TaskCancelled)
RESULT_TYPES: tuple[type[Message], ...] = (TaskFinished, TaskProgressed)
COMMAND_TYPES: tuple[type[Message], ...] = (
    CommandClassify,
    CommandRefuse,
    CommandWeigh,
    CommandLift,
    CommandRetry,
    CommandRelease,
    Command,
)
DECISION_TYPES: tuple[type[Message], ...] = (CommandDecided,)
DEAD_LETTER_TYPES: tuple[type[Message], ...] = (DeadLetter,)
ALL_TYPES = (
    *SUBMISSION_TYPES,
    *STATUS_TYPES,
    *TASK_TYPES,
    *RESULT_TYPES,
    *COMMAND_TYPES,
    *DECISION_TYPES,
    *DEAD_LETTER_TYPES,
)


def read(event: CloudEvent, model: type[Body]) -> Body:
    """The body of `event`. Raises `ContractError` for anything that breaks the contract."""
    body = _parse(model, event.data)
    if not _keyed_by(body, event.subject):
        raise ContractError(Reason.KEY_MISMATCH, f"/{model.KEY}", "must be the record's key")
    return body


def read_personal(keyring: Keyring, place: Place, token: str, model: type[Personal]) -> Personal:
    """What is sealed in a body's `personal`. Raises `ContractError`, `KeyUnknownError`."""
    return _parse(model, keyring.open(place, token), "/personal")


def write(
    body: Message | Written[Message],
    *,
    subject: UUID,
    source: str,
    now: datetime,
    new_id: Callable[[], UUID] = random_id,
    causation_id: str | None = None,
    correlation_id: str | None = None,
    ce_type: str | None = None,
) -> CloudEvent:
    """`body` as an event about the request (or refused message) `subject`. A command needs its `ce_type`.

    Raises `ContractError` when `subject` is not the body's own key or a string is not valid Unicode.
    """
    model = body.model if isinstance(body, Written) else type(body)
    if not _keyed_by(body, subject):
        raise ContractError(Reason.KEY_MISMATCH, f"/{model.KEY}", "must be the record's key")
    return CloudEvent(
        id=new_id(),
        source=source,
        type=ce_type or model.TYPE,
        time=now,
        subject=subject,
        data=_dump(body, ""),
        correlation_id=correlation_id,
        causation_id=causation_id,
    )


def seal_personal(keyring: Keyring, place: Place, personal: PersonalModel | Written[PersonalModel]) -> str:
    """`personal` sealed for `place`. Defaults travel too: the reader fills in nothing.

    Raises `ContractError` (`too_large`) over 900 kB sealed, dead letters excepted; `KeyFileError` without a key.
    """
    token = keyring.seal(place, _dump(personal, "/personal"))
    if len(token) > PERSONAL_LIMIT and place.ce_type != DeadLetter.TYPE:
        raise ContractError(
            Reason.TOO_LARGE, "/personal", f"{len(token)} bytes, the limit is {PERSONAL_LIMIT}: send an artifact"
        )
    return token


def types(*groups: tuple[type[Message], ...]) -> dict[str, type[Message]]:
    """ce_type to model."""
    return {model.TYPE: model for group in groups for model in group}


def _keyed_by(body: Message | Written[Message], subject: UUID) -> bool:
    key = body.key if isinstance(body, Written) else getattr(body, body.KEY, None)
    return key in (subject, None)


# Errors are raised outside the `except` blocks: otherwise the refused text would stay reachable as their context.


def _parse(model: type[Read], data: bytes, prefix: str = "") -> Read:
    refusal: ContractError | None = None
    try:
        orjson.loads(data)  # strict where pydantic is not: NaN, Infinity, 1e999; the rest pydantic's own reader finds
        return model.model_validate_json(data)
    except ValidationError as error:
        if strict_json(data)[0]:
            refusal = invalid(error, prefix)
    except ValueError:
        pass
    raise refusal or not_json(prefix)


def _dump(value: Model | Written[Model], pointer: str) -> bytes:
    if isinstance(value, Written):
        model, data = value.model, value.data
    else:
        model = type(value)
        try:
            data = value.model_dump_json().encode()
        except (PydanticSerializationError, UnicodeEncodeError):
            data = b""
    # What no reader would take is refused here, where it can still be mended: too deep, too large a number.
    if data and (not _holds_anything(model) or strict_json(data)[0]):
        return data
    raise ContractError(Reason.MEMBER_INVALID, pointer, "holds a value that JSON cannot: mend it at its source")


@cache
def _holds_anything(model: type[Model]) -> bool:
    """Whether a member takes any value, as a system's record does: only there can be what JSON cannot."""
    return "AnyValue" in repr(model.model_json_schema(schema_generator=_MarkingAnyValue))


class _MarkingAnyValue(GenerateJsonSchema):
    def any_schema(self, schema: core_schema.AnySchema) -> JsonSchemaValue:  # noqa: ARG002
        return {"$comment": "AnyValue"}
