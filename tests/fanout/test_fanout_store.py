"""Fan-out's tables on real PostgreSQL."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.fanout import store
from services.fanout.domain import make_plan
from services.fanout.store import Finding, GivenTask, Request, SavedPlan
from shared.database import Connection, Pool
from tests.core.plans import explain, indexes, scanned
from tests.core.workbench import NOW, REGISTRY
from tests.stack_database import Database

ONE, TWO = UUID(int=1), UUID(int=2)
PLAN = make_plan(REGISTRY, "erasure", "eu-gdpr", {"email"}, received_at=NOW, due_at=NOW)  # type: ignore[arg-type]


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("fanout")


def request(request_id: UUID = ONE, **members: Any) -> Request:
    return replace(Request(request_id, "erasure", "eu-gdpr", NOW, NOW, "sealed"), **members)


def given(request_id: UUID = ONE, system: str = "billing", attempt: int = 1) -> GivenTask:
    return GivenTask(uuid4(), request_id, system, attempt, NOW)


async def test_the_first_opening_counts(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await store.open_requests(connection, [request(), request()])
        await store.open_requests(connection, [request(right="access", personal="other")])
        (case,) = await store.lock_cases(connection, [ONE])
    assert (case.request, case.plan, case.plan_version, case.findings) == (request(), None, 0, ())


async def test_findings_before_the_request_are_there_when_it_comes(pool: Pool) -> None:
    finding = Finding(ONE, ("billing",), "found")
    async with pool.acquire() as connection:
        await store.record_findings(connection, [finding, finding, Finding(ONE, ("billing", "support"), "more")])
        await store.record_findings(connection, [Finding(ONE, ("billing",), "again")])
        assert await store.lock_cases(connection, [ONE]) == []
        await store.open_requests(connection, [request()])
        (case,) = await store.lock_cases(connection, [ONE])
    assert {(each.systems, each.personal) for each in case.findings} == {
        (("billing",), "found"),
        (("billing", "support"), "more"),
    }


async def test_a_plan_survives_the_table(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await store.open_requests(connection, [request(), request(TWO)])
        await store.save(connection, [SavedPlan(ONE, PLAN, 1)], [given(), given(system="support"), given(attempt=2)])
        await store.save(connection, [], [])
        one, two = await store.lock_cases(connection, [TWO, ONE])
    assert (one.plan, one.plan_version, two.plan) == (PLAN, 1, None)


async def test_a_task_is_given_once(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await store.open_requests(connection, [request()])
        await store.save(connection, [], [given()])
        with pytest.raises(asyncpg.UniqueViolationError):
            await store.save(connection, [], [given()])
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await store.save(connection, [], [given(TWO)])


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO requests (request_id, \"right\") VALUES (gen_random_uuid(), 'erasure')",
        "INSERT INTO requests (request_id, plan, plan_version) VALUES (gen_random_uuid(), '{}', 1)",
        "INSERT INTO requests (request_id, plan_version) VALUES (gen_random_uuid(), 1)",
        "INSERT INTO findings VALUES (gen_random_uuid(), '{}', 'sealed')",
    ],
)
async def test_impossible_states_cannot_be_stored(pool: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(statement)


Step = Callable[[Connection], Awaitable[Any]]


async def in_transaction(pool: Pool, *steps: Step) -> Any:
    async with pool.acquire() as connection, connection.transaction():
        found = None
        for step in steps:
            found = await step(connection)
        return found


async def test_findings_recorded_at_once_are_seen_by_whoever_decides_last(pool: Pool) -> None:
    """No lost wake-up: each records a fact that the other does not see yet, then takes the row's lock."""
    await in_transaction(pool, lambda connection: store.open_requests(connection, [request()]))
    recorded = asyncio.Barrier(2)

    async def both(_connection: Connection) -> None:
        await recorded.wait()

    async def work(system: str) -> Any:
        return await in_transaction(
            pool,
            lambda connection: store.record_findings(connection, [Finding(ONE, (system,), "sealed")]),
            both,
            lambda connection: store.lock_cases(connection, [ONE]),
        )

    found = await asyncio.gather(work("billing"), work("support"))
    assert max(len(case.findings) for cases in found for case in cases) == 2


async def test_rows_are_locked_in_one_order_whatever_they_are_asked_in(pool: Pool) -> None:
    requests = [UUID(int=number) for number in range(1, 120)]

    async def work(seed: int) -> Any:
        shuffled = random.Random(seed).sample(requests, len(requests))
        return await in_transaction(
            pool,
            lambda connection: store.open_requests(connection, [request(each) for each in shuffled]),
            lambda connection: store.record_findings(connection, [Finding(each, ("a",), "s") for each in shuffled]),
            lambda connection: store.lock_cases(connection, shuffled),
        )

    found = await asyncio.gather(*(work(seed) for seed in range(6)))
    assert [[case.request.request_id for case in cases] for cases in found] == [requests] * 6


async def test_hot_statements_use_indexes(pool: Pool) -> None:
    ids = [uuid4() for _ in range(300)]
    async with pool.acquire() as connection:
        await connection.execute(
            """
            INSERT INTO requests (request_id, "right", regulation, received_at, due_at, personal)
            SELECT gen_random_uuid(), 'erasure', 'eu-gdpr', now(), now(), repeat('s', 900)
            FROM generate_series(1, 50000);
            INSERT INTO findings SELECT request_id, '{billing}', repeat('s', 600) FROM requests;
            ANALYZE;
            """
        )
        for name, wanted in (("lock", {"requests_pkey"}), ("findings", {"findings_pkey"})):
            nodes = await explain(connection, store._SQL[name], ids)
            assert (name, scanned(nodes), indexes(nodes)) == (name, set(), wanted)
