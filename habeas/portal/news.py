"""What stands on a portal's status topic, record by record: one that cannot be read says nothing about the next."""

from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import structlog

from habeas.contracts.base import identifier
from habeas.contracts.catalogue import read
from habeas.contracts.cloudevents import decode
from habeas.contracts.errors import ContractError, Reason
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.dead_letters import RawKafkaRecord

_log = structlog.get_logger("habeas.portal")


@dataclass(frozen=True, slots=True)
class Purged:
    """The request has been purged at the end of its retention (a tombstone): forget it."""

    request_id: UUID


News: TypeAlias = StatusChanged | SubmissionRejected | Purged


def read_news(record: RawKafkaRecord) -> News | None:
    """What `record` says; None for a type that a later version of the contract added, or what nobody can read."""
    try:
        if record.value is None:
            return _purged(record.key)
        event = decode(record.key, record.value, record.headers)
        match event.type:
            case StatusChanged.TYPE:
                return read(event, StatusChanged)
            case SubmissionRejected.TYPE:
                return read(event, SubmissionRejected)
            case _:
                return None
    except ContractError as error:
        _log.warning(
            "record_unreadable",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=str(error.reason),
            pointer=error.pointer,
        )
        return None


def _purged(key: bytes | None) -> Purged:
    found = identifier((key or b"").decode(errors="replace"))
    if found is None:
        raise ContractError(Reason.KEY_INVALID, "", "the key must be the request id")
    return Purged(found)
