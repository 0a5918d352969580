"""Results that break the contract, written as billing itself could write them. Its process goes on beside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from aiokafka import AIOKafkaProducer
from stand import DeadLetters, Portal, Stand, Watch
from whole_records import ENVELOPE, Spoiled, Wire, check_buried, check_undisturbed, id_for, put, quiet

from habeas.contracts import Keyring, Place
from habeas.contracts.catalogue import read, read_personal, seal_personal, write
from habeas.contracts.cloudevents import decode
from habeas.contracts.errors import Reason
from habeas.contracts.result import ResultPersonal, TaskFinished
from habeas.contracts.sealing import JsonWebKey, new_key
from habeas.contracts.task import TaskAssigned
from habeas.contracts.topics import results, tasks

TOPIC = results("billing")
NOTHING = ResultPersonal()

BODIES = (
    Spoiled("no outcome", lambda w: w.lacking("outcome"), Reason.MEMBER_MISSING, "/outcome"),
    Spoiled("an outcome that is no word", lambda w: w.member("outcome", 7), Reason.MEMBER_INVALID, "/outcome"),
    Spoiled(
        "a count below zero", lambda w: w.member("summary", [count(-1)]), Reason.MEMBER_INVALID, "/summary/0/count"
    ),
    Spoiled("a task id that is none", lambda w: w.member("task_id", "1"), Reason.MEMBER_INVALID, "/task_id"),
    Spoiled("another system's name", lambda w: w.member("system", "support"), Reason.MEMBER_INVALID, "/system"),
    Spoiled(
        "a submission on a results topic",
        lambda w: w.having("ce_type", b"dsr.request.submitted.v1"),
        Reason.TYPE_UNKNOWN,
        "ce_type",
    ),
    Spoiled("another task's", lambda w: w.member("task_id", str(uuid4())), Reason.PERSONAL_MISPLACED, "/personal"),
)


def count(number: int) -> dict[str, Any]:
    return {"category": "account", "did": "deleted", "count": number}


@dataclass(frozen=True)
class Billing:
    """The principal billing, beside its own process."""

    keyring: Keyring
    producer: AIOKafkaProducer
    tasks: Watch
    results: Watch
    others: Watch
    """Support's tasks: only a super user reads them."""

    async def task(self, request_id: UUID, *, of: str = "billing") -> TaskAssigned:
        watch = self.tasks if of == "billing" else self.others
        record = await watch.first(lambda record: record.key == str(request_id).encode())
        return read(decode(record.key, record.value, record.headers), TaskAssigned)

    async def answered(self, request_id: UUID) -> Wire:
        """The answer that billing has published itself."""
        record = await self.results.first(lambda record: record.key == str(request_id).encode())
        return Wire(record.key, record.value, list(record.headers))

    def result(
        self,
        request_id: UUID,
        task_id: UUID,
        personal: str | None = None,
        outcome: str = "nothing_held",
        **members: Any,
    ) -> Wire:
        body = TaskFinished(
            task_id=task_id,
            request_id=request_id,
            system="billing",
            outcome=outcome,
            personal=personal or self.sealed(request_id, task_id),
            **members,
        )
        return Wire.of(write(body, subject=request_id, source="systems/billing", now=datetime.now(UTC)))

    def sealed(self, request_id: UUID, task_id: UUID, ce_type: str = TaskFinished.TYPE) -> str:
        return seal_personal(self.keyring, Place("billing", ce_type, request_id, task_id), NOTHING)

    async def put(self, wire: Wire, partition: int | None = None) -> Any:
        return await put(self.producer, TOPIC, wire, partition)


@pytest.fixture(scope="module")
async def billing(stand: Stand) -> AsyncIterator[Billing]:
    async with (
        stand.producer("billing") as producer,
        stand.watching("billing", tasks("billing")) as own,
        stand.watching("operators", TOPIC) as answers,
        stand.watching("operators", tasks("support")) as others,
    ):
        yield Billing(stand.keyring("billing"), producer, own, answers, others)


@pytest.fixture(scope="module")
async def finished(web: Portal, billing: Billing) -> TaskAssigned:
    """A task that billing has answered with nothing held."""
    event = quiet(web)
    await web.publish(event)
    await web.closed(event.subject)
    return await billing.task(event.subject)


@pytest.fixture
async def check(web: Portal, billing: Billing, operators: DeadLetters) -> Callable[[Wire, Reason, str], Any]:
    """Publishes a bad result; billing's answer about a request sent after it comes right behind it."""

    async def checked(wire: Wire, reason: Reason, pointer: str) -> None:
        place = await billing.put(wire, partition=0)
        behind = quiet(web, id_for(place.partition, len(await billing.producer.partitions_for(TOPIC))))
        await web.publish(behind)
        await check_buried(operators, wire, place, reason, pointer)
        await check_undisturbed(web, behind.subject)

    return checked


@pytest.mark.parametrize("bad", [*ENVELOPE, *BODIES], ids=lambda bad: bad.name)
async def test_a_bad_result_is_buried(billing: Billing, finished: TaskAssigned, check: Any, bad: Spoiled) -> None:
    good = billing.result(finished.request_id, finished.task_id)
    await check(bad.spoil(good), bad.reason, bad.pointer)


Seal = Callable[[Stand, Billing, TaskAssigned], str]


def under_another_system_s_key(stand: Stand, _: Billing, task: TaskAssigned) -> str:
    place = Place("support", TaskFinished.TYPE, task.request_id, task.task_id)
    return seal_personal(stand.keyring("support"), place, NOTHING)


def for_another_request(_: Stand, billing: Billing, task: TaskAssigned) -> str:
    return billing.sealed(uuid4(), task.task_id)


