"""The collector's tables on real PostgreSQL."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from habeas.contracts.command import CommandDecided
from services.collector import store
from services.collector.case import Case, Order, OrderKind, Planned
from services.collector.domain import advance
from services.collector.store import AnswerKey, NewResult, Orphan, Saved
from shared.database import Connection, Pool
from shared.events import (
    DeliveryResult,
    NoticeDelivered,
    PastTask,
    PlanMade,
    PlannedSystem,
    Recipient,
    WithdrawalReceived,
)
from tests.collector.samples import item, opened, plan, task
from tests.core.plans import explain, indexes, scanned
from tests.core.workbench import NOW
from tests.stack_database import Database

ONE, TWO = UUID(int=1), UUID(int=2)
BILLING = AnswerKey(task(ONE, "billing"), "billing", ONE)


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("collector")


def result(request_id: UUID = ONE, system: str = "billing", task_id: UUID | None = None, **members: Any) -> NewResult:
    made = NewResult(
        key=AnswerKey(task_id or task(request_id, system), system, request_id),
        ce_id=uuid4(),
        outcome="completed",
        error=None,
        summary=(item(),),
        found=None,
        body=b'{"personal": "sealed"}',
    )
    return replace(made, **members)


def saved(request_id: UUID, version: int = 1, state: str = "in_progress") -> Saved:
    status = advance(Case(opened(request_id=request_id)), NOW).status
    assert status is not None
    return Saved(status.model_copy(update={"version": version, "state": state}), frozenset(), frozenset(), frozenset())


async def test_the_first_opening_counts(pool: Pool) -> None:
    first, other = opened(request_id=ONE), opened(request_id=ONE, right="access")
    async with pool.acquire() as connection:
        await store.open_cases(connection, [first, first])
        await store.open_cases(connection, [other])
        (case,) = await store.lock_cases(connection, [ONE, TWO])
    assert case.opened == first


async def test_the_highest_plan_counts_in_a_batch_and_between_batches(pool: Pool) -> None:
    plans = [plan(ONE, version, billing="asked" if version == 3 else "waiting") for version in (1, 3, 2)]
    async with pool.acquire() as connection:
        await store.open_cases(connection, [opened(request_id=ONE)])
        await store.record_plans(connection, plans)
        await store.record_plans(connection, plans[:1])
        (case,) = await store.lock_cases(connection, [ONE])
        assert case.plan == tuple(map(Planned.of, plans[1].systems))
        assert await store.planned_tasks(connection, [ONE, TWO]) == {ONE: {task(ONE, "billing"): "billing"}}


async def test_facts_that_come_before_the_request_are_there_when_it_comes(pool: Pool) -> None:
    delivered = NoticeDelivered(
        request_id=ONE,
        notice="completed",
        recipient=Recipient.REQUESTER,
        ordinal=1,
        result=DeliveryResult.ACCEPTED,
        at=NOW,
    )
    async with pool.acquire() as connection:
        assert await store.record_results(connection, [result()], NOW) == set()
        await store.record_plans(connection, [plan(ONE, billing="asked")])
        await store.record_progress(connection, {BILLING: "working"})
        await store.record_deliveries(connection, [delivered, delivered])
        assert await store.lock_cases(connection, [ONE]) == []
        await store.open_cases(connection, [opened(request_id=ONE)])
        (case,) = await store.lock_cases(connection, [ONE])
    assert set(case.results) == set(case.working) == {task(ONE, "billing")}
    assert case.results[task(ONE, "billing")].summary == (item(),)
    assert case.plan is not None
    assert case.deliveries == {"completed": DeliveryResult.ACCEPTED}


async def test_a_mail_to_the_dpo_is_not_one_to_the_requester(pool: Pool) -> None:
    told = NoticeDelivered(
        request_id=ONE, notice="dpo_review", recipient=Recipient.DPO, ordinal=1, result=DeliveryResult.BOUNCED, at=NOW
    )
    async with pool.acquire() as connection:
        await store.open_cases(connection, [opened(request_id=ONE)])
        await store.record_deliveries(connection, [told])
        (case,) = await store.lock_cases(connection, [ONE])
    assert case.deliveries == {}


async def test_a_strangers_answer_stands_beside_and_does_not_count(pool: Pool) -> None:
    """Before the plan nobody knows whose a task is."""
    stranger = result(system="support", task_id=BILLING.task_id, outcome="failed")
    elsewhere = result(TWO, task_id=BILLING.task_id, outcome="failed")
    async with pool.acquire() as connection:
        assert await store.record_results(connection, [stranger, elsewhere], NOW) == set()
        assert await store.record_results(connection, [result()], NOW) == set()
        await store.record_progress(connection, {stranger.key: "working"})
        await store.open_cases(connection, [opened(request_id=ONE)])
        await store.record_plans(connection, [plan(ONE, billing="asked", support="asked")])
        (case,) = await store.lock_cases(connection, [ONE])
    assert {task_id: found.system for task_id, found in case.results.items()} == {BILLING.task_id: "billing"}
    assert case.working == frozenset()


async def test_the_first_result_counts_in_a_batch_and_between_batches(pool: Pool) -> None:
    first = result()
    async with pool.acquire() as connection:
        assert await store.record_results(connection, [first, result(outcome="failed")], NOW) == {first.key}
        others = [result(outcome="failed"), result(system="support")]
        assert await store.record_results(connection, others, NOW) == {first.key}
        known = await store.known_results(connection, [ONE, uuid4()])
    assert known[first.key].ce_id == first.ce_id
    assert len(known) == 2


@pytest.mark.parametrize(
    ("state", "members", "by_its_name", "expected"),
    [
        ("in_review", {}, True, True),
        ("in_review", {}, False, False),
        ("in_review", {"system": "support", "task_id": task(ONE, "billing")}, True, False),
        ("in_progress", {}, True, True),
        ("closed", {}, True, False),
    ],
)
async def test_a_result_is_replaced_under_review_by_its_author_and_by_name(
    pool: Pool, state: str, members: dict[str, Any], by_its_name: bool, expected: bool
) -> None:
    first = result(outcome="failed")
    newer = result(**members)
    async with pool.acquire() as connection:
        await store.open_cases(connection, [opened(request_id=ONE)])
        await store.record_results(connection, [first], NOW)
        await store.save(connection, [saved(ONE, state=state)])
        named = first.ce_id if by_its_name else uuid4()
        assert await store.replace_result(connection, newer, NOW, named, ()) is expected
        known = await store.known_results(connection, [ONE])
    assert known[first.key].ce_id == (newer.ce_id if expected else first.ce_id)


async def test_an_answer_that_was_one_is_not_replaced_while_others_are_at_work(pool: Pool) -> None:
    first = result(outcome="completed")
    async with pool.acquire() as connection:
        await store.open_cases(connection, [opened(request_id=ONE)])
        await store.record_results(connection, [first], NOW)
        await store.save(connection, [saved(ONE, state="in_progress")])
        assert not await store.replace_result(connection, result(outcome="failed"), NOW, first.ce_id, ())


async def test_what_was_saved_is_what_is_locked(pool: Pool) -> None:
    made = Saved(
        saved(ONE, 4).status, frozenset({"billing", "support"}), frozenset({"acknowledged"}), frozenset({"collected"})
    )
    async with pool.acquire() as connection:
        await store.open_cases(connection, [opened(request_id=ONE), opened(request_id=TWO)])
        await store.save(connection, [made, saved(TWO)])
        one, two = await store.lock_cases(connection, [TWO, ONE])
        assert [each.version for each in await store.newer_statuses(connection, {ONE: 3, TWO: 1, uuid4(): 0})] == [4]
    assert (one.status, one.reported, one.noticed, one.said) == (made.status, made.reported, made.noticed, made.said)
    assert (two.reported, two.noticed, two.said) == (frozenset(), frozenset(), frozenset())


async def test_what_intake_said_last_counts_whenever_it_comes(pool: Pool) -> None:
    first, second = opened(request_id=ONE, decision="triage"), opened(request_id=ONE, version=2)
    async with pool.acquire() as connection:
        await store.open_cases(connection, [second])
        await store.open_cases(connection, [first, second, first])
        (case,) = await store.lock_cases(connection, [ONE])
        assert (case.opened.version, case.opened.decision) == (2, "accepted")
        assert await store.unopened(connection, [ONE, TWO]) == {TWO}


async def test_orders_withdrawals_and_who_waits_are_facts_of_their_case(pool: Pool) -> None:
    decision = CommandDecided(command_id=uuid4(), request_id=ONE, accepted=True)
    order = Order(decision.command_id, OrderKind.RETRY, "billing")
    withdrawal = WithdrawalReceived(request_id=ONE, reason=None, received_at=NOW)
    async with pool.acquire() as connection:
        await store.await_cases(connection, [ONE])
        await store.record_withdrawals(connection, [withdrawal, withdrawal])
        await store.record_decision(connection, decision, order, NOW)
        await store.open_cases(connection, [opened(request_id=ONE), opened(request_id=TWO)])
        one, two = await store.lock_cases(connection, [ONE, TWO])
        assert await store.decided(connection, [decision.command_id, uuid4()]) == {decision.command_id: decision}
    assert (one.awaited, one.withdrawn, one.orders) == (True, True, (order,))
    assert (two.awaited, two.withdrawn, two.orders) == (False, False, ())


async def test_tasks_of_former_rounds_are_still_the_systems_own(pool: Pool) -> None:
    former, now = uuid4(), uuid4()
    past = (PastTask(task_id=former, action="hold"),)
    planned = PlannedSystem(system="billing", state="asked", action="erase", task_id=now, attempt=2, earlier=past)
    async with pool.acquire() as connection:
        await store.record_plans(connection, [PlanMade(request_id=ONE, version=1, systems=(planned,))])
        assert await store.planned_tasks(connection, [ONE]) == {ONE: {former: "billing", now: "billing"}}


async def test_orphans_wait_and_are_claimed_once(pool: Pool) -> None:
    orphan = Orphan(BILLING, "{}")
    async with pool.acquire() as first, pool.acquire() as second:
        await store.record_results(first, [result()], NOW)
        await store.record_orphans(first, [orphan, orphan], NOW)
        await store.record_orphans(first, [orphan], NOW + timedelta(days=9))
        assert await store.claim_orphans(first, NOW) == []
        async with first.transaction():
            assert await store.claim_orphans(first, NOW + timedelta(seconds=1)) == [orphan]
            assert await store.claim_orphans(second, NOW + timedelta(seconds=1)) == []
        await store.settle_orphans(first, [], [orphan.key])
        assert await store.claim_orphans(first, NOW + timedelta(days=1)) == []
        assert await store.known_results(first, [ONE]) == {}


async def test_answers_are_queued_claimed_and_finished_once(pool: Pool) -> None:
    async with pool.acquire() as first, pool.acquire() as second:
        await store.open_cases(first, [opened(request_id=ONE), opened(request_id=TWO)])
        await store.queue_assemblies(first, [ONE, TWO], NOW)
        await store.queue_assemblies(first, [ONE], NOW)
        assert await store.claim_assemblies(first, 10, NOW - timedelta(seconds=1)) == []
        async with first.transaction():
            mine = await store.claim_assemblies(first, 1, NOW)
            theirs = await store.claim_assemblies(second, 10, NOW)
        assert sorted([*mine, *theirs]) == [ONE, TWO]
        await store.postpone_assemblies(first, [TWO], NOW + timedelta(seconds=30))
        assert await store.claim_assemblies(first, 10, NOW) == [ONE]
        await store.record_answers(first, {ONE: ("object", NOW)}, [ONE])
        await store.record_answers(first, {ONE: ("another", NOW + timedelta(days=1))}, [])
        (case,) = await store.lock_cases(first, [ONE])
        assert (case.answer_object, case.answer_expires_at) == ("object", NOW)
        assert await store.claim_assemblies(first, 10, NOW + timedelta(hours=1)) == [TWO]


# Two processes at once

Step = Callable[[Connection], Awaitable[Any]]


async def in_transaction(pool: Pool, *steps: Step) -> Any:
    async with pool.acquire() as connection, connection.transaction():
        found = None
        for step in steps:
            found = await step(connection)
        return found


async def blocked(pool: Pool) -> None:
    """Until somebody waits for a lock."""
    while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        pass


@pytest.mark.parametrize("known_before", [True, False], ids=["opened", "not yet opened"])
async def test_facts_recorded_at_once_are_seen_by_whoever_decides_last(pool: Pool, known_before: bool) -> None:
    """No lost wake-up: each has recorded a fact that the other does not see yet, and then takes the case's lock."""
    if known_before:
        await in_transaction(pool, lambda connection: store.open_cases(connection, [opened(request_id=ONE)]))
    recorded = asyncio.Barrier(2)

    async def work(system: str, *, opens: bool) -> Any:
        async def both_recorded(_connection: Connection) -> None:
            await recorded.wait()

        async def open_it(connection: Connection) -> None:
            if opens:
                await store.open_cases(connection, [opened(request_id=ONE)])

        return await in_transaction(
            pool,
            lambda connection: store.record_results(connection, [result(system=system)], NOW),
            both_recorded,
            open_it,
            lambda connection: store.lock_cases(connection, [ONE]),
        )

    found = await asyncio.gather(work("billing", opens=not known_before), work("support", opens=False))
    seen = [set(case.results) for cases in found for case in cases]
    assert {task(ONE, "billing"), task(ONE, "support")} in seen


