"""From a raw Kafka record to a task, each record on its own: one bad record says nothing about the next."""

from dataclasses import dataclass
from typing import TypeAlias

from pydantic import ValidationError

from habeas.contracts.catalogue import ALL_TYPES, read, read_personal, types
from habeas.contracts.cloudevents import decode
from habeas.contracts.errors import ContractError, Reason
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.task import TaskAssigned, TaskCancelled, TaskPersonal, TaskReminded
from habeas.dead_letters import RawKafkaRecord

_ALL = types(ALL_TYPES)


@dataclass(frozen=True, slots=True)
class Assigned:
    """A task to do. A reminder is one as well: it holds all that the assignment held."""

    body: TaskAssigned | TaskReminded
    personal: TaskPersonal

    @property
    def place(self) -> Place:
        return Place(self.body.system, self.body.TYPE, self.body.request_id, self.body.task_id)


Inbound: TypeAlias = Assigned | TaskCancelled


def read_task(record: RawKafkaRecord, system: str, keyring: Keyring) -> Inbound:
    """What stands in a record of the system's tasks topic. Raises `ContractError`, `KeyUnknownError`."""
    event = decode(record.key, record.value, record.headers)
    body: TaskAssigned | TaskReminded
    match event.type:
        case TaskAssigned.TYPE:
            body = read(event, TaskAssigned)
        case TaskReminded.TYPE:
            body = read(event, TaskReminded)
        case TaskCancelled.TYPE:
            return read(event, TaskCancelled)
        case other:
            reason = Reason.TYPE_UNEXPECTED if other in _ALL else Reason.TYPE_UNKNOWN
            raise ContractError(reason, "ce_type", "expected a task: assigned, reminded or cancelled")
    if body.system != system:
        raise ContractError(Reason.TASK_FOREIGN, "/system", f"must be {system}, whose topic this is")
    place = Place(system, body.TYPE, body.request_id, body.task_id)
    return Assigned(body, read_personal(keyring, place, body.personal, TaskPersonal))


def kept(task: Assigned) -> str:
    """The task as text to store beside its answer: its `personal` stays sealed."""
    return task.body.model_dump_json()


def reopened(ce_type: str, text: str, keyring: Keyring) -> Assigned | None:
    """The task that was `kept`; None where it cannot be read any more, such as for want of its key."""
    model = TaskReminded if ce_type == TaskReminded.TYPE else TaskAssigned
    try:
        body = model.model_validate_json(text)
        place = Place(body.system, body.TYPE, body.request_id, body.task_id)
        return Assigned(body, read_personal(keyring, place, body.personal, TaskPersonal))
    except (ContractError, ValidationError):
        return None