def for_another_attempt(_: Stand, billing: Billing, task: TaskAssigned) -> str:
    return billing.sealed(task.request_id, uuid4())


def for_another_direction(_: Stand, billing: Billing, task: TaskAssigned) -> str:
    return billing.sealed(task.request_id, task.task_id, TaskAssigned.TYPE)


def pasted_from_the_task(_: Stand, __: Billing, task: TaskAssigned) -> str:
    return task.personal


def under_a_key_not_handed_out(_: Stand, __: Billing, task: TaskAssigned) -> str:
    unknown = Keyring([JsonWebKey.model_validate(new_key("billing", 99))])
    return seal_personal(unknown, Place("billing", TaskFinished.TYPE, task.request_id, task.task_id), NOTHING)


@pytest.mark.parametrize(
    ("seal", "reason"),
    [
        (under_another_system_s_key, Reason.KEY_FOREIGN),
        (for_another_request, Reason.PERSONAL_MISPLACED),
        (for_another_attempt, Reason.PERSONAL_MISPLACED),
        (for_another_direction, Reason.PERSONAL_MISPLACED),
        (pasted_from_the_task, Reason.PERSONAL_MISPLACED),
        (under_a_key_not_handed_out, Reason.KEY_UNKNOWN),
    ],
)
async def test_what_is_sealed_for_another_place_is_not_opened(
    stand: Stand, billing: Billing, finished: TaskAssigned, check: Any, seal: Seal, reason: Reason
) -> None:
    personal = seal(stand, billing, finished)
    await check(billing.result(finished.request_id, finished.task_id, personal), reason, "/personal")


async def test_another_system_s_task_is_not_billing_s_to_answer(
    web: Portal, billing: Billing, finished: TaskAssigned, check: Any
) -> None:
    foreign = await billing.task(finished.request_id, of="support")
    before = web.statuses(finished.request_id)[-1]
    await check(billing.result(foreign.request_id, foreign.task_id), Reason.TASK_FOREIGN, "/task_id")
    assert web.statuses(finished.request_id)[-1] == before


async def test_another_answer_to_a_finished_task_is_a_conflict(
    web: Portal, billing: Billing, finished: TaskAssigned, check: Any
) -> None:
    before = web.statuses(finished.request_id)[-1]
    other = billing.result(finished.request_id, finished.task_id, outcome="refused")
    await check(other, Reason.CONFLICT, "/task_id")
    assert web.statuses(finished.request_id)[-1] == before


async def test_the_same_answer_again_is_nothing(
    web: Portal, billing: Billing, finished: TaskAssigned, operators: DeadLetters
) -> None:
    """The very record once more, and its content in a new event, sealed anew."""
    theirs = await billing.answered(finished.request_id)
    body = TaskFinished.model_validate_json(theirs.value or b"")
    place = Place("billing", TaskFinished.TYPE, body.request_id, body.task_id)
    personal = read_personal(billing.keyring, place, body.personal, ResultPersonal)
    anew = body.model_copy(update={"personal": seal_personal(billing.keyring, place, personal)})
    event = write(anew, subject=body.request_id, source="systems/billing", now=datetime.now(UTC))
    before = web.statuses(finished.request_id)
    places = [await billing.put(wire, partition=0) for wire in (theirs, Wire.of(event))]
    await behind_is_handled(billing, finished, operators)
    assert [operators.has(place) for place in places] == [False, False]
    assert web.statuses(finished.request_id) == before


async def test_an_answer_to_a_task_never_given_is_remembered_at_first(
    billing: Billing, finished: TaskAssigned, operators: DeadLetters
) -> None:
    """For a day it may be the plan that is late: no dead letter yet."""
    places = [
        await billing.put(billing.result(request_id, uuid4()), partition=0)
        for request_id in (uuid4(), finished.request_id)
    ]
    await behind_is_handled(billing, finished, operators)
    assert [operators.has(place) for place in places] == [False, False]


async def behind_is_handled(billing: Billing, task: TaskAssigned, operators: DeadLetters) -> None:
    """All that stood in partition 0 so far has been handled, since a bad record behind it has been."""
    marker = billing.result(task.request_id, task.task_id).saying(b"?")
    await check_buried(operators, marker, await billing.put(marker, partition=0), Reason.NOT_JSON, "")


async def test_an_early_answer_waits_for_its_plan(
    web: Portal, billing: Billing, finished: TaskAssigned, operators: DeadLetters
) -> None:
    """Whoever knows how task ids are made can answer before anybody has asked; billing's own answer comes second."""
    request_id = uuid4()
    early = billing.result(request_id, uuid5(request_id, "billing/1"), outcome="refused")
    place = await billing.put(early, partition=0)
    await behind_is_handled(billing, finished, operators)
    await web.publish(quiet(web, request_id))
    status = await web.closed(request_id)
    assert {each.system: each.outcome for each in status.systems}["billing"] == "refused"
    assert not operators.has(place)


async def test_bad_results_of_many_kinds_hold_nobody_up(
    web: Portal, billing: Billing, finished: TaskAssigned, operators: DeadLetters
) -> None:
    good = billing.result(finished.request_id, finished.task_id)
    wires = [bad.spoil(good) for bad in ENVELOPE]
    places = await asyncio.gather(*(billing.put(wire, partition=1) for wire in wires))
    behind = quiet(web, id_for(1, len(await billing.producer.partitions_for(TOPIC))))
    await web.publish(behind)
    await check_undisturbed(web, behind.subject)
    for bad, wire, place in zip(ENVELOPE, wires, places, strict=True):
        await check_buried(operators, wire, place, bad.reason, bad.pointer)
