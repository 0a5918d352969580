"""Tasks that break the contract, as a broken fan-out could write them: the system buries them among its own letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from stand import DeadLetters, Portal, Stand
from whole_records import ENVELOPE, Spoiled, Wire, check_buried, check_undisturbed, id_for, put, quiet

from habeas.contracts import Place
from habeas.contracts.catalogue import read, seal_personal, write
from habeas.contracts.cloudevents import decode
from habeas.contracts.errors import Reason
from habeas.contracts.result import TaskFinished
from habeas.contracts.submission import Identity
from habeas.contracts.task import ScopeItem, TaskAssigned, TaskCancelled, TaskPersonal, TaskSubject
from habeas.contracts.topics import dead_letters, results, tasks

TOPIC = tasks("support")
PERSONAL = TaskPersonal(
    subject=TaskSubject(identities=(Identity(identity_type="email", identity_value="task@example.org"),))
)

CHOSEN = {
    "no ce_type",
    "null ce_id",
    "repeated ce_id",
    "ce_source not UTF-8",
    "wrong ce_time",
    "unknown type",
    "null key",
    "key that is no UUID",
    "key of another request",
    "tombstone",
    "not JSON",
    "personal in clear",
    "no personal",
    "damaged personal",
}
BODIES = (
    Spoiled("no action", lambda w: w.lacking("action"), Reason.MEMBER_MISSING, "/action"),
    Spoiled("an attempt of zero", lambda w: w.member("attempt", 0), Reason.MEMBER_INVALID, "/attempt"),
    Spoiled("another system's", lambda w: w.member("system", "billing"), Reason.TASK_FOREIGN, "/system"),
    Spoiled("another attempt's", lambda w: w.member("task_id", str(uuid4())), Reason.PERSONAL_MISPLACED, "/personal"),
    Spoiled(
        "another direction's",
        lambda w: w.having("ce_type", TaskFinished.TYPE.encode()),
        Reason.TYPE_UNEXPECTED,
        "ce_type",
    ),
)


def task(stand: Stand, request_id: UUID, task_id: UUID, *, system: str = "support", **members: Any) -> Wire:
    """A good one, sealed for `system`."""
    place = Place(system, TaskAssigned.TYPE, request_id, task_id)
    body = TaskAssigned(
        **{
            "task_id": task_id,
            "request_id": request_id,
            "system": "support",
            "attempt": 1,
            "action": "access",
            "right": "access",
            "regulation": "eu-gdpr",
            "policy_version": "2025-02-10",
            "scope": (ScopeItem(category="support_conversations", purposes=("answering",), basis="contract"),),
            "due_at": datetime.now(UTC) + timedelta(days=7),
            "personal": seal_personal(stand.keyring(system), place, PERSONAL),
            **members,
        }
    )
    return Wire.of(write(body, subject=request_id, source="habeas/fanout", now=datetime.now(UTC)))


@pytest.fixture(scope="module")
async def fanout(stand: Stand) -> AsyncIterator[AIOKafkaProducer]:
    async with stand.producer("fanout") as producer:
        yield producer


@pytest.fixture(scope="module")
async def letters(stand: Stand) -> AsyncIterator[DeadLetters]:
    async with stand.watching("support", dead_letters("support")) as watch:
        yield DeadLetters("support", stand.keyring("support"), watch)


@pytest.fixture
async def check(web: Portal, fanout: AIOKafkaProducer, letters: DeadLetters) -> Callable[[Wire, Reason, str], Any]:
    """Publishes a bad task; a good request's task comes right behind it."""

    async def checked(wire: Wire, reason: Reason, pointer: str) -> None:
        place = await put(fanout, TOPIC, wire, partition=0)
        behind = quiet(web, id_for(0, len(await fanout.partitions_for(TOPIC))))
        await web.publish(behind)
        await check_buried(letters, wire, place, reason, pointer)
        await check_undisturbed(web, behind.subject)

    return checked


@pytest.mark.parametrize(
    "bad", [*(each for each in ENVELOPE if each.name in CHOSEN), *BODIES], ids=lambda bad: bad.name
)
async def test_a_bad_task_is_buried_by_its_system(stand: Stand, check: Any, bad: Spoiled) -> None:
    await check(bad.spoil(task(stand, uuid4(), uuid4())), bad.reason, bad.pointer)


async def test_a_task_under_another_system_s_key_is_not_opened(stand: Stand, check: Any) -> None:
    await check(task(stand, uuid4(), uuid4(), system="billing"), Reason.KEY_FOREIGN, "/personal")


async def test_a_task_sealed_for_another_request_is_not_opened(stand: Stand, check: Any) -> None:
    other = task(stand, uuid4(), uuid4())
    request_id, task_id = uuid4(), uuid4()
    pasted = TaskAssigned.model_validate_json(other.value or b"").personal
    await check(task(stand, request_id, task_id, personal=pasted), Reason.PERSONAL_MISPLACED, "/personal")


async def test_a_task_id_used_for_another_request_is_a_conflict(
    stand: Stand, fanout: AIOKafkaProducer, check: Any
) -> None:
    task_id = uuid4()
    await put(fanout, TOPIC, task(stand, uuid4(), task_id), partition=0)
    await check(task(stand, uuid4(), task_id), Reason.CONFLICT, "/task_id")


@pytest.fixture(scope="module")
async def answers(stand: Stand) -> AsyncIterator[Any]:
    async with stand.watching("operators", results("support")) as watch:
        yield watch


async def outcome(answers: Any, request_id: UUID) -> str:
    record = await answers.first(lambda record: record.key == str(request_id).encode())
    return str(read(decode(record.key, record.value, record.headers), TaskFinished).outcome)


async def test_an_unknown_action_is_answered_as_unsupported(
    stand: Stand, fanout: AIOKafkaProducer, answers: Any
) -> None:
    request_id = uuid4()
    await put(fanout, TOPIC, task(stand, request_id, uuid4(), action="levitate"))
    assert await outcome(answers, request_id) == "unsupported"


async def test_a_task_cancelled_before_it_came_is_answered_as_cancelled(
    stand: Stand, fanout: AIOKafkaProducer, answers: Any
) -> None:
    request_id, task_id = uuid4(), uuid4()
    cancelled = TaskCancelled(task_id=task_id, request_id=request_id, reason="withdrawn")
    event = write(cancelled, subject=request_id, source="habeas/fanout", now=datetime.now(UTC))
    await put(fanout, TOPIC, Wire.of(event), partition=0)
    await put(fanout, TOPIC, task(stand, request_id, task_id), partition=0)
    assert await outcome(answers, request_id) == "cancelled"
