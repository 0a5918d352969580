"""Submissions that break the contract: a dead letter that says why, word to the portal, and nobody else disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from stand import DeadLetters, Portal, Stand, somebody
from whole_records import ENVELOPE, Spoiled, Wire, check_buried, check_undisturbed, put, quiet

from habeas.contracts import ContractError, Place
from habeas.contracts.catalogue import read_personal, seal_personal, write
from habeas.contracts.cloudevents import encode
from habeas.contracts.errors import Reason
from habeas.contracts.sealing import JsonWebKey, Keyring, new_key
from habeas.contracts.status import StatusChanged
from habeas.contracts.submission import RequestSubmitted, SubmissionPersonal
from habeas.contracts.topics import MESSAGE_LIMIT, submissions

PERSON = somebody("bad.input@example.org")

BODIES = (
    Spoiled("no right", lambda w: w.lacking("right"), Reason.MEMBER_MISSING, "/right"),
    Spoiled("right of another type", lambda w: w.member("right", 15), Reason.MEMBER_INVALID, "/right"),
    Spoiled("no such instant", lambda w: w.member("received_at", "noon"), Reason.MEMBER_INVALID, "/received_at"),
    Spoiled(
        "an instant without offset",
        lambda w: w.member("received_at", "2025-03-02T09:15:00"),
        Reason.MEMBER_INVALID,
        "/received_at",
    ),
    Spoiled(
        "a sentence for a place",
        lambda w: w.member("jurisdiction", "in Bavaria"),
        Reason.MEMBER_INVALID,
        "/jurisdiction",
    ),
    Spoiled(
        "received tomorrow",
        lambda w: w.member("received_at", (datetime.now(UTC) + timedelta(days=1)).isoformat()),
        Reason.RECEIVED_IN_FUTURE,
        "/received_at",
    ),
    Spoiled(
        "a result on a submissions topic",
        lambda w: w.having("ce_type", b"dsr.task.finished.v1"),
        Reason.TYPE_UNKNOWN,
        "ce_type",
    ),
)

Seal = Callable[[Stand, UUID], str]


def under_the_help_desk_s_key(stand: Stand, request_id: UUID) -> str:
    return seal_personal(stand.keyring("helpdesk"), Place("helpdesk", RequestSubmitted.TYPE, request_id), PERSON)


def for_another_request(stand: Stand, _: UUID) -> str:
    return seal_personal(stand.keyring("web"), Place("web", RequestSubmitted.TYPE, uuid4()), PERSON)


def for_another_direction(stand: Stand, request_id: UUID) -> str:
    return seal_personal(stand.keyring("web"), Place("web", StatusChanged.TYPE, request_id), PERSON)


def for_a_task(stand: Stand, request_id: UUID) -> str:
    return seal_personal(stand.keyring("web"), Place("web", RequestSubmitted.TYPE, request_id, uuid4()), PERSON)


def under_a_forged_key(_: Stand, request_id: UUID) -> str:
    forged = Keyring([JsonWebKey.model_validate(new_key("web"))])
    return seal_personal(forged, Place("web", RequestSubmitted.TYPE, request_id), PERSON)


def under_a_key_not_handed_out(_: Stand, request_id: UUID) -> str:
    unknown = Keyring([JsonWebKey.model_validate(new_key("web", 99))])
    return seal_personal(unknown, Place("web", RequestSubmitted.TYPE, request_id), PERSON)


def without_a_subject(stand: Stand, request_id: UUID) -> str:
    place = Place("web", RequestSubmitted.TYPE, request_id)
    return stand.keyring("web").seal(place, b'{"requester": {}}')


def not_json(stand: Stand, request_id: UUID) -> str:
    return stand.keyring("web").seal(Place("web", RequestSubmitted.TYPE, request_id), b"\xff")


@pytest.fixture
async def check(web: Portal, operators: DeadLetters) -> Callable[[Wire, Reason, str], Any]:
    """Publishes a bad record with a good one right behind it, and looks at all that has to follow."""

    async def checked(wire: Wire, reason: Reason, pointer: str) -> None:
        behind = quiet(web)
        good = Wire.of(behind)
        place = await web.send(wire.value, key=wire.key, headers=wire.headers)
        await web.send(good.value, key=good.key, headers=good.headers, partition=place.partition)
        await check_buried(operators, wire, place, reason, pointer)
        await check_undisturbed(web, behind.subject)
        ce_id = readable(wire.header("ce_id"))
        if ce_id is not None:
            rejected = await web.rejected(ce_id)
            assert [(each.code, each.pointer) for each in rejected.errors] == [(reason, pointer)]
            assert rejected.request_id == readable(wire.key, wire.header("ce_subject"))

    return checked


def readable(*candidates: bytes | None) -> UUID | None:
    for candidate in candidates:
        try:
            return UUID((candidate or b"").decode())
        except ValueError:
            continue
    return None


@pytest.mark.parametrize("bad", [*ENVELOPE, *BODIES], ids=lambda bad: bad.name)
async def test_a_bad_submission_is_buried_and_told(web: Portal, check: Any, bad: Spoiled) -> None:
    await check(bad.spoil(Wire.of(web.submission(PERSON))), bad.reason, bad.pointer)


@pytest.mark.parametrize(
    ("seal", "reason", "pointer"),
    [
        (under_the_help_desk_s_key, Reason.KEY_FOREIGN, "/personal"),
        (for_another_request, Reason.PERSONAL_MISPLACED, "/personal"),
        (for_another_direction, Reason.PERSONAL_MISPLACED, "/personal"),
        (for_a_task, Reason.PERSONAL_MISPLACED, "/personal"),
        (under_a_forged_key, Reason.PERSONAL_UNOPENABLE, "/personal"),
        (under_a_key_not_handed_out, Reason.KEY_UNKNOWN, "/personal"),
        (without_a_subject, Reason.MEMBER_MISSING, "/personal/subject"),
        (not_json, Reason.NOT_JSON, "/personal"),
    ],
)
async def test_what_is_sealed_for_another_place_is_not_opened(
    web: Portal, stand: Stand, check: Any, seal: Seal, reason: Reason, pointer: str
) -> None:
    request_id = uuid4()
    wire = Wire.of(web.submission(PERSON, request_id=request_id, personal_token=seal(stand, request_id)))
    await check(wire, reason, pointer)


async def test_the_same_id_with_other_content_is_a_conflict(web: Portal, check: Any) -> None:
    first = web.submission(PERSON, notify_by="portal")
    await web.publish(first)
    before = await web.closed(first.subject)
    other = web.submission(PERSON, "erasure", request_id=first.subject, notify_by="portal")
    await check(Wire.of(other), Reason.CONFLICT, "/request_id")
    assert web.statuses(first.subject)[-1] == before, "the request itself is as it was"


async def test_the_same_id_with_another_person_is_a_conflict(web: Portal, check: Any) -> None:
    first = web.submission(PERSON, notify_by="portal")
    await web.publish(first)
    await web.closed(first.subject)
    place = Place("web", RequestSubmitted.TYPE, first.subject)
    body = RequestSubmitted.model_validate_json(first.data)
    assert read_personal(web.keyring, place, body.personal, SubmissionPersonal) == PERSON
    other = body.model_copy(
        update={"personal": seal_personal(web.keyring, place, somebody("another.person@example.org"))}
    )
    event = write(other, subject=first.subject, source=first.source, now=datetime.now(UTC))
    await check(Wire.of(event), Reason.CONFLICT, "/request_id")


async def test_both_in_one_batch_is_a_conflict_as_well(web: Portal, operators: DeadLetters) -> None:
    first = web.submission(PERSON, notify_by="portal")
    second = web.submission(PERSON, "erasure", request_id=first.subject, notify_by="portal")
    _, place = await asyncio.gather(web.publish(first), web.publish(second))
    await check_buried(operators, Wire.of(second), place, Reason.CONFLICT, "/request_id")
    assert (await web.closed(first.subject)).right == "access"


@pytest.mark.xdist_group("faults")  # where the help desk's records are counted
async def test_another_portal_s_request_is_not_theirs_to_send(
    web: Portal, helpdesk: Portal, operators: DeadLetters
) -> None:
    first = web.submission(PERSON, notify_by="portal")
    await web.publish(first)
    before = await web.closed(first.subject)
    other = helpdesk.submission(PERSON, request_id=first.subject, notify_by="portal")
    behind = quiet(helpdesk)
    good = Wire.of(behind)
    place = await helpdesk.publish(other)
    await helpdesk.send(good.value, key=good.key, headers=good.headers, partition=place.partition)
    await check_buried(operators, Wire.of(other), place, Reason.FOREIGN_REQUEST, "/request_id")
    await check_undisturbed(helpdesk, behind.subject)
    rejected = await helpdesk.rejected(other.id)
    assert [error.code for error in rejected.errors] == [Reason.FOREIGN_REQUEST]
    assert web.statuses(first.subject)[-1] == before
    assert helpdesk.statuses(first.subject) == []


async def test_a_record_of_a_thousand_headers_is_buried_whole(web: Portal, check: Any) -> None:
    wire = Wire.of(web.submission(PERSON)).without("ce_type")
    many = [(f"x-{number}", b"x" * 100) for number in range(1000)]
    await check(Wire(wire.key, wire.value, [*wire.headers, *many]), Reason.HEADER_MISSING, "ce_type")


async def test_the_largest_record_that_kafka_takes_is_buried_whole(web: Portal, check: Any) -> None:
    wire = Wire.of(web.submission(PERSON))
    padding = b" " * (MESSAGE_LIMIT - 4096 - len(wire.value or b""))
    await check(wire.saying((wire.value or b"")[:-1] + padding), Reason.NOT_JSON, "")


async def test_a_message_over_the_limit_never_leaves_its_sender(web: Portal) -> None:
    event = web.submission(PERSON)
    large = orjson.dumps({**orjson.loads(event.data), "padding": "x" * MESSAGE_LIMIT})
    with pytest.raises(ContractError, match="send what is large as an artifact") as refused:
        encode(event.__class__(event.id, event.source, event.type, event.time, event.subject, large))
    assert refused.value.reason == Reason.TOO_LARGE
    with pytest.raises(ContractError, match="send an artifact"):
        web.submission(
            PERSON.model_copy(update={"details": PERSON.details.model_copy(update={"purposes": ("p" * 60,) * 20_000})})
        )


async def test_kafka_itself_refuses_what_was_sent_all_the_same(web: Portal, stand: Stand) -> None:
    wire = Wire.of(web.submission(PERSON)).saying(b"x" * (MESSAGE_LIMIT + 1))
    async with stand.producer("web") as producer:  # its own: a refusal leaves a gap in an idempotent one's sequence
        with pytest.raises(MessageSizeTooLargeError):
            await put(producer, submissions("web"), wire)


async def test_a_run_of_bad_records_holds_nobody_up(web: Portal, operators: DeadLetters) -> None:
    bad = [Wire.of(web.submission(PERSON)).saying(b"?") for _ in range(40)]
    places = await asyncio.gather(*(web.send(w.value, key=w.key, headers=w.headers, partition=0) for w in bad))
    behind = quiet(web)
    good = Wire.of(behind)
    await web.send(good.value, key=good.key, headers=good.headers, partition=0)
    await check_undisturbed(web, behind.subject)
    for wire, place in zip(bad, places, strict=True):
        await check_buried(operators, wire, place, Reason.NOT_JSON, "")
