"""Opened requests and findings in, plans and tasks out: through the consumer, with real PostgreSQL and Kafka."""

import itertools
from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from habeas.contracts.sealing import new_key
from habeas.contracts.submission import Correction, Details, Identity, Period, Subject
from habeas.contracts.task import TaskAssigned, TaskCancelled
from habeas.contracts.topics import PROGRESS, REQUESTS, tasks
from habeas.contracts.vocabulary import Action
from services.fanout.handlers import PREDECESSOR_PATIENCE
from services.fanout.handlers import Handlers as FanoutHandlers
from services.fanout.said import task_id
from shared.database import Pool
from shared.events import (
    FoundPersonal,
    IdentitiesAdded,
    PlanMade,
    RequestCollected,
    RequestStopped,
    RoundOrdered,
    SystemsFinished,
)
from shared.messaging.consumer import Consumer
from tests.collector.samples import EMAIL, PERSONAL, opened_record
from tests.core.workbench import NOW, REGISTRY, Clock, Keys, PrivateOutbox, Raw, event, raw

ACCOUNT = Identity(identity_type="account_id", identity_value="acc-1")
CUSTOMER = Identity(identity_type="payment_customer_id", identity_value="cus-1")


def found_record(keys: Keys, request_id: UUID, systems: tuple[str, ...], *identities: Identity) -> Raw:
    sealed = keys.seal("services", SystemsFinished, request_id, FoundPersonal(identities=identities))
    return raw(PROGRESS, event(SystemsFinished(request_id=request_id, systems=systems, personal=sealed)))


def plans(outbox: PrivateOutbox) -> dict[UUID, list[PlanMade]]:
    made: dict[UUID, list[PlanMade]] = defaultdict(list)
    for each in outbox.said(PlanMade):
        made[each.body.request_id].append(each.body)
    return made


def asked(outbox: PrivateOutbox) -> dict[UUID, list[str]]:
    given: dict[UUID, list[str]] = defaultdict(list)
    for each in outbox.said(TaskAssigned):
        given[each.body.request_id].append(each.body.system)
    return given


def states(plan: PlanMade) -> dict[str, str]:
    return {each.system: str(each.state) for each in plan.systems}


FIRST_WAVE = {"billing": "asked", "support": "asked", "analytics": "waiting", "payments": "waiting"}


