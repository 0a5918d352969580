"""Opened requests and findings in, plans and tasks out: through the consumer, with real PostgreSQL and Kafka."""

import itertools
from collections import defaultdict
from typing import Any
from uuid import UUID, uuid4

import pytest

from habeas.contracts.submission import Correction, Details, Identity
from habeas.contracts.task import TaskAssigned
from habeas.contracts.topics import PROGRESS, tasks
from services.fanout.app import assemble
from services.fanout.handlers import task_id
from shared.database import Pool
from shared.events import FoundPersonal, PlanMade, SystemsFinished
from shared.messaging.consumer import Consumer, Patience
from shared.messaging.service import Context
from tests.collector.samples import EMAIL, PERSONAL, opened_record
from tests.core.fixtures import MakeOutbox
from tests.core.workbench import REGISTRY, Clock, Keys, PrivateOutbox, Raw, event, raw
from tests.stack_database import Database

ACCOUNT = Identity(identity_type="account_id", identity_value="acc-1")
CUSTOMER = Identity(identity_type="payment_customer_id", identity_value="cus-1")


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("fanout")


@pytest.fixture
async def outbox(pool: Pool, make_outbox: MakeOutbox) -> PrivateOutbox:
    return await make_outbox(pool)


@pytest.fixture
def fanout(pool: Pool, outbox: PrivateOutbox, keys: Keys, clock: Clock) -> Consumer:
    context: Context[Any] = Context(None, REGISTRY, keys.file, pool, clock)
    parts = assemble(context)
    return Consumer(
        "fanout", parts.routes, pool, outbox, keys.file, clock, parts.settle, patience=Patience(unknown_key=0.0)
    )


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
    assert await pool.fetchval("SELECT count(*) FROM requests") == 0


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
    await fanout.handle([opened_record(keys, uuid4(), personal)])
    given = {each.body.system: keys.open(each, each.body.system) for each in outbox.said(TaskAssigned)}
    assert {system: [each.category for each in found.details.corrections] for system, found in given.items()} == {
        "billing": ["account"],
        "support": ["support_conversations"],
    }
    assert {found.details.statement for found in given.values()} == {None}
