"""Nothing of a person shows: not in errors, their tracebacks and pointers, not in the repr of what was read."""

import json
import traceback
from collections.abc import Callable

import pytest
from contract_records import HOME, KEY, RING, SECRET, SUBMITTED, VALUE, headers, refusal, submitted

from habeas.contracts import Place, Reason
from habeas.contracts.catalogue import read_personal, seal_personal
from habeas.contracts.cloudevents import decode
from habeas.contracts.dead_letter import RawRecord
from habeas.contracts.documents.vectors import REQUEST, TASK
from habeas.contracts.result import Record, ResultPersonal, TaskFinished
from habeas.contracts.submission import SubmissionPersonal


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
