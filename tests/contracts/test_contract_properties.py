"""What holds for all messages, not only for those somebody thought of."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from habeas.contracts import CloudEvent, ContractError, Keyring, Place
from habeas.contracts.base import instant
from habeas.contracts.canonical import canonical, fingerprint
from habeas.contracts.catalogue import ALL_TYPES, read, read_personal, seal_personal
from habeas.contracts.cloudevents import decode, encode
from habeas.contracts.command import Command
from habeas.contracts.dead_letter import RawRecord
from habeas.contracts.documents.examples import examples, headers_of
from habeas.contracts.documents.vectors import OTHER_REQUEST, OTHER_TASK, RESULT, key, keyring
from habeas.contracts.result import Record, ResultPersonal, TaskFinished
from habeas.contracts.submission import RequestSubmitted, RequestWithdrawn, SubmissionPersonal

RING = Keyring([key("billing", 1), key("support", 1), key("web", 1)])
SUBMITTED = next(example for example in examples() if example.model is RequestSubmitted)
FINISHED = next(example for example in examples() if example.model is TaskFinished)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\x00é{"

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
participants = st.from_regex(r"[a-z][a-z0-9-]{1,30}", fullmatch=True)


@given(st.binary(max_size=2000), participants, st.uuids(), st.none() | st.uuids())
def test_what_is_sealed_opens_in_its_place(plaintext: bytes, name: str, subject: UUID, task: UUID | None) -> None:
    ring = Keyring([key(name, 1)])
    place = Place(name, "dsr.task.finished.v1", subject, task)
    assert ring.open(place, ring.seal(place, plaintext)) == plaintext


@given(st.data())
@settings(max_examples=300)
def test_any_change_of_the_token_is_refused(data: st.DataObject) -> None:
    token = RING.seal(RESULT, b'{"records":[]}')
    position = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.sampled_from(ALPHABET))
    kind = data.draw(st.sampled_from(["replace", "insert", "delete", "cut"]))
    changed = {
        "replace": token[:position] + put + token[position + 1 :],
        "insert": token[:position] + put + token[position:],
        "delete": token[:position] + token[position + 1 :],
        "cut": token[:position],
    }[kind]
    if changed != token:
        with pytest.raises(ContractError):
            RING.open(RESULT, changed)


@pytest.mark.parametrize("position", [0, 1, 2, 3, 4])
def test_every_last_letter_of_a_part_counts(position: int) -> None:
    """Unused bits of base64 included: one text has one spelling."""
    parts = RING.seal(RESULT, b"1").split(".")
    for letter in ALPHABET:
        changed = [*parts]
        changed[position] = changed[position][:-1] + letter
        if changed != parts:
            with pytest.raises(ContractError):
                RING.open(RESULT, ".".join(changed))


@pytest.mark.parametrize(
    "place",
    [
        Place("support", RESULT.ce_type, RESULT.subject, RESULT.task_id),
        Place("web", RESULT.ce_type, RESULT.subject, RESULT.task_id),
        Place("nobody", RESULT.ce_type, RESULT.subject, RESULT.task_id),
        Place("billing", "dsr.task.assigned.v1", RESULT.subject, RESULT.task_id),
        Place("billing", RESULT.ce_type, OTHER_REQUEST, RESULT.task_id),
        Place("billing", RESULT.ce_type, RESULT.subject, OTHER_TASK),
        Place("billing", RESULT.ce_type, RESULT.subject, None),
    ],
)
def test_any_change_of_the_place_is_refused(place: Place) -> None:
    with pytest.raises(ContractError):
        RING.open(place, RING.seal(RESULT, b"{}"))


@given(st.text(max_size=300) | st.text(alphabet="AQeyJ.{}", max_size=60))
def test_opening_any_text_raises_nothing_but_a_contract_error(token: str) -> None:
    with pytest.raises(ContractError):
        RING.open(RESULT, token)


def read_any(record_key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
    """As a consumer does, with every model: a contract error is the only thing that may come out."""
    try:
        event = decode(record_key, value, headers)
    except ContractError:
        return
    for model in ALL_TYPES:
        try:
            read(event, model)
        except ContractError:
            continue


names = st.sampled_from([*headers_of(SUBMITTED), "ce_correlationid", "traceparent", "other"])
good_headers = [(name, value.encode()) for name, value in headers_of(SUBMITTED).items()]


@given(
    st.none() | st.binary(max_size=40) | st.just(SUBMITTED.key.encode()),
    st.none() | st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
    st.lists(st.tuples(names, st.none() | st.binary(max_size=40)), max_size=12),
)
def test_reading_arbitrary_records(
    record_key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    read_any(record_key, value, headers)
    read_any(record_key, value, [("content-type", b"application/cloudevents+json")])
    read_any(SUBMITTED.key.encode(), value, [*good_headers])


@given(st.data())
@settings(max_examples=200)
def test_reading_bodies_with_one_member_that_is_anything(data: st.DataObject) -> None:
    example = data.draw(st.sampled_from(examples()))
    member = data.draw(st.sampled_from(sorted(example.body)))
    body = {**example.body, member: data.draw(json_values)}
    read_any(example.key.encode(), json.dumps(body).encode(), [*good_headers])


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|\+[0-9]{2}:00)"))
def test_instants_are_utc_or_nothing(text: str) -> None:
    read_instant = instant(text)
    assert read_instant is None or read_instant.tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)), st.uuids(), texts.map(lambda text: text.encode()))
def test_events_come_back_as_they_went(time: datetime, identifier: UUID, data: bytes) -> None:
    event = CloudEvent(identifier, "habeas/web", "dsr.request.withdrawn.v1", time, identifier, data, "a", "b")
    assert decode(*encode(event)) == event


@given(
    st.none() | st.binary(),
    st.none() | st.binary(),
    st.lists(st.tuples(texts, st.none() | st.binary()), max_size=5),
)
def test_refused_records_can_be_restored(
    record_key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    raw = RawRecord.of(record_key, value, headers)
    again = RawRecord.model_validate_json(raw.model_dump_json())
    assert again.restored() == (record_key, value, headers)


@given(st.dictionaries(texts, json_values, max_size=5))
@settings(max_examples=50)
def test_a_systems_record_comes_back_as_it_went(data: dict[str, Any]) -> None:
    personal = ResultPersonal(records=(Record(id="1", category="invoices", origin="observed", data=data),))
    token = seal_personal(RING, RESULT, personal)
    again = read_personal(RING, RESULT, token, ResultPersonal)
    assert again == personal
    body = TaskFinished.model_validate_json(json.dumps({**FINISHED.body, "personal": token}))
    assert canonical(body, again) == canonical(body, personal)


class TestCanonical:
    """The same content again is the same request, however it is spelled; anything else is not."""

    def content(self, body: dict[str, Any], personal: dict[str, Any]) -> bytes:
        return canonical(
            RequestSubmitted.model_validate_json(json.dumps(body)),
            SubmissionPersonal.model_validate_json(json.dumps(personal)),
        )

    @property
    def personal(self) -> dict[str, Any]:
        assert SUBMITTED.personal is not None
        return SUBMITTED.personal

    @property
    def original(self) -> bytes:
        return self.content(SUBMITTED.body, self.personal)

    def test_order_of_members(self) -> None:
        reordered = dict(reversed(SUBMITTED.body.items()))
        assert self.content(reordered, dict(reversed(self.personal.items()))) == self.original

    def test_sealed_anew(self) -> None:
        place = Place("web", RequestSubmitted.TYPE, UUID(SUBMITTED.key))
        token = keyring(bytes).seal(place, json.dumps(self.personal).encode())
        assert token != SUBMITTED.body["personal"]
        assert self.content({**SUBMITTED.body, "personal": token}, self.personal) == self.original

    def test_defaults_spelled_out_or_not(self) -> None:
        short = {name: value for name, value in SUBMITTED.body.items() if value not in (None, [], "form", "habeas")}
        assert len(short) < len(SUBMITTED.body)
        assert self.content(short, self.personal) == self.original

    def test_a_member_that_a_later_version_adds(self) -> None:
        class Later(RequestSubmitted):
            urgency: str | None = None

        body = Later.model_validate_json(json.dumps(SUBMITTED.body))
        personal = SubmissionPersonal.model_validate_json(json.dumps(self.personal))
        assert canonical(body, personal) == self.original
        assert canonical(body.model_copy(update={"urgency": "high"}), personal) != self.original

    def test_unknown_members(self) -> None:
        assert self.content({**SUBMITTED.body, "new": 1}, {**self.personal, "new": 1}) == self.original

    @given(st.integers(-14 * 60, 14 * 60))
    def test_other_offset(self, minutes: int) -> None:
        there = datetime(2026, 3, 2, 9, 15, tzinfo=UTC).astimezone(timezone(timedelta(minutes=minutes)))
        assert self.content({**SUBMITTED.body, "submitted_time": there.isoformat()}, self.personal) == self.original

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("request_id", str(OTHER_REQUEST)),
            ("case_id", str(OTHER_REQUEST)),
            ("after", [str(OTHER_REQUEST)]),
            ("submitted_time", "2026-03-02T09:15:01Z"),
            ("received_at", "2026-03-02T09:16:10.000001Z"),
            ("channel", "email"),
            ("right", "erasure"),
            ("regulation", "eu-gdpr"),
            ("jurisdiction", None),
            ("notify_by", "portal"),
        ],
    )
    def test_each_member_counts(self, member: str, value: Any) -> None:
        assert set(RequestSubmitted.model_fields) == {*SUBMITTED.body}
        assert self.content({**SUBMITTED.body, member: value}, self.personal) != self.original

    @pytest.mark.parametrize(
        "changed",
        [
            {"subject": {"identities": []}},
            {"requester": {"relationship": "parent"}},
            {"deliver_to": "requester"},
            {"details": {"statement": "Other."}},
        ],
    )
    def test_what_is_sealed_counts(self, changed: dict[str, Any]) -> None:
        assert self.content(SUBMITTED.body, {**self.personal, **changed}) != self.original

    def test_the_personal_part_cannot_be_forgotten(self) -> None:
        body = RequestSubmitted.model_validate_json(json.dumps(SUBMITTED.body))
        with pytest.raises(TypeError, match="needs its opened personal part"):
            canonical(body)
        personal = SubmissionPersonal.model_validate_json(json.dumps(self.personal))
        with pytest.raises(TypeError, match="has no personal part"):
            canonical(RequestWithdrawn(request_id=body.request_id), personal)

    def test_the_type_counts(self) -> None:
        example = next(example for example in examples() if example.model is Command)
        body = Command.model_validate_json(json.dumps(example.body))
        types = ("dsr.command.extend.v1", "dsr.command.close.v1")
        first, second = (canonical(body, ce_type=ce_type) for ce_type in types)
        assert first != second

    def test_fingerprints_need_the_secret(self) -> None:
        assert fingerprint(self.original, b"a") == fingerprint(self.original, b"a")
        assert fingerprint(self.original, b"a") != fingerprint(self.original, b"b")
        assert len(fingerprint(self.original, b"a")) == 32
