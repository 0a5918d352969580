"""Whatever stands in the tasks topic: a bad record is a dead letter with its reason, and disturbs nothing else."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import orjson
import pytest
from stand import Stand

from habeas.contracts.catalogue import seal_personal
from habeas.contracts.cloudevents import encode
from habeas.contracts.result import TaskFinished
from habeas.contracts.sealing import Place
from habeas.contracts.task import TaskAssigned
from tests.participant.tasks import a_keyring, personal_of
from tests.participant.toys import Toy, sqlite_kit
from tests.participant.wire import Wire

Headers = Sequence[tuple[str, bytes | None]]
ADA = ("email", "ada")


@dataclass
class Raw:
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


@pytest.fixture(scope="module")
async def wire(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    folder = tmp_path_factory.mktemp("wire")
    async with (
        Wire.laid(stand.env("operators"), folder) as wire,
        wire.running(Toy(sqlite_kit(folder), name=wire.name).participant()),
    ):
        yield wire


def with_header(name: str, value: bytes | None) -> Callable[[Wire, Raw], Raw]:
    return lambda _, raw: Raw(
        raw.key, raw.value, [(header, value if header == name else held) for header, held in raw.headers]
    )


def without_header(name: str) -> Callable[[Wire, Raw], Raw]:
    return lambda _, raw: Raw(raw.key, raw.value, [(header, held) for header, held in raw.headers if header != name])


def header_twice(name: str) -> Callable[[Wire, Raw], Raw]:
    return lambda _, raw: Raw(raw.key, raw.value, [*raw.headers, (name, dict(raw.headers)[name])])


def with_key(key: bytes | None) -> Callable[[Wire, Raw], Raw]:
    return lambda _, raw: Raw(key, raw.value, raw.headers)


def with_value(value: bytes | None) -> Callable[[Wire, Raw], Raw]:
    return lambda _, raw: Raw(raw.key, value, raw.headers)


def with_member(name: str, value: object) -> Callable[[Wire, Raw], Raw]:
    return lambda _, raw: Raw(raw.key, orjson.dumps({**orjson.loads(raw.value or b""), name: value}), raw.headers)


def sealed_elsewhere(
    ce_type: str = TaskAssigned.TYPE, *, request: bool = False, task: bool = False
) -> Callable[[Wire, Raw], Raw]:
    """Sealed under the right key, for another ce_type, request or task."""

    def reseal(wire: Wire, raw: Raw) -> Raw:
        body = orjson.loads(raw.value or b"")
        place = Place(
            wire.name,
            ce_type,
            uuid4() if request else UUID(body["request_id"]),
            uuid4() if task else UUID(body["task_id"]),
        )
        return with_member("personal", seal_personal(wire.office.keys.keyring(), place, personal_of(ADA)))(wire, raw)

    return reseal


def sealed_by(participant: str | None) -> Callable[[Wire, Raw], Raw]:
    """Sealed under another participant's key, or (None) under a key of ours that the key file does not hold."""

    def reseal(wire: Wire, raw: Raw) -> Raw:
        body = orjson.loads(raw.value or b"")
        owner = participant or wire.name
        keyring = a_keyring(owner)
        place = Place(owner, TaskAssigned.TYPE, UUID(body["request_id"]), UUID(body["task_id"]))
        token = seal_personal(keyring, place, personal_of(ADA))
        if participant is None:
            header = orjson.dumps(
                {
                    "alg": "dir",
                    "enc": "A256GCM",
                    "kid": f"{owner}/9",
                    "typ": TaskAssigned.TYPE,
                    "sub": body["request_id"],
                    "tid": body["task_id"],
                }
            )
            token = ".".join((_base64url(header), *token.split(".")[1:]))
        return with_member("personal", token)(wire, raw)

    return reseal


def _base64url(data: bytes) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(data).rstrip(b"=").decode()


def tampered(wire: Wire, raw: Raw) -> Raw:
    token = orjson.loads(raw.value or b"")["personal"]
    middle = token.split(".")
    middle[3] = ("A" if middle[3][0] != "A" else "B") + middle[3][1:]
    return with_member("personal", ".".join(middle))(wire, raw)


