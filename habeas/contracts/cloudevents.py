"""The envelope: CloudEvents 1.0 in the Kafka protocol binding, binary mode; structured mode is accepted."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema, to_json

from habeas.contracts.base import (
    identifier,
    identifier_text,
    instant,
    instant_text_schema,
    strict_json,
    uuid_text_schema,
)
from habeas.contracts.errors import ContractError, Reason, not_json
from habeas.contracts.topics import MESSAGE_LIMIT

Headers = Sequence[tuple[str, bytes | None]]

JSON = "application/json"
_STRUCTURED = "application/cloudevents+json"
_REQUIRED = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject")
_OPTIONAL = ("ce_correlationid", "ce_causationid", "traceparent")
_READ = frozenset((*_REQUIRED, *_OPTIONAL, "content-type"))
_FRAME = 256
"""Bytes that Kafka adds: the head of a batch (61), of the record and of each header."""
_HEADROOM = 4_096
"""More than key, headers and frame ever take."""
_VERSION = ("ce_specversion", b"1.0")
_CONTENT = ("content-type", JSON.encode())
_PRINTABLE = re.compile(r"[!-~]{1,256}")
_TYPE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,128})?")


def _attribute(schema: core_schema.CoreSchema, *, required: bool = True) -> core_schema.TypedDictField:
    return core_schema.typed_dict_field(schema, required=required)


def _spelled(pattern: str) -> core_schema.CoreSchema:
    return core_schema.str_schema(pattern=f"^(?:{pattern})$")


_ATTRIBUTES = SchemaValidator(
    core_schema.typed_dict_schema(
        {
            "content-type": _attribute(core_schema.literal_schema([JSON.encode()])),
            "ce_specversion": _attribute(core_schema.literal_schema([b"1.0"])),
            "ce_id": _attribute(uuid_text_schema(strict=False)),
            "ce_source": _attribute(_spelled(_PRINTABLE.pattern)),
            "ce_type": _attribute(_spelled(_TYPE.pattern)),
            "ce_time": _attribute(instant_text_schema(strict=False)),
            "ce_subject": _attribute(uuid_text_schema(strict=False)),
            "ce_correlationid": _attribute(_spelled(_PRINTABLE.pattern), required=False),
            "ce_causationid": _attribute(_spelled(_PRINTABLE.pattern), required=False),
            "traceparent": _attribute(_spelled(_TRACEPARENT.pattern), required=False),
        }
    )
)
"""The headers of a record as nearly every sender writes them; what it refuses is looked at closely."""


@dataclass(slots=True)
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


def encode(event: CloudEvent, limit: int = MESSAGE_LIMIT) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of the Kafka record (binary mode).

    Raises `ContractError` (`too_large`) where the record with its headers exceeds `limit` bytes: no broker takes it.
    """
    subject = identifier_text(event.subject)
    headers = [
        _VERSION,
        ("ce_id", identifier_text(event.id)),
        ("ce_source", event.source.encode()),
        ("ce_type", event.type.encode()),
        ("ce_time", rfc3339(event.time).encode()),
        ("ce_subject", subject),
        _CONTENT,
    ]
    if event.correlation_id is not None:
        headers.append(("ce_correlationid", event.correlation_id.encode()))
    if event.causation_id is not None:
        headers.append(("ce_causationid", event.causation_id.encode()))
    if event.traceparent is not None:
        headers.append(("traceparent", event.traceparent.encode()))
    if len(event.data) > limit - _HEADROOM:
        size = len(event.data) + len(subject) + sum([len(name) + len(value) for name, value in headers]) + _FRAME
        if size > limit:
            raise ContractError(
                Reason.TOO_LARGE, "", f"{size} bytes, the limit is {limit}: send what is large as an artifact"
            )
    return subject, event.data, headers


def decode(
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    limit: int = MESSAGE_LIMIT,
) -> CloudEvent:
    """The event of a Kafka record. Raises `ContractError` with what is wrong, in the order a sender would mend it."""
    if value is None:
        raise ContractError(Reason.TOMBSTONE, "", "the record has no value")
    if len(value) > limit:
        raise ContractError(Reason.TOO_LARGE, "", f"over {limit} bytes: send what is large as an artifact")
    event = _plain(key, value, headers)
    return event if event is not None else _decode_closely(key, value, headers)


def _plain(key: bytes | None, value: bytes, headers: Headers) -> CloudEvent | None:
    """The event of a record that leaves nothing to say about it, as nearly all do, at a third of the cost."""
    named = dict(headers)
    if len(named) != len(headers) or named.get("ce_subject") != key:
        return None
    try:
        read = _ATTRIBUTES.validate_python(named)
    except ValidationError:
        return None
    return CloudEvent(
        read["ce_id"],
        read["ce_source"],
        read["ce_type"],
        read["ce_time"],
        read["ce_subject"],
        value,
        read.get("ce_correlationid"),
        read.get("ce_causationid"),
        read.get("traceparent"),
    )


