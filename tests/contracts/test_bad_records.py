"""Each way a record can break the contract, and the reason it is refused with; what is odd but right is read."""

import json
import traceback
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from habeas.contracts import ContractError, Keyring, KeyUnknownError, Place, Reason
from habeas.contracts.catalogue import read, read_personal, seal_personal, write
from habeas.contracts.cloudevents import decode, encode, readable_id, readable_subject
from habeas.contracts.command import Command, command_type, verb_of
from habeas.contracts.dead_letter import RawRecord
from habeas.contracts.documents.examples import CE_ID, Example, example_keyring, examples, headers_of
from habeas.contracts.documents.vectors import OTHER_REQUEST, OTHER_TASK, REQUEST, RESULT, TASK, keyring
from habeas.contracts.result import Record, ResultPersonal, TaskFinished
from habeas.contracts.status import SubmissionRejected
from habeas.contracts.submission import RequestSubmitted, SubmissionPersonal
from habeas.contracts.topics import DEAD_LETTER_LIMIT, MESSAGE_LIMIT

Headers = list[tuple[str, bytes | None]]

KEY = str(REQUEST).encode()
EXAMPLES = {example.model: example for example in examples()}
SUBMITTED, FINISHED = EXAMPLES[RequestSubmitted], EXAMPLES[TaskFinished]
VALUE = json.dumps(SUBMITTED.body).encode()
SECRET = "Ada Lovelace <ada@secret.example>"


def headers(example: Example = SUBMITTED, **changed: bytes | str | None) -> Headers:
    """The example's headers with some changed (`_` for `-`), or left out with `...`."""
    found: dict[str, Any] = {name: value.encode() for name, value in headers_of(example).items()}
    for name, value in changed.items():
        found[name.replace("content_type", "content-type")] = value.encode() if isinstance(value, str) else value
    return list(found.items())


def without(name: str) -> Headers:
    return [(found, value) for found, value in headers() if found != name]


def refusal(do: Callable[[], object]) -> ContractError:
    with pytest.raises(ContractError) as refused:
        do()
    return refused.value


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


def test_a_body_about_another_request_than_its_key() -> None:
    body = {**SUBMITTED.body, "request_id": str(OTHER_REQUEST)}
    error = refusal(lambda: submitted(json.dumps(body).encode()))
    assert (error.reason, error.pointer) == (Reason.KEY_MISMATCH, "/request_id")


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


def test_a_sealed_part_over_the_limit() -> None:
    personal = ResultPersonal(
        records=(Record(id="1", category="invoices", origin="observed", data={"a": "x" * 700_000}),)
    )
    error = refusal(lambda: seal_personal(keyring(bytes), RESULT, personal))
    assert (error.reason, error.pointer) == (Reason.TOO_LARGE, "/personal")
    assert "artifact" in str(error)


def deep(levels: int) -> dict[str, Any]:
    return {"a": deep(levels - 1) if levels else None}


@pytest.mark.parametrize("data", [deep(250), {"a": 10**4400}, {"a": "\ud800"}, {"a": object()}], ids=range(4))
def test_what_no_reader_would_take_is_not_sealed(data: dict[str, Any]) -> None:
    personal = ResultPersonal(records=(Record(id="1", category="invoices", origin="observed", data=data),))
    error = refusal(lambda: seal_personal(keyring(bytes), RESULT, personal))
    assert (error.reason, error.pointer) == (Reason.MEMBER_INVALID, "/personal")


def submitted(value: bytes) -> RequestSubmitted:
    return read(decode(KEY, value, headers()), RequestSubmitted)


NOT_JSON: list[bytes] = [
    b"",
    b"{",
    b"{'a': 1}",
    VALUE + b"x",
    b"\xef\xbb\xbf" + VALUE,
    VALUE.decode().encode("utf-16"),
    b'{"a":"\xff"}',
    b'{"a":"\\ud800"}',
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":1e999}',
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a":' * 500 + b"1" + b"}" * 500,
]


