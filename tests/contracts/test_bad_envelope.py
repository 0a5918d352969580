"""Each way headers, key and size can break the contract, and the reason told; what is odd but right is read."""

import json
from typing import Any
from uuid import UUID

import pytest
from contract_records import KEY, SECRET, SUBMITTED, VALUE, Headers, headers, refusal, submitted, without

from habeas.contracts import Reason
from habeas.contracts.catalogue import read, write
from habeas.contracts.cloudevents import decode, encode, readable_id, readable_subject
from habeas.contracts.documents.examples import CE_ID, headers_of
from habeas.contracts.documents.vectors import OTHER_REQUEST, REQUEST
from habeas.contracts.status import SubmissionRejected
from habeas.contracts.submission import RequestSubmitted
from habeas.contracts.topics import DEAD_LETTER_LIMIT, MESSAGE_LIMIT

REQUIRED = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "content-type"]


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_header(name: str) -> None:
    error = refusal(lambda: decode(KEY, VALUE, without(name)))
    assert (error.reason, error.pointer) == (Reason.HEADER_MISSING, name)


@pytest.mark.parametrize("name", [*REQUIRED, "ce_correlationid", "ce_causationid", "traceparent"])
@pytest.mark.parametrize("value", [None, b"\xff\xfe"], ids=["null", "not UTF-8"])
def test_null_and_undecodable_headers(name: str, value: bytes | None) -> None:
    error = refusal(lambda: decode(KEY, VALUE, [*without(name), (name, value)]))
    assert (error.reason, error.pointer) == (Reason.HEADER_INVALID, name)


@pytest.mark.parametrize("name", REQUIRED)
def test_repeated_header(name: str) -> None:
    again = next(item for item in headers() if item[0] == name)
    error = refusal(lambda: decode(KEY, VALUE, [*headers(), again]))
    assert (error.reason, error.pointer) == (Reason.HEADER_REPEATED, name)


WRONG: list[tuple[str, bytes]] = [
    ("ce_specversion", b"0.3"),
    ("ce_id", b"1"),
    ("ce_id", b"{6f6f0f6e-5c0e-5a55-9e0b-2a1f0d6b7c11}"),
    ("ce_id", b"6f6f0f6e5c0e5a559e0b2a1f0d6b7c11----"),
    ("ce_source", b""),
    ("ce_source", SECRET.encode()),
    ("ce_type", b""),
    ("ce_type", SECRET.encode()),
    ("ce_time", b"1700000000"),
    ("ce_time", b"2026-03-02T09:15:00"),
    ("ce_time", b"2026-03-02"),
    ("ce_time", b"2026-W10-1T09:15:00Z"),
    ("ce_time", b"2026-03-02T25:00:00Z"),
    ("ce_time", b"0001-01-01T00:00:00+14:00"),
    ("ce_subject", b"not-a-uuid"),
    ("content-type", b"text/plain"),
    ("content-type", b"application/cloudevents-batch+json"),
    ("content-type", b"application/cloudevents+jsonx"),
    ("ce_correlationid", b""),
    ("ce_causationid", "Jürgen".encode()),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_header(name: str, value: bytes) -> None:
    error = refusal(lambda: decode(KEY, VALUE, [*without(name), (name, value)]))
    assert (error.reason, error.pointer) == (Reason.HEADER_INVALID, name)


ODD: list[tuple[str, bytes]] = [
    ("content-type", b"application/json; charset=utf-8"),
    ("content-type", b"Application/JSON"),
    ("ce_time", b"2026-03-02t09:15:00.123456789z"),
    ("ce_time", b"2026-03-02T10:15:00+01:00"),
    ("ce_subject", str(REQUEST).upper().encode()),
    ("traceparent", b"nonsense"),
    ("x-of-somebody-else", b"\xff"),
]


@pytest.mark.parametrize(("name", "value"), ODD)
def test_odd_headers_that_are_right(name: str, value: bytes) -> None:
    event = decode(KEY, VALUE, [*without(name), (name, value), ("x-twice", b"1"), ("x-twice", None)])
    assert (event.subject, event.traceparent) == (REQUEST, None)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, Reason.KEY_MISSING),
        (b"", Reason.KEY_INVALID),
        (b"4711", Reason.KEY_INVALID),
        (b"\xff" * 36, Reason.KEY_INVALID),
        (str(REQUEST).replace("-", "").encode(), Reason.KEY_INVALID),
        (REQUEST.bytes, Reason.KEY_INVALID),
        (str(OTHER_REQUEST).encode(), Reason.KEY_MISMATCH),
    ],
)
def test_wrong_key(key: bytes | None, reason: Reason) -> None:
    assert refusal(lambda: decode(key, VALUE, headers())).reason is reason


