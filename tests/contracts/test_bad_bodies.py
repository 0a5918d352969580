"""Each way a body or its sealed part can break the contract, and the reason told; what may be unknown is not."""

import json
from typing import Any

import pytest
from contract_records import EXAMPLES, FINISHED, HOME, KEY, RING, SECRET, SUBMITTED, VALUE, headers, refusal, submitted

from habeas.contracts import Keyring, KeyUnknownError, Place, Reason
from habeas.contracts.catalogue import read, read_personal, seal_personal, write
from habeas.contracts.cloudevents import decode
from habeas.contracts.command import Command, command_type, verb_of
from habeas.contracts.documents.vectors import OTHER_REQUEST, OTHER_TASK, REQUEST, RESULT, TASK, keyring
from habeas.contracts.result import Record, ResultPersonal, TaskFinished
from habeas.contracts.submission import SubmissionPersonal


def test_a_body_about_another_request_than_its_key() -> None:
    body = {**SUBMITTED.body, "request_id": str(OTHER_REQUEST)}
    error = refusal(lambda: submitted(json.dumps(body).encode()))
    assert (error.reason, error.pointer) == (Reason.KEY_MISMATCH, "/request_id")


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