@pytest.mark.parametrize("value", NOT_JSON, ids=range(len(NOT_JSON)))
def test_not_json(value: bytes) -> None:
    error = refusal(lambda: submitted(value))
    assert (error.reason, error.pointer) == (Reason.NOT_JSON, "")
    structured = [("content-type", b"application/cloudevents+json")]
    assert refusal(lambda: decode(KEY, value, structured)).reason is Reason.NOT_JSON


INVALID: list[tuple[str, Any]] = [
    ("request_id", "{" + str(REQUEST)[:-2] + "}"),
    ("request_id", f"urn:uuid:{REQUEST}"),
    ("request_id", REQUEST.hex),
    ("request_id", 1),
    ("case_id", "letter-1"),
    ("after", "x"),
    ("after", None),
    ("submitted_time", 1700000000),
    ("submitted_time", "1700000000"),
    ("submitted_time", True),
    ("submitted_time", "2026-03-02 09:15:00Z"),
    ("submitted_time", "2026-03-02T09:15:00"),
    ("submitted_time", "2026-03-02T09:15Z"),
    ("submitted_time", "0001-01-01T00:00:00+14:00"),
    ("received_at", None),
    ("channel", 5),
    ("right", ""),
    ("right", None),
    ("right", ["access"]),
    ("right", SECRET),
    ("regulation", "x" * 65),
    ("jurisdiction", SECRET),
    ("notify_by", False),
    ("personal", None),
    ("personal", 7),
    ("personal", {}),
    ("personal", ""),
]


@pytest.mark.parametrize(("member", "value"), INVALID)
def test_invalid_member(member: str, value: Any) -> None:
    error = refusal(lambda: submitted(json.dumps({**SUBMITTED.body, member: value}).encode()))
    assert (error.reason, error.pointer) == (Reason.MEMBER_INVALID, f"/{member}")
    assert error.detail


@pytest.mark.parametrize("member", ["request_id", "submitted_time", "received_at", "right", "personal"])
def test_missing_member(member: str) -> None:
    body = {name: value for name, value in SUBMITTED.body.items() if name != member}
    error = refusal(lambda: submitted(json.dumps(body).encode()))
    assert (error.reason, error.pointer) == (Reason.MEMBER_MISSING, f"/{member}")


@pytest.mark.parametrize("value", [b"[]", b"null", b'"x"', b"1"])
def test_a_body_that_is_no_object(value: bytes) -> None:
    error = refusal(lambda: submitted(value))
    assert (error.reason, error.pointer) == (Reason.MEMBER_INVALID, "")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("count", True),
        ("count", 1.0),
        ("count", "1"),
        ("count", -1),
        ("count", 10**30),
        ("until", "86400"),
        ("until", 1),
    ],
)
def test_numbers_and_days_are_strict(member: str, value: Any) -> None:
    item = {"category": "invoices", "did": "disclosed", "count": 1, member: value}
    body = {**FINISHED.body, "summary": [item]}
    event = decode(KEY, json.dumps(body).encode(), headers(FINISHED))
    error = refusal(lambda: read(event, TaskFinished))
    assert (error.reason, error.pointer) == (Reason.MEMBER_INVALID, f"/summary/0/{member}")


@pytest.mark.parametrize(
    "personal",
    [{"subject": {"name": SECRET}}, [SECRET], SECRET],
    ids=["object", "array", "text"],
)
@pytest.mark.parametrize("others", [{}, {"right": None, "after": 1}], ids=["alone", "among other faults"])
def test_personal_in_clear(personal: Any, others: dict[str, Any]) -> None:
    error = refusal(lambda: submitted(json.dumps({**SUBMITTED.body, **others, "personal": personal}).encode()))
    assert (error.reason, error.pointer) == (Reason.PERSONAL_IN_CLEAR, "/personal")


@pytest.mark.parametrize("token", ["abc", "a.b.c.d.e", SUBMITTED.body["personal"][:-1]])
def test_personal_that_is_no_jwe(token: str) -> None:
    error = refusal(lambda: submitted(json.dumps({**SUBMITTED.body, "personal": token}).encode()))
    assert (error.reason, error.pointer) == (Reason.PERSONAL_UNOPENABLE, "/personal")


