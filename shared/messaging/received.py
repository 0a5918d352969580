"""Records that keep the contract, ready for a handler."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from habeas.contracts import CloudEvent, ContractError, Keyring, KeyUnknownError, Message, PersonalModel, Place, Reason
from habeas.contracts.catalogue import read, read_personal
from habeas.contracts.cloudevents import decode
from habeas.contracts.command import Command, verb_of
from habeas.contracts.topics import sender
from habeas.dead_letters import RawKafkaRecord
from shared.events import SERVICES

Record = RawKafkaRecord
"""As it came from Kafka: key and value in bytes or None."""

Body_co = TypeVar("Body_co", bound=Message, covariant=True)
Personal_co = TypeVar("Personal_co", bound=PersonalModel | None, covariant=True)


@dataclass(slots=True)
class Received(Generic[Body_co, Personal_co]):
    """One decoded record. `participant` is who could have written it: the topic says so, by Kafka's ACLs."""

    record: Record = field(repr=False)
    event: CloudEvent
    participant: str
    body: Body_co
    personal: Personal_co

    @property
    def request_id(self) -> UUID:
        return self.event.subject


@dataclass(frozen=True, slots=True)
class Reading:
    """How what bears a ce_type is read."""

    model: type[Message]
    opened: bool = True
    """Whether its personal part is opened. Else it is only made sure that it can be: for what we sealed ourselves."""


Readings = Mapping[str, Reading]
"""By ce_type."""

Outcome = Received[Any, Any] | ContractError | KeyUnknownError | None
"""What became of a record. None: it is for another of the services."""


def receive_all(records: Iterable[Record], readings: Mapping[str, Readings], keyring: Keyring) -> list[Outcome]:
    """What each record says, or why it says nothing. `readings` by topic.

    All go through each step before the next one begins: so its code and tables stay in the processor's caches, and it
    takes a fifth less.
    """
    found: list[Any] = [_try(_read_envelope, record, readings[record.topic]) for record in records]
    for step in (_read_body, _open_personal):
        found = [_try(step, each, keyring) if isinstance(each, _Draft) else each for each in found]
    return found


@dataclass(slots=True)
class _Draft:
    """A record on its way to being received."""

    record: Record
    event: CloudEvent
    participant: str
    reading: Reading
    body: Any = None


def _try(step: Callable[..., Any], *arguments: object) -> Any:
    try:
        return step(*arguments)
    except (ContractError, KeyUnknownError) as error:
        return error


def _read_envelope(record: Record, readings: Readings) -> _Draft | None:
    participant = sender(record.topic) or SERVICES
    if participant == SERVICES and _is_for_others(record, readings):
        return None
    event = decode(record.key, record.value, record.headers)
    # A verb without a model of its own is the business of whoever reads commands of any verb.
    reading = readings.get(event.type) or (readings.get(Command.TYPE) if verb_of(event.type) else None)
    if reading is None:
        raise ContractError(Reason.TYPE_UNKNOWN, "ce_type", "not a type that is read from this topic")
    return _Draft(record, event, participant, reading)


def _read_body(draft: _Draft, _keyring: Keyring) -> _Draft:
    draft.body = read(draft.event, draft.reading.model)
    return draft


def _open_personal(draft: _Draft, keyring: Keyring) -> Received[Any, Any]:
    event, body, personal = draft.event, draft.body, None
    model = draft.reading.model.PERSONAL
    if model is not None:
        place = Place(draft.participant, event.type, event.subject, getattr(body, "task_id", None))
        if draft.reading.opened:
            personal = read_personal(keyring, place, body.personal, model)
        else:
            keyring.check(place, body.personal)
    return Received(draft.record, event, draft.participant, body, personal)


def _is_for_others(record: Record, readings: Readings) -> bool:
    """Whether it bears, once, a type of ours that another service reads: that one looks at the rest of it."""
    named = [value for name, value in record.headers if name == "ce_type"]
    return (
        len(named) == 1
        and (text := (named[0] or b"").decode(errors="replace")).startswith("dsr.")
        and text not in readings
        and not (Command.TYPE in readings and verb_of(text))
    )