async def test_cases_are_locked_in_one_order_whatever_they_are_asked_in(pool: Pool) -> None:
    requests = [UUID(int=number) for number in range(1, 120)]

    async def work(seed: int) -> Any:
        shuffled = random.Random(seed).sample(requests, len(requests))
        return await in_transaction(
            pool,
            lambda connection: store.open_cases(connection, [opened(request_id=each) for each in shuffled]),
            lambda connection: store.record_plans(connection, [plan(each, billing="asked") for each in shuffled]),
            lambda connection: store.record_results(connection, [result(each) for each in shuffled], NOW),
            lambda connection: store.record_progress(
                connection, {AnswerKey(task(each, "billing"), "billing", each): "working" for each in shuffled}
            ),
            lambda connection: store.lock_cases(connection, shuffled),
        )

    found = await asyncio.gather(*(work(seed) for seed in range(6)))
    assert [len(cases) for cases in found] == [len(requests)] * 6
    assert [case.opened.request_id for case in found[0]] == requests


async def test_deliveries_in_opposite_orders_do_not_deadlock(pool: Pool) -> None:
    told = [
        NoticeDelivered(
            request_id=UUID(int=number),
            notice="completed",
            recipient=Recipient.REQUESTER,
            ordinal=1,
            result=DeliveryResult.ACCEPTED,
            at=NOW,
        )
        for number in range(400)
    ]
    for _ in range(5):
        await asyncio.gather(
            *(
                in_transaction(pool, lambda connection, order=order: store.record_deliveries(connection, order))
                for order in (told, told[::-1], told[200:] + told[:200])
            )
        )
        await pool.execute("DELETE FROM deliveries")