RING = example_keyring()
HOME = Place("web", RequestSubmitted.TYPE, REQUEST)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (Place("billing", HOME.ce_type, REQUEST), Reason.KEY_FOREIGN),
        (Place("web", "dsr.request.amended.v1", REQUEST), Reason.PERSONAL_MISPLACED),
        (Place("web", HOME.ce_type, OTHER_REQUEST), Reason.PERSONAL_MISPLACED),
        (Place("web", HOME.ce_type, REQUEST, TASK), Reason.PERSONAL_MISPLACED),
    ],
    ids=["another participant", "another direction", "another request", "another attempt"],
)
def test_sealed_for_another_place(place: Place, reason: Reason) -> None:
    token = SUBMITTED.body["personal"]
    assert read_personal(RING, HOME, token, SubmissionPersonal).subject.name == "Ada Example"
    assert refusal(lambda: read_personal(RING, place, token, SubmissionPersonal)).reason is reason


def test_a_result_of_another_attempt() -> None:
    place = Place("billing", TaskFinished.TYPE, REQUEST, OTHER_TASK)
    error = refusal(lambda: read_personal(RING, place, FINISHED.body["personal"], ResultPersonal))
    assert error.reason is Reason.PERSONAL_MISPLACED


def test_a_key_that_is_not_there_yet_is_worth_another_try() -> None:
    with pytest.raises(KeyUnknownError) as unknown:
        Keyring(()).open(HOME, SUBMITTED.body["personal"])
    assert unknown.value.reason is Reason.KEY_UNKNOWN


@pytest.mark.parametrize(
    ("plaintext", "reason", "pointer"),
    [
        (b"{", Reason.NOT_JSON, "/personal"),
        (b"[]", Reason.MEMBER_INVALID, "/personal"),
        (b"{}", Reason.MEMBER_MISSING, "/personal/subject"),
        (b'{"subject":{"identities":[{"identity_type":"email"}]}}', Reason.MEMBER_MISSING,
         "/personal/subject/identities/0/identity_value"),
        (b'{"subject":{"name":"a\\r\\nBcc: b@example.org"}}', Reason.MEMBER_INVALID, "/personal/subject/name"),
        (b'{"subject":{},"requester":{"email":"no address"}}', Reason.MEMBER_INVALID, "/personal/requester/email"),
        (b'{"subject":{},"details":{"statement":"\\u0000"}}', Reason.MEMBER_INVALID, "/personal/details/statement"),
    ],
)  # fmt: skip
def test_sealed_content_that_breaks_the_contract(plaintext: bytes, reason: Reason, pointer: str) -> None:
    error = refusal(lambda: read_personal(RING, HOME, RING.seal(HOME, plaintext), SubmissionPersonal))
    assert (error.reason, error.pointer) == (reason, pointer)


def test_pointers_stop_where_names_are_the_senders_own() -> None:
    place = Place("billing", TaskFinished.TYPE, REQUEST, TASK)
    token = RING.seal(place, json.dumps({"labels": {SECRET: 1}}).encode())
    error = refusal(lambda: read_personal(RING, place, token, ResultPersonal))
    assert (error.reason, error.pointer) == (Reason.MEMBER_INVALID, "/personal/labels")


LEAKS: list[Callable[[], object]] = [
    lambda: submitted(json.dumps({**SUBMITTED.body, "right": SECRET}).encode()),
    lambda: submitted(json.dumps({**SUBMITTED.body, "request_id": SECRET}).encode()),
    lambda: submitted(json.dumps({**SUBMITTED.body, "personal": {"name": SECRET}}).encode()),
    lambda: submitted(SECRET.encode()),
    lambda: submitted(SECRET.encode() + b"\xff"),
    lambda: decode(KEY, SECRET.encode(), [("content-type", b"application/cloudevents+json")]),
    lambda: decode(KEY, VALUE, headers(ce_time=SECRET)),
    lambda: decode(KEY, VALUE, headers(ce_subject=SECRET)),
    lambda: decode(KEY, VALUE, headers(ce_source=SECRET.encode() + b"\xff")),
    lambda: decode(SECRET.encode(), VALUE, headers()),
    lambda: decode(SECRET.encode() + b"\xff", VALUE, headers()),
    lambda: RING.open(HOME, SECRET),
    lambda: read_personal(RING, HOME, RING.seal(HOME, SECRET.encode()), SubmissionPersonal),
    lambda: read_personal(RING, HOME, RING.seal(HOME, json.dumps({"subject": SECRET}).encode()), SubmissionPersonal),
    lambda: seal_personal(
        RING,
        Place("billing", TaskFinished.TYPE, REQUEST, TASK),
        ResultPersonal(records=(Record(id="1", category="a", origin="b", data={"x": SECRET + "\ud800"}),)),
    ),
]