def test_a_rejection_is_keyed_by_the_refused_message() -> None:
    body = SubmissionRejected(request_id=REQUEST, ce_id=UUID(CE_ID), errors=())
    now = decode(KEY, VALUE, headers()).time
    assert write(body, subject=UUID(CE_ID), source="habeas/collector", now=now).subject == UUID(CE_ID)
    assert refusal(lambda: write(body, subject=REQUEST, source="x", now=now)).pointer == "/ce_id"


def test_tombstone() -> None:
    assert refusal(lambda: decode(KEY, None, [])).reason is Reason.TOMBSTONE


def test_over_the_limit() -> None:
    assert refusal(lambda: decode(KEY, b" " * (MESSAGE_LIMIT + 1), headers())).reason is Reason.TOO_LARGE
    assert decode(KEY, b" " * (MESSAGE_LIMIT + 1), headers(), limit=DEAD_LETTER_LIMIT).data
    event = decode(KEY, b" " * MESSAGE_LIMIT, headers())
    error = refusal(lambda: encode(event))
    assert error.reason is Reason.TOO_LARGE
    assert "artifact" in str(error)
    assert encode(event, limit=DEAD_LETTER_LIMIT)[1] == event.data


def test_structured_mode() -> None:
    attributes = {name.removeprefix("ce_"): value for name, value in headers_of(SUBMITTED).items() if "-" not in name}
    content_type: Headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]

    def structured(**members: Any) -> bytes:
        return json.dumps({**attributes, "datacontenttype": "application/json", **members}).encode()

    event = decode(KEY, structured(data={**SUBMITTED.body, "n": 10**30}), content_type)
    assert read(event, RequestSubmitted) == submitted(VALUE)
    assert str(10**30).encode() in event.data
    assert decode(KEY, structured(data_base64="e30="), content_type).data == b"{}"
    for members, reason, pointer in [
        ({}, Reason.MEMBER_MISSING, "/data"),
        ({"data_base64": "?"}, Reason.MEMBER_INVALID, "/data_base64"),
        ({"data_base64": 1}, Reason.MEMBER_INVALID, "/data_base64"),
        ({"data": {}, "id": 1}, Reason.HEADER_INVALID, "/id"),
        ({"data": {}, "datacontenttype": "text/xml"}, Reason.HEADER_INVALID, "/datacontenttype"),
        ({"data": {}, "datacontenttype": 1}, Reason.HEADER_INVALID, "/datacontenttype"),
        ({"data": {}, "time": None}, Reason.HEADER_MISSING, "ce_time"),
    ]:
        error = refusal(lambda members=members: decode(KEY, structured(**members), content_type))  # type: ignore[misc]
        assert (error.reason, error.pointer) == (reason, pointer)
    assert refusal(lambda: decode(KEY, b"[]", content_type)).reason is Reason.MEMBER_INVALID


def test_a_broken_record_still_says_whose_it_is() -> None:
    assert readable_subject(b"\xff", headers()) == REQUEST
    assert readable_subject(KEY, []) == REQUEST
    assert readable_subject(None, [("ce_subject", None)]) is None
    assert readable_id(headers()) == UUID(CE_ID)
    assert readable_id([("ce_id", b"\xff")]) is None
    assert readable_id([]) is None