def _decode_closely(key: bytes | None, value: bytes, headers: Headers) -> CloudEvent:
    attributes = _attributes(headers)
    content_type = attributes.get("content-type")
    if content_type is None:
        raise ContractError(Reason.HEADER_MISSING, "content-type", f"must be {JSON}")
    media_type = _media_type(content_type)
    if media_type == _STRUCTURED:
        attributes, value = _structured(value)
    elif media_type != JSON:
        raise ContractError(Reason.HEADER_INVALID, "content-type", f"must be {JSON}")
    event = _event(attributes, value)
    if key is None:
        raise ContractError(Reason.KEY_MISSING, "", "the key must be the request id")
    text = _text(key)
    same = text == attributes["ce_subject"]
    if not same and (text is None or _uuid(text, Reason.KEY_INVALID, "") != event.subject):
        reason = Reason.KEY_INVALID if text is None else Reason.KEY_MISMATCH
        raise ContractError(reason, "", "the key and ce_subject must be the same UUID: the request id")
    return event


def _event(attributes: Mapping[str, str], data: bytes) -> CloudEvent:
    for name in _REQUIRED:
        if name not in attributes:
            raise ContractError(Reason.HEADER_MISSING, name, "is required")
    if attributes["ce_specversion"] != "1.0":
        raise ContractError(Reason.HEADER_INVALID, "ce_specversion", "must be 1.0")
    for name in ("ce_source", "ce_correlationid", "ce_causationid"):
        if name in attributes and not _PRINTABLE.fullmatch(attributes[name]):
            raise ContractError(Reason.HEADER_INVALID, name, "must be 1 to 256 printable ASCII characters")
    if not _TYPE.fullmatch(attributes["ce_type"]):
        raise ContractError(Reason.HEADER_INVALID, "ce_type", "must be one of the contract's types")
    time = instant(attributes["ce_time"])
    if time is None:
        raise ContractError(Reason.HEADER_INVALID, "ce_time", "must be an RFC 3339 instant with an offset")
    traceparent = attributes.get("traceparent")
    return CloudEvent(
        id=_uuid(attributes["ce_id"], Reason.HEADER_INVALID, "ce_id"),
        source=attributes["ce_source"],
        type=attributes["ce_type"],
        time=time,
        subject=_uuid(attributes["ce_subject"], Reason.HEADER_INVALID, "ce_subject"),
        data=data,
        correlation_id=attributes.get("ce_correlationid"),
        causation_id=attributes.get("ce_causationid"),
        # An invalid one is as good as none (W3C Trace Context 3.2.2.3): tracing never stops a request.
        traceparent=traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None,
    )


@lru_cache(maxsize=64)  # all that a batch says bears one time
def rfc3339(instant: datetime) -> str:
    """UTC with a `Z`, as the contract writes instants."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def readable_subject(key: bytes | None, headers: Headers) -> UUID | None:
    """The request id of a record that may be broken elsewhere, where it can be read at all."""
    candidates = (key, *(value for name, value in headers if name == "ce_subject"))
    return next((found for found in map(_readable, candidates) if found), None)


def readable_id(headers: Headers) -> UUID | None:
    """The ce_id of a record that may be broken elsewhere."""
    return next((_readable(value) for name, value in headers if name == "ce_id"), None)


def _readable(value: bytes | None) -> UUID | None:
    return identifier(_text(value or b"") or "")


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _media_type(content_type: str) -> str:
    """Without parameters, in lower case (RFC 9110 8.3.1)."""
    return content_type.partition(";")[0].strip().lower()


def _attributes(headers: Headers) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name not in _READ:
            continue
        if name in attributes:
            raise ContractError(Reason.HEADER_REPEATED, name, "must stand once")
        if value is None:
            raise ContractError(Reason.HEADER_INVALID, name, "is null")
        text = _text(value)
        if text is None:
            raise ContractError(Reason.HEADER_INVALID, name, "is not UTF-8")
        attributes[name] = text
    return attributes


def _structured(value: bytes) -> tuple[dict[str, str], bytes]:
    is_json, envelope = strict_json(value)
    if not is_json:
        raise not_json()
    if not isinstance(envelope, dict):
        raise ContractError(Reason.MEMBER_INVALID, "", "a structured event is a JSON object")
    attributes: dict[str, str] = {}
    for name in (*_REQUIRED, *_OPTIONAL):
        member = name.removeprefix("ce_")
        if envelope.get(member) is not None:
            if not isinstance(envelope[member], str):
                raise ContractError(Reason.HEADER_INVALID, f"/{member}", "must be a string")
            attributes[name] = envelope[member]
    content_type = envelope.get("datacontenttype")
    if content_type is not None and (not isinstance(content_type, str) or _media_type(content_type) != JSON):
        raise ContractError(Reason.HEADER_INVALID, "/datacontenttype", f"must be {JSON}")
    if envelope.get("data_base64") is not None:
        try:
            return attributes, base64.b64decode(envelope["data_base64"], validate=True)
        except (TypeError, ValueError):
            pass
        raise ContractError(Reason.MEMBER_INVALID, "/data_base64", "must be base64")
    if "data" not in envelope:
        raise ContractError(Reason.MEMBER_MISSING, "/data", "the member is required")
    return attributes, to_json(envelope["data"])


def _uuid(text: str, reason: Reason, where: str) -> UUID:
    found = identifier(text)
    if found is None:
        raise ContractError(reason, where, "must be a UUID in its 36-character form")
    return found
