"""A record that cannot be used, as the event that tells its reader so: the record sealed whole, the reason in clear."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from habeas.contracts.catalogue import seal_personal, write
from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.dead_letter import DeadLetter, RawRecord, dead_letter_id
from habeas.contracts.errors import ContractError
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.topics import DEAD_LETTER_LIMIT

_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""A producer may stamp a record as it likes, also beyond what a calendar holds."""

# Kafka's limit covers the record's key and headers and its batch's frame as well.
_ROOM = DEAD_LETTER_LIMIT - 16_384


class RawKafkaRecord(Protocol):
    """The members of aiokafka's `ConsumerRecord` that count here."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


def dead_letter(
    record: RawKafkaRecord, error: ContractError, *, keyring: Keyring, reader: str, refused_by: str, now: datetime
) -> CloudEvent:
    """`record` as a dead letter for `reader` (`operators`, or the system itself), under whose key it is sealed.

    The id, ce_id and key are made from topic, partition and offset: refused twice, it is the same dead letter. What
    would not fit into a dead letter goes without its headers, and then without its value (Kafka's limits hold for what
    was compressed): its length and SHA-256 stand in `detail`. Raises `KeyFileError` when the keyring holds no key of
    `reader`.
    """
    headers, value = list(record.headers), record.value
    letter = _letter(record, error, value, headers, keyring=keyring, reader=reader, refused_by=refused_by, now=now)
    if len(letter.data) > _ROOM and headers:
        error = _shortened(error, "its headers were too many to keep")
        letter = _letter(record, error, value, [], keyring=keyring, reader=reader, refused_by=refused_by, now=now)
    if len(letter.data) > _ROOM and value is not None:
        digest = hashlib.sha256(value).hexdigest()
        error = _shortened(error, f"its value of {len(value)} bytes was too large to keep, SHA-256 {digest}")
        letter = _letter(record, error, None, [], keyring=keyring, reader=reader, refused_by=refused_by, now=now)
    return letter


def _shortened(error: ContractError, why: str) -> ContractError:
    return ContractError(error.reason, error.pointer, f"{error.detail or error.reason}; {why}")


def _letter(
    record: RawKafkaRecord,
    error: ContractError,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    *,
    keyring: Keyring,
    reader: str,
    refused_by: str,
    now: datetime,
) -> CloudEvent:
    identifier = dead_letter_id(record.topic, record.partition, record.offset)
    place = Place(reader, DeadLetter.TYPE, identifier)
    body = DeadLetter(
        dead_letter_id=identifier,
        reason=error.reason,
        pointer=error.pointer,
        detail=error.detail,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        recorded_at=datetime.fromtimestamp(min(max(record.timestamp, 0) / 1000, _LATEST), UTC),
        refused_at=now,
        refused_by=refused_by,
        bytes=len(record.value or b""),
        personal=seal_personal(keyring, place, RawRecord.of(record.key, value, headers)),
    )
    return write(body, subject=identifier, source=f"habeas/{refused_by}", now=now, new_id=lambda: identifier)