BAD: dict[str, tuple[Callable[[Wire, Raw], Raw], str]] = {
    "not JSON": (with_value(b"\xff{"), "not_json"),
    "a tombstone": (with_value(None), "tombstone"),
    "a missing header": (without_header("ce_id"), "header_missing"),
    "no header at all": (lambda _, raw: Raw(raw.key, raw.value, []), "header_missing"),
    "a wrong header": (with_header("ce_specversion", b"0.3"), "header_invalid"),
    "a null header": (with_header("ce_source", None), "header_invalid"),
    "a header not in UTF-8": (with_header("ce_source", b"\xff\xfe"), "header_invalid"),
    "a repeated header": (header_twice("ce_type"), "header_repeated"),
    "no key": (with_key(None), "key_missing"),
    "a key that is no UUID": (with_key(b"\xff\x00key"), "key_invalid"),
    "a key of another request": (with_key(str(uuid4()).encode()), "key_mismatch"),
    "an unknown type": (with_header("ce_type", b"dsr.task.imagined.v1"), "type_unknown"),
    "a type of another topic": (with_header("ce_type", TaskFinished.TYPE.encode()), "type_unexpected"),
    "an invalid member": (with_member("attempt", 0), "member_invalid"),
    "a body of another request": (with_member("request_id", str(uuid4())), "key_mismatch"),
    "another system's task": (with_member("system", "somebody-else"), "task_foreign"),
    "personal in clear": (with_member("personal", {"subject": {"identities": []}}), "personal_in_clear"),
    "personal that does not open": (tampered, "personal_unopenable"),
    "another participant's key": (sealed_by("somebody-else"), "key_foreign"),
    "a key nobody has": (sealed_by(None), "key_unknown"),
    "personal of another request": (sealed_elsewhere(request=True), "personal_misplaced"),
    "personal of another attempt": (sealed_elsewhere(task=True), "personal_misplaced"),
    "personal of another direction": (sealed_elsewhere(TaskFinished.TYPE), "personal_misplaced"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_record_is_a_dead_letter_and_its_neighbours_are_answered(wire: Wire, what: str) -> None:
    spoil, reason = BAD[what]
    before, bad, after = (wire.office.assigned("access", ADA) for _ in range(3))
    key, value, headers = encode(wire.office.event(bad))
    spoilt = spoil(wire, Raw(key, value, list(headers)))
    await wire.office.send(before)
    _, offset = await wire.office.send_raw(spoilt.key, spoilt.value, spoilt.headers)
    await wire.office.send(after)

    assert (await wire.office.answer(before.task_id)).body.outcome == "completed"
    letter = await wire.office.dead_letter(offset)
    assert letter.body.reason == reason
    assert letter.body.refused_by == wire.name
    assert letter.record.restored() == (spoilt.key, spoilt.value, spoilt.headers)
    assert (await wire.office.answer(after.task_id)).body.outcome == "completed"


async def test_a_record_of_the_largest_size_is_a_dead_letter_too(wire: Wire) -> None:
    value = b"x" * 1_040_000
    _, offset = await wire.office.send_raw(b"key", value, [])
    letter = await wire.office.dead_letter(offset)
    assert letter.record.restored() == (b"key", value, [])


async def test_structured_mode_is_accepted(wire: Wire) -> None:
    task = wire.office.assigned("access", ADA)
    event = wire.office.event(task)
    envelope = {
        "specversion": "1.0",
        "id": str(event.id),
        "source": event.source,
        "type": event.type,
        "time": event.time.isoformat(),
        "subject": str(event.subject),
        "datacontenttype": "application/json",
        "data": orjson.loads(event.data),
    }
    await wire.office.send_raw(
        str(event.subject).encode(),
        orjson.dumps(envelope),
        [("content-type", b"application/cloudevents+json; charset=utf-8")],
    )
    assert (await wire.office.answer(task.task_id)).body.outcome == "completed"