@pytest.mark.parametrize("leak", LEAKS, ids=range(len(LEAKS)))
def test_errors_carry_nothing_of_what_they_refuse(leak: Callable[[], object]) -> None:
    error = refusal(leak)
    assert error.__cause__ is None
    assert error.__context__ is None
    code_lines = {line.strip() for line in "".join(traceback.format_exception(error)).splitlines()}
    told = [repr(error), str(error), error.pointer, error.detail, *code_lines]
    assert not any("Ada" in text or "secret.example" in text for text in told)


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


def test_unknown_members_are_ignored_and_of_repeated_ones_the_last_counts() -> None:
    value = VALUE.replace(b"{", b'{"right":"erasure","new_member":{"deep":[1]},', 1)
    assert submitted(value) == submitted(VALUE)


def test_unknown_words_are_kept_or_mean_what_the_contract_says() -> None:
    body = {
        **SUBMITTED.body,
        "right": "be_forgotten",
        "channel": "fax",
        "regulation": "mars-1",
        "jurisdiction": "Bavaria",
    }
    read_body = submitted(json.dumps({**body, "notify_by": "pigeon"}).encode())
    assert (read_body.right, read_body.channel) == ("be_forgotten", "fax")
    assert (read_body.regulation, read_body.jurisdiction) == ("mars-1", "Bavaria")
    assert read_body.notify_by == "habeas"
    assert json.loads(read_body.model_dump_json())["right"] == "be_forgotten"
    token = RING.seal(HOME, b'{"subject":{},"deliver_to":"neighbour"}')
    assert read_personal(RING, HOME, token, SubmissionPersonal).deliver_to == "subject"


def test_a_broken_record_still_says_whose_it_is() -> None:
    assert readable_subject(b"\xff", headers()) == REQUEST
    assert readable_subject(KEY, []) == REQUEST
    assert readable_subject(None, [("ce_subject", None)]) is None
    assert readable_id(headers()) == UUID(CE_ID)
    assert readable_id([("ce_id", b"\xff")]) is None
    assert readable_id([]) is None


def test_commands_carry_their_verb_in_the_type() -> None:
    assert verb_of(command_type("extend")) == "extend"
    assert [verb_of(other) for other in ("dsr.command.decided.v1", "dsr.command..v1", "dsr.task.assigned.v1")] == [
        None
    ] * 3
    example = EXAMPLES[Command]
    body = Command.model_validate_json(json.dumps({**example.body, "days": 30}))
    event = write(body, subject=REQUEST, source="x", now=submitted(VALUE).received_at, ce_type=command_type("extend"))
    assert event.type == "dsr.command.extend.v1"
    assert json.loads(event.data)["days"] == 30


def test_nothing_personal_in_a_repr() -> None:
    personal = read_personal(RING, HOME, SUBMITTED.body["personal"], SubmissionPersonal)
    parts = [personal, personal.subject, personal.subject.identities[0], personal.requester, personal.details]
    for part in parts:
        assert repr(part) == str(part) == f"{type(part).__name__}(…)"
        assert list(part.__rich_repr__()) == []
    assert repr(personal.subject.identities[0].proof) == "Proof(…)"
    assert SUBMITTED.body["personal"] not in repr(submitted(VALUE))
    assert "personal" not in repr(decode(KEY, VALUE, headers()))
    raw = RawRecord.of(KEY, VALUE, headers())
    assert repr([raw]) == "[RawRecord(…)]"
