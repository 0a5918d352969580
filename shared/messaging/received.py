"""A record that keeps the contract, ready for a handler."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from habeas.contracts import CloudEvent, ContractError, Keyring, Message, PersonalModel, Place, Reason
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


def receive(record: Record, models: dict[str, type[Message]], keyring: Keyring) -> Received[Any, Any] | None:
    """The record decoded and opened; None for a type of the services' own that is meant for another of them.

    Raises `ContractError`, `KeyUnknownError`.
    """
    participant = sender(record.topic) or SERVICES
    if participant == SERVICES and _is_for_others(record, models):
        return None
    event = decode(record.key, record.value, record.headers)
    # A verb without a model of its own is the business of whoever reads commands of any verb.
    model = models.get(event.type) or (models.get(Command.TYPE) if verb_of(event.type) else None)
    if model is None:
        raise ContractError(Reason.TYPE_UNKNOWN, "ce_type", "not a type that is read from this topic")
    body = read(event, model)
    personal = None
    if model.PERSONAL is not None:
        place = Place(participant, event.type, event.subject, getattr(body, "task_id", None))
        personal = read_personal(keyring, place, body.personal, model.PERSONAL)  # type: ignore[attr-defined]
    return Received(record, event, participant, body, personal)


def _is_for_others(record: Record, models: dict[str, type[Message]]) -> bool:
    """Whether it bears, once, a type of ours that another service reads: that one looks at the rest of it."""
    named = [value for name, value in record.headers if name == "ce_type"]
    return (
        len(named) == 1
        and (text := (named[0] or b"").decode(errors="replace")).startswith("dsr.")
        and text not in models
        and not (Command.TYPE in models and verb_of(text))
    )