# What cannot be


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO cases (request_id, version) VALUES (gen_random_uuid(), 1)",
        "INSERT INTO cases (request_id, reference, status) VALUES (gen_random_uuid(), 'HB', '{}')",
        "INSERT INTO cases (request_id, version, status) VALUES (gen_random_uuid(), 1, '{}')",
        "INSERT INTO cases (request_id, closed_at) VALUES (gen_random_uuid(), now())",
        "INSERT INTO openings VALUES (gen_random_uuid(), 0, '{}')",
        "INSERT INTO plans VALUES (gen_random_uuid(), 0, '[]')",
        "INSERT INTO deliveries VALUES (gen_random_uuid(), 'x', 'requester', 1, 'lost', now())",
        "INSERT INTO results VALUES"
        " (gen_random_uuid(), gen_random_uuid(), 's', gen_random_uuid(), 'failed', '[]', 'p', NULL, 'x', 'k', now())",
        "INSERT INTO results (task_id, request_id, system, ce_id, outcome, summary, received_at)"
        " VALUES (gen_random_uuid(), gen_random_uuid(), 's', gen_random_uuid(), 'failed', '[]', now())",
    ],
)
async def test_impossible_states_cannot_be_stored(pool: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO orphans VALUES (gen_random_uuid(), 's', gen_random_uuid(), '{}', now())",
        "INSERT INTO assemblies VALUES (gen_random_uuid(), now())",
        "INSERT INTO answers VALUES (gen_random_uuid(), 'object', now())",
    ],
)
async def test_nothing_hangs_in_the_air(pool: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await pool.execute(statement)


async def test_hot_statements_use_indexes(pool: Pool) -> None:
    load = """
        INSERT INTO cases (request_id, reference, version, status)
        SELECT md5('r' || n)::uuid, 'HB-' || n, 1, '{"state": "in_progress"}' FROM generate_series(1, 50000) AS n;
        INSERT INTO openings SELECT request_id, 1, '{}' FROM cases;
        INSERT INTO orders SELECT request_id, request_id, 'lift', null, now() FROM cases;
        INSERT INTO decisions SELECT request_id, '{}' FROM cases;
        INSERT INTO plans SELECT request_id, 1, '[]' FROM cases;
        INSERT INTO results (task_id, request_id, system, ce_id, outcome, summary, body, received_at)
            SELECT md5('t' || n)::uuid, md5('r' || n)::uuid, 'billing', gen_random_uuid(), 'completed', '[]', '{}',
            now() FROM generate_series(1, 50000) AS n;
        INSERT INTO progressed SELECT task_id, system, request_id, 'working' FROM results;
        INSERT INTO deliveries SELECT request_id, 'completed', 'requester', 1, 'accepted', now() FROM cases;
        INSERT INTO orphans SELECT task_id, system, request_id, '{}', now() - random() * interval '1 day' FROM results;
        INSERT INTO assemblies SELECT request_id, now() - random() * interval '1 day' FROM cases;
        INSERT INTO answers SELECT request_id, 'o', now() FROM cases;
        ANALYZE;
    """
    ids = [uuid4() for _ in range(300)]
    systems = ["billing"] * len(ids)
    expected = {
        "lock": ((ids,), {"cases_pkey"}),
        "newer_statuses": ((ids, [0] * len(ids)), {"cases_pkey"}),
        "plans": ((ids,), {"plans_pkey"}),
        "known_results": ((ids,), {"results_pkey"}),
        "records": ((ids[:20],), {"results_pkey"}),
        "result_body": ((ids[0], "billing", ids[0]), {"results_pkey"}),
        "facts": (
            (ids,),
            {
                "openings_pkey",
                "plans_pkey",
                "results_pkey",
                "answers_pkey",
                "progressed_pkey",
                "deliveries_pkey",
                "orders_request",
            },
        ),
        "decided": ((ids,), {"decisions_pkey"}),
        "opened": ((ids,), {"openings_pkey"}),
        "claim_orphans": ((NOW - timedelta(days=3000),), {"orphans_since"}),
        "claim_assemblies": ((20, NOW), {"assemblies_due_at"}),
        "keep_orphans": ((ids, systems, ids), {"orphans_pkey"}),
        "drop_results": ((ids, systems, ids), {"results_pkey"}),
    }
    async with pool.acquire() as connection:
        await connection.execute(load)
        for name, (arguments, wanted) in expected.items():
            nodes = await explain(connection, store._SQL[name], *arguments)
            assert (name, scanned(nodes), indexes(nodes)) == (name, set(), wanted)
