"""The envelope: CloudEvents 1.0 in the Kafka protocol binding, binary mode; structured mode is accepted."""

import base64
import binascii
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from habeas.contracts.errors import ContractError, Reason
from habeas.contracts.topics import MESSAGE_LIMIT

Headers = Sequence[tuple[str, bytes | None]]

JSON = "application/json"
_STRUCTURED = "application/cloudevents+json"
_REQUIRED = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject")
_OPTIONAL = ("ce_correlationid", "ce_causationid", "traceparent")
_READ = frozenset((*_REQUIRED, *_OPTIONAL, "content-type"))
_UUID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event with its body still in bytes. `subject` is the request id and the record's key."""

    id: UUID
    source: str
    type: str
    time: datetime
    subject: UUID
    data: bytes = field(repr=False)
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


def encode(event: CloudEvent) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of the Kafka record (binary mode)."""
    subject = str(event.subject).encode()
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event.id).encode()),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_time", rfc3339(event.time).encode()),
        ("ce_subject", subject),
        ("content-type", JSON.encode()),
    ]
    for name, value in zip(_OPTIONAL, (event.correlation_id, event.causation_id, event.traceparent), strict=True):
        if value is not None:
            headers.append((name, value.encode()))
    return subject, event.data, headers


def decode(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> CloudEvent:
    """The event of a Kafka record. Raises `ContractError` with what is wrong, in the order a sender would mend it."""
    if value is None:
        raise ContractError(Reason.TOMBSTONE, "", "the record has no value")
    if len(value) > MESSAGE_LIMIT:
        raise ContractError(Reason.TOO_LARGE, "", f"over {MESSAGE_LIMIT} bytes: send what is large as an artifact")
    attributes = _attributes(headers)
    content_type = attributes.get("content-type")
    if content_type is None:
        raise ContractError(Reason.HEADER_MISSING, "content-type")
    if content_type.startswith(_STRUCTURED):
        attributes, value = _structured(value)
    elif content_type.split(";")[0].strip() != JSON:
        raise ContractError(Reason.HEADER_INVALID, "content-type", f"must be {JSON}")
    for name in _REQUIRED:
        if name not in attributes:
            raise ContractError(Reason.HEADER_MISSING, name)
    if attributes["ce_specversion"] != "1.0":
        raise ContractError(Reason.HEADER_INVALID, "ce_specversion", "must be 1.0")
    if not attributes["ce_source"]:
        raise ContractError(Reason.HEADER_INVALID, "ce_source", "must not be empty")
    event = CloudEvent(
        id=_uuid(attributes["ce_id"], Reason.HEADER_INVALID, "ce_id"),
        source=attributes["ce_source"],
        type=attributes["ce_type"],
        time=_instant(attributes["ce_time"]),
        subject=_uuid(attributes["ce_subject"], Reason.HEADER_INVALID, "ce_subject"),
        data=value,
        correlation_id=attributes.get("ce_correlationid"),
        causation_id=attributes.get("ce_causationid"),
        traceparent=attributes.get("traceparent"),
    )
    if key is None:
        raise ContractError(Reason.KEY_MISSING, "", "the key must be the request id")
    try:
        text = key.decode()
    except UnicodeDecodeError:
        raise ContractError(Reason.KEY_INVALID, "", "the key must be a UUID in text") from None
    if _uuid(text, Reason.KEY_INVALID, "") != event.subject:
        raise ContractError(Reason.KEY_MISMATCH, "ce_subject", "the key and ce_subject must be the same request id")
    return event


def rfc3339(instant: datetime) -> str:
    """UTC with a `Z`, as the contract writes instants."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def readable_subject(key: bytes | None, headers: Headers) -> UUID | None:
    """The request id of a record that may be broken elsewhere, where it can be read at all."""
    for candidate in (key, *(value for name, value in headers if name == "ce_subject")):
        try:
            return _uuid((candidate or b"").decode(), Reason.KEY_INVALID, "")
        except (ContractError, UnicodeDecodeError):
            continue
    return None


def readable_id(headers: Headers) -> UUID | None:
    """The ce_id of a record that may be broken elsewhere."""
    for name, value in headers:
        if name == "ce_id":
            try:
                return _uuid((value or b"").decode(), Reason.HEADER_INVALID, name)
            except (ContractError, UnicodeDecodeError):
                return None
    return None


def _attributes(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name not in _READ:
            continue
        if name in attributes:
            raise ContractError(Reason.HEADER_REPEATED, name)
        if value is None:
            raise ContractError(Reason.HEADER_INVALID, name, "is null")
        try:
            attributes[name] = value.decode()
        except UnicodeDecodeError:
            raise ContractError(Reason.HEADER_INVALID, name, "is not UTF-8") from None
    return attributes


def _structured(value: bytes) -> tuple[dict[str, str], bytes]:
    try:
        envelope: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise ContractError(Reason.NOT_JSON) from None
    if not isinstance(envelope, dict):
        raise ContractError(Reason.NOT_JSON, "", "a structured event is a JSON object")
    attributes: dict[str, str] = {}
    for name in (*_REQUIRED, *_OPTIONAL):
        member = name.removeprefix("ce_")
        if envelope.get(member) is not None:
            if not isinstance(envelope[member], str):
                raise ContractError(Reason.HEADER_INVALID, f"/{member}", "must be a string")
            attributes[name] = envelope[member]
    if envelope.get("datacontenttype", JSON) != JSON:
        raise ContractError(Reason.HEADER_INVALID, "/datacontenttype", f"must be {JSON}")
    if "data_base64" in envelope:
        try:
            return attributes, base64.b64decode(envelope["data_base64"], validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise ContractError(Reason.MEMBER_INVALID, "/data_base64") from None
    if "data" not in envelope:
        raise ContractError(Reason.MEMBER_MISSING, "/data")
    return attributes, orjson.dumps(envelope["data"])


def _uuid(text: str, reason: Reason, where: str) -> UUID:
    if len(text) != _UUID_LENGTH:
        raise ContractError(reason, where, "must be a UUID in its 36-character form")
    try:
        return UUID(text)
    except ValueError:
        raise ContractError(reason, where, "must be a UUID in its 36-character form") from None


def _instant(text: str) -> datetime:
    instant: datetime | None = None
    with suppress(ValueError):
        instant = datetime.fromisoformat(text)
    if instant is None or instant.tzinfo is None or "T" not in text.upper():
        raise ContractError(Reason.HEADER_INVALID, "ce_time", "must be an RFC 3339 instant with an offset")
    return instant.astimezone(UTC)