async def test_the_first_wave(fanout: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    await fanout.handle([opened_record(keys, request_id)])
    (plan,) = plans(outbox)[request_id]
    assert (plan.version, states(plan)) == (1, FIRST_WAVE)
    assert {each.system: each.reason for each in plan.systems if each.state == "waiting"} == {
        "analytics": "waiting_for_identifier",
        "payments": "waiting_for_identifier",
    }
    given = outbox.said(TaskAssigned)
    assert sorted(each.topic for each in given) == [tasks("billing"), tasks("support")]
    for each in given:
        body = each.body
        assert (body.task_id, body.attempt) == (task_id(request_id, body.system, 1), 1)
        assert (body.action, body.right, body.policy_version) == ("erase", "erasure", "2025-02-10")
        assert keys.open(each, body.system).subject.identities == (EMAIL,)
        assert [(item.system, item.task_id) for item in plan.systems if item.system == body.system] == [
            (body.system, body.task_id)
        ]


@pytest.mark.parametrize("decision", ["refused", "triage"])
async def test_what_is_not_accepted_gets_no_plan(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys, decision: str, pool: Pool
) -> None:
    await fanout.handle([opened_record(keys, uuid4(), decision=decision, reason="identity_not_established")])
    assert outbox.sent == []
    assert await pool.fetchval("SELECT count(*) FROM requests WHERE personal IS NOT NULL") == 0


async def test_the_second_wave_gets_what_was_found_and_no_more(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    await fanout.handle([opened_record(keys, request_id)])
    outbox.take()
    await fanout.handle([found_record(keys, request_id, ("billing",), ACCOUNT, CUSTOMER, ACCOUNT)])
    (plan,) = plans(outbox)[request_id]
    assert (plan.version, set(states(plan).values())) == (2, {"asked"})
    given = {each.body.system: keys.open(each, each.body.system) for each in outbox.said(TaskAssigned)}
    assert {system: personal.subject.identities for system, personal in given.items()} == {
        "analytics": (ACCOUNT,),
        "payments": (CUSTOMER,),
    }


async def test_what_nobody_finds_is_excluded(fanout: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    await fanout.handle([opened_record(keys, request_id)])
    await fanout.handle([found_record(keys, request_id, ("support",))])
    assert len(plans(outbox)[request_id]) == 1  # billing may still find it
    await fanout.handle([found_record(keys, request_id, ("billing", "support"), ACCOUNT)])
    last = plans(outbox)[request_id][-1]
    assert (last.version, states(last)) == (2, FIRST_WAVE | {"analytics": "asked", "payments": "excluded"})
    assert [each.reason for each in last.systems if each.system == "payments"] == ["identifier_not_found"]


async def test_every_order_ends_alike(fanout: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    """All orders at once, with early findings and repetitions: the same tasks, each given once."""
    orders = list(itertools.permutations(range(4)))
    requests = [uuid4() for _ in orders]
    facts = [
        [
            opened_record(keys, request_id),
            found_record(keys, request_id, ("support",)),
            found_record(keys, request_id, ("billing", "support"), ACCOUNT, CUSTOMER),
            found_record(keys, request_id, ("billing",), ACCOUNT, CUSTOMER),
        ]
        for request_id in requests
    ]
    for turn in range(4):
        await fanout.handle([facts[number][order[turn]] for number, order in enumerate(orders)])
    made, given = plans(outbox), asked(outbox)
    for request_id in requests:
        assert sorted(given[request_id]) == ["analytics", "billing", "payments", "support"]
        assert [each.version for each in made[request_id]] == list(range(1, len(made[request_id]) + 1))
        assert set(states(made[request_id][-1]).values()) == {"asked"}
    assert outbox.dead_letters() == []
    outbox.take()
    await fanout.handle([record for some in facts for record in some])
    await fanout.handle([record.again() for some in facts for record in reversed(some)])
    assert outbox.sent == []


async def test_a_task_carries_only_what_concerns_its_system(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    corrections = tuple(
        Correction(category=category, field="name", value="Ana") for category in ("account", "support_conversations")
    )
    personal = PERSONAL.model_copy(update={"details": Details(corrections=corrections, statement="all of it")})
    await fanout.handle([opened_record(keys, uuid4(), personal, right="rectification")])
    given = {each.body.system: keys.open(each, each.body.system) for each in outbox.said(TaskAssigned)}
    assert {system: [each.category for each in found.details.corrections] for system, found in given.items()} == {
        "billing": ["account"],
        "support": ["support_conversations"],
    }
    assert {found.details.statement for found in given.values()} == {None}


# Order: who goes first


def collected_record(request_id: UUID) -> Raw:
    return raw(PROGRESS, event(RequestCollected(request_id=request_id)))


def actions(outbox: PrivateOutbox, request_id: UUID) -> dict[str, list[str]]:
    """What each system was asked for, in the order of its attempts."""
    given: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for each in outbox.said(TaskAssigned):
        if each.body.request_id == request_id:
            given[each.body.system].append((each.body.attempt, str(each.body.action)))
    return {system: [action for _, action in sorted(some)] for system, some in given.items()}


async def test_an_erasure_holds_and_waits_for_the_copy_that_it_comes_after(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    copy, erasure = uuid4(), uuid4()
    await fanout.handle([opened_record(keys, erasure, after=(copy,))])
    (plan,) = plans(outbox)[erasure]
    assert {each.reason for each in plan.systems} == {"comes_after_another"}
    assert actions(outbox, erasure) == {"billing": ["hold"], "support": ["hold"]}
    held = {each.system: each.earlier for each in plan.systems if each.earlier}
    assert {system: past.task_id for system, (past,) in held.items()} == {
        system: task_id(erasure, system, 1) for system in ("billing", "support")
    }
    await fanout.handle([opened_record(keys, copy, right="access")])
    assert actions(outbox, copy) == {"billing": ["access"], "support": ["access"]}
    assert actions(outbox, erasure) == {"billing": ["hold"], "support": ["hold"]}
    await fanout.handle([collected_record(copy)])
    assert actions(outbox, erasure) == {"billing": ["hold", "erase"], "support": ["hold", "erase"]}
    last = plans(outbox)[erasure][-1]
    assert {each.system: (each.attempt, each.task_id) for each in last.systems if each.state == "asked"} == {
        system: (2, task_id(erasure, system, 2)) for system in ("billing", "support")
    }
    outbox.take()
    await fanout.handle([collected_record(copy), opened_record(keys, erasure, after=(copy,))])
    assert outbox.sent == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_whatever_comes_first_the_erasure_goes_once_and_last(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys, order: tuple[int, ...]
) -> None:
    copy, erasure = uuid4(), uuid4()
    records = [
        opened_record(keys, erasure, after=(copy,)),
        opened_record(keys, copy, right="access"),
        collected_record(copy),
    ]
    for number in order:
        await fanout.handle([records[number]])
        erased = "erase" in actions(outbox, erasure).get("billing", [])
        assert not erased or 2 in order[: order.index(number) + 1]
    assert actions(outbox, erasure)["billing"][-1] == "erase"
    assert actions(outbox, copy) == {"billing": ["access"], "support": ["access"]}


async def test_the_same_person_is_recognised_by_a_keyed_hash_of_an_address(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    def of(address: str, request_id: UUID, right: str, **members: Any) -> Raw:
        identity = Identity(identity_type="email", identity_value=address)
        personal = PERSONAL.model_copy(update={"subject": Subject(identities=(identity,))})
        return opened_record(keys, request_id, personal, right=right, **members)

    copy, erasure, another, earlier = uuid4(), uuid4(), uuid4(), uuid4()
    await fanout.handle([of("ana@example.org", copy, "portability")])
    keys.add(new_key("services", 2))
    await fanout.handle(
        [
            of(" Ana@Example.org", erasure, "erasure"),
            of("ben@example.org", another, "erasure"),
            of("ana@example.org", earlier, "rectification", received_at=NOW - timedelta(seconds=1)),
        ]
    )
    assert actions(outbox, erasure)["billing"] == ["hold"]
    assert actions(outbox, another)["billing"] == ["erase"]
    assert not await pool.fetchval("SELECT bool_or(position('ana'::bytea IN hash) > 0) FROM people")
    await fanout.handle([collected_record(copy)])
    assert actions(outbox, erasure)["billing"] == ["hold", "erase"]
    assert await pool.fetchval("SELECT count(*) FROM people") == 0


@pytest.mark.parametrize(("decision", "goes"), [("refused", True), ("triage", False)])
async def test_what_is_refused_is_not_waited_for_and_what_is_in_triage_is(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys, decision: str, goes: bool
) -> None:
    copy, erasure = uuid4(), uuid4()
    await fanout.handle([opened_record(keys, erasure, after=(copy,))])
    await fanout.handle([opened_record(keys, copy, right="access", decision=decision, reason="right_not_classified")])
    assert ("erase" in actions(outbox, erasure)["billing"]) is goes


async def test_a_predecessor_that_nobody_hears_of_is_told_and_still_waited_for(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys, clock: Clock
) -> None:
    copy, erasure = uuid4(), uuid4()
    handlers = FanoutHandlers(REGISTRY)
    await fanout.handle([opened_record(keys, erasure, after=(copy,))])
    await fanout.transact(handlers.miss_predecessors)
    assert len(plans(outbox)[erasure]) == 1
    clock.advance(PREDECESSOR_PATIENCE + timedelta(seconds=1))
    await fanout.transact(handlers.miss_predecessors)
    assert {each.reason for each in plans(outbox)[erasure][-1].systems} == {"predecessor_missing"}
    await fanout.handle([opened_record(keys, copy, right="access")])
    assert {each.reason for each in plans(outbox)[erasure][-1].systems} == {"comes_after_another"}
    await fanout.handle([collected_record(copy)])
    assert actions(outbox, erasure)["billing"] == ["hold", "erase"]


# Scope


async def test_a_copy_is_limited_as_asked(fanout: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    period = Period(start=NOW - timedelta(days=365))
    personal = PERSONAL.model_copy(update={"details": Details(categories=("invoices",), period=period)})
    await fanout.handle([opened_record(keys, request_id, personal, right="access")])
    (given,) = outbox.said(TaskAssigned)
    assert (given.body.system, [item.category for item in given.body.scope]) == ("billing", ["invoices"])
    assert given.body.period == period
    (plan,) = plans(outbox)[request_id]
    assert {each.system: each.reason for each in plan.systems if each.state == "excluded"} == {
        "support": "not_asked_for",
        "analytics": "not_asked_for",
        "payments": "not_asked_for",
    }


async def test_only_the_purposes_objected_to_stop(fanout: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    details = Details(purposes=("marketing_messages", "trends", "improving_the_service"))
    personal = PERSONAL.model_copy(update={"details": details})
    await fanout.handle([opened_record(keys, request_id, personal, right="objection")])
    await fanout.handle([found_record(keys, request_id, ("billing",), ACCOUNT, CUSTOMER)])
    scopes = {
        each.body.system: {item.category: item.purposes for item in each.body.scope}
        for each in outbox.said(TaskAssigned)
    }
    assert scopes == {
        "billing": {},
        "support": {"product_improvement": ("improving_the_service",)},
        "analytics": {
            "visits": ("trends", "improving_the_service"),
            "marketing_preference": ("marketing_messages",),
        },
    }
    assert actions(outbox, request_id) == {"billing": ["locate"], "support": ["object"], "analytics": ["object"]}
    asked_for = {each.body.system: keys.open(each, each.body.system) for each in outbox.said(TaskAssigned)}
    assert asked_for["support"].details.purposes == ("improving_the_service",)


async def test_what_a_right_does_not_reach_is_named(fanout: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    await fanout.handle([opened_record(keys, request_id, right="consent_withdrawal")])
    (plan,) = plans(outbox)[request_id]
    left = {each.system: {out.category: out.ground for out in each.left_out} for each in plan.systems}
    assert left["support"] == {
        "support_conversations": "other_legal_basis",
        "product_improvement": "other_legal_basis",
    }


# Further rounds, additions, ends


async def test_a_lifted_restriction_is_a_round_of_its_own(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys, clock: Clock
) -> None:
    request_id = uuid4()
    await fanout.handle([opened_record(keys, request_id, right="restriction")])
    clock.advance(timedelta(days=100))
    order = RoundOrdered(request_id=request_id, order_id=uuid4(), systems=("billing",), action=Action.UNRESTRICT)
    await fanout.handle([raw(PROGRESS, event(order))])
    await fanout.handle([raw(PROGRESS, event(order))])
    assert actions(outbox, request_id) == {"billing": ["restrict", "unrestrict"], "support": ["restrict"]}
    last = plans(outbox)[request_id][-1]
    (billing,) = (each for each in last.systems if each.system == "billing")
    assert (billing.action, billing.attempt, billing.task_id) == ("unrestrict", 2, task_id(request_id, "billing", 2))
    assert [past.action for past in billing.earlier] == ["restrict"]
    assert billing.due_at == clock() + timedelta(days=7)


async def test_a_round_can_be_about_a_part_and_the_same_again(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    await fanout.handle([opened_record(keys, request_id)])
    outbox.take()
    rounds = [
        RoundOrdered(
            request_id=request_id, order_id=uuid4(), systems=("billing", "payments"), categories=("invoices",)
        ),
        RoundOrdered(request_id=request_id, order_id=uuid4(), systems=("support",)),
    ]
    await fanout.handle([raw(PROGRESS, event(each)) for each in rounds])
    given = {each.body.system: each.body for each in outbox.said(TaskAssigned)}
    assert {system: (body.action, body.attempt) for system, body in given.items()} == {
        "billing": ("erase", 2),
        "support": ("erase", 2),
    }
    assert [item.category for item in given["billing"].scope] == ["invoices"]


async def test_identities_proven_later_are_asked_with(fanout: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id, amendment_id = uuid4(), uuid4()
    sealed = keys.seal("services", IdentitiesAdded, request_id, FoundPersonal(identities=(ACCOUNT,)))
    addition = IdentitiesAdded(request_id=request_id, amendment_id=amendment_id, personal=sealed)
    await fanout.handle([raw(REQUESTS, event(addition))])
    assert outbox.sent == []
    await fanout.handle([opened_record(keys, request_id)])
    assert set(actions(outbox, request_id)) == {"billing", "support", "analytics"}


async def test_the_first_plan_takes_into_account_what_comes_with_the_request(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    added, found, stopped, alone = uuid4(), uuid4(), uuid4(), uuid4()
    sealed = keys.seal("services", IdentitiesAdded, added, FoundPersonal(identities=(ACCOUNT,)))
    addition = IdentitiesAdded(request_id=added, amendment_id=uuid4(), personal=sealed)
    await fanout.handle(
        [
            *(opened_record(keys, each) for each in (added, found, stopped, alone)),
            raw(REQUESTS, event(addition)),
            found_record(keys, found, ("support", "billing"), ACCOUNT, CUSTOMER),
            raw(PROGRESS, event(RequestStopped(request_id=stopped, finished=()))),
        ]
    )
    assert {each: len(made) for each, made in plans(outbox).items()} == dict.fromkeys((added, found, stopped, alone), 1)
    assert set(actions(outbox, added)) == {"billing", "support", "analytics"}
    assert set(actions(outbox, found)) == {"billing", "support", "analytics", "payments"}
    assert actions(outbox, stopped) == {}
    assert set(actions(outbox, alone)) == {"billing", "support"}


@pytest.mark.parametrize("early", [False, True])
async def test_what_has_ended_is_cancelled_and_asked_no_further(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys, early: bool
) -> None:
    request_id = uuid4()
    stop = raw(PROGRESS, event(RequestStopped(request_id=request_id, finished=("support",))))
    records = [opened_record(keys, request_id), stop]
    for record in reversed(records) if early else records:
        await fanout.handle([record])
    await fanout.handle([found_record(keys, request_id, ("billing",), ACCOUNT, CUSTOMER), stop.again()])
    cancelled = [each.body for each in outbox.said(TaskCancelled)]
    if early:
        assert (actions(outbox, request_id), cancelled) == ({}, [])
    else:
        assert set(actions(outbox, request_id)) == {"billing", "support"}
        assert [(each.task_id, each.reason) for each in cancelled] == [
            (task_id(request_id, "billing", 1), "request_ended")
        ]
    last = plans(outbox)[request_id][-1]
    assert {each.reason for each in last.systems if each.state == "excluded"} == {"request_ended"}
