"""Fan-out's tables on real PostgreSQL."""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from habeas.contracts.vocabulary import Right
from services.fanout import store
from services.fanout.domain import Planner
from services.fanout.plan import Facts, Plan
from services.fanout.store import Finding, PersonKey, Request, SavedPlan
from shared.database import Connection, Pool
from tests.core.plans import explain, indexes, scanned
from tests.core.workbench import NOW, REGISTRY

ONE, TWO = UUID(int=1), UUID(int=2)
PLAN = Planner(REGISTRY).plan(Right.ERASURE, "eu-gdpr", Facts(frozenset({"email"})))


async def opened(
    connection: Connection, *requests: Request, plans: Mapping[UUID, Plan] | None = None
) -> frozenset[UUID]:
    """Those that are new; unless told otherwise without a plan."""
    fresh, planned = await store.open_requests(connection, requests, plans or {})
    assert planned <= fresh
    return fresh


def request(request_id: UUID = ONE, **members: Any) -> Request:
    return replace(Request(request_id, "erasure", "eu-gdpr", NOW, NOW, "sealed"), **members)


async def test_the_first_opening_counts(pool: Pool) -> None:
    async with pool.acquire() as connection:
        assert await opened(connection, request(), request()) == {ONE}
        assert await opened(connection, request(right="access", personal="other")) == set()
        (case,) = await store.lock_cases(connection, [ONE])
    assert (case.request, case.plan, case.plan_version, case.findings) == (request(), None, 0, ())


async def test_findings_before_the_request_are_there_when_it_comes(pool: Pool) -> None:
    finding = Finding(ONE, ("billing",), "found")
    async with pool.acquire() as connection:
        await store.record_findings(connection, [finding, finding, Finding(ONE, ("billing", "support"), "more")])
        await store.record_findings(connection, [Finding(ONE, ("billing",), "again")])
        assert await store.lock_cases(connection, [ONE]) == []
        await opened(connection, request())
        (case,) = await store.lock_cases(connection, [ONE])
    assert {(each.systems, each.personal) for each in case.findings} == {
        (("billing",), "found"),
        (("billing", "support"), "more"),
    }


async def test_a_plan_survives_the_table(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await opened(connection, request(), request(TWO))
        await store.save(connection, [SavedPlan(ONE, PLAN, 1)])
        await store.save(connection, [])
        one, two = await store.lock_cases(connection, [TWO, ONE])
    assert (one.plan, one.plan_version, two.plan) == (PLAN, 1, None)


async def test_what_nothing_is_known_of_is_opened_with_its_plan(pool: Pool) -> None:
    known, heard_of, again = UUID(int=3), UUID(int=4), UUID(int=5)
    ids = [ONE, TWO, known, heard_of, again]
    async with pool.acquire() as connection:
        await opened(connection, request(again))
        await store.record_findings(connection, [Finding(known, ("billing",), "found")])
        assert await store.lock_cases(connection, [known]) == []
        await store.hear_of(connection, {heard_of: False})
        fresh, planned = await store.open_requests(
            connection, [request(each) for each in ids], {each: PLAN for each in ids if each != TWO}
        )
        cases = await store.lock_cases(connection, ids)
    assert (set(fresh), set(planned)) == ({ONE, TWO, known, heard_of}, {ONE})
    plans = {case.request.request_id: (case.plan, case.plan_version) for case in cases}
    assert plans == dict.fromkeys(ids, (None, 0)) | {ONE: (PLAN, 1)}


async def test_a_finding_that_crosses_the_opening_is_seen_with_the_plan_or_before_it(pool: Pool) -> None:
    """Whoever comes second waits for the first, and finds what it has left."""
    for number in range(20):
        request_id = UUID(int=300 + number)
        both = asyncio.Barrier(2)
        opens, finds = (
            functools.partial(opens_planned, request_id, both),
            functools.partial(finds_early, request_id, both),
        )
        planned, seen = await asyncio.gather(in_transaction(pool, opens), in_transaction(pool, finds))
        assert planned is bool(seen), "a plan that was made without the finding is seen with it"


async def opens_planned(request_id: UUID, both: asyncio.Barrier, connection: Connection) -> bool:
    await both.wait()
    _, planned = await store.open_requests(connection, [request(request_id)], {request_id: PLAN})
    return request_id in planned


async def finds_early(request_id: UUID, both: asyncio.Barrier, connection: Connection) -> list[Plan | None]:
    await store.record_findings(connection, [Finding(request_id, ("billing",), "found")])
    await both.wait()
    return [case.plan for case in await store.lock_cases(connection, [request_id])]


async def test_many_requests_share_a_plan_that_is_stored_once(pool: Pool) -> None:
    requests = [UUID(int=number) for number in range(1, 50)]

    async def work(some: list[UUID]) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await opened(connection, *(request(each) for each in some), plans=dict.fromkeys(some, PLAN))

    await asyncio.gather(*(work(requests[start::3]) for start in range(3)))
    assert await pool.fetchval("SELECT count(*) FROM plans") == 1
    assert await pool.fetchval("SELECT count(*) FROM requests WHERE plan_version = 1") == len(requests)


async def test_who_waits_is_found_by_whom_they_wait_for_until_that_is_collected(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await opened(connection, request())
        await store.wait(connection, [(ONE, TWO), (ONE, TWO)], NOW)
        (case,) = await store.lock_cases(connection, [ONE])
        assert case.waits == (False,)
        assert await store.stir(connection, [TWO]) == {ONE}
        await store.collect(connection, [TWO])
        (case,) = await store.lock_cases(connection, [ONE])
        assert case.waits == ()
        assert await store.stir(connection, [TWO]) == set()


async def test_in_a_circle_the_lowest_goes_first(pool: Pool) -> None:
    three = UUID(int=3)
    async with pool.acquire() as connection:
        await opened(connection, request(), request(TWO), request(three))
        await store.wait(connection, [(ONE, TWO), (TWO, three), (three, ONE)], NOW)
        cases = await store.lock_cases(connection, [ONE, TWO, three])
    assert [len(case.waits) for case in cases] == [0, 1, 1]


async def test_one_nobody_hears_of_is_missed_once_until_it_comes(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await opened(connection, request(), request(UUID(int=3)))
        await store.wait(connection, [(ONE, TWO), (UUID(int=3), ONE)], NOW)
        assert await store.miss(connection, NOW) == set()
        assert await store.miss(connection, NOW + timedelta(seconds=1)) == {ONE}  # the other one's is known
        assert await store.miss(connection, NOW + timedelta(seconds=1)) == set()
        (case,) = await store.lock_cases(connection, [ONE])
        assert case.waits == (True,)
        await store.hear_of(connection, {TWO: False})
        assert await store.stir(connection, [TWO]) == {ONE}
        (case,) = await store.lock_cases(connection, [ONE])
        assert case.waits == (False,)


async def test_copies_of_the_same_person_are_waited_for_if_they_came_before(pool: Pool) -> None:
    ana, ben = b"a" * 32, b"b" * 32
    erasure = UUID(int=9)
    async with pool.acquire() as connection:
        copies = [
            PersonKey(ana, UUID(int=2), NOW),
            PersonKey(ben, UUID(int=3), NOW),
            PersonKey(ana, UUID(int=4), NOW + timedelta(seconds=1)),
            PersonKey(ana, UUID(int=5), NOW - timedelta(days=1)),
        ]
        await store.remember_people(connection, copies)
        await store.collect(connection, [UUID(int=5)])
        asking = [PersonKey(ana, erasure, NOW), PersonKey(b"c" * 32, erasure, NOW), PersonKey(ana, UUID(int=2), NOW)]
        assert await store.copies_ahead(connection, asking) == {(erasure, UUID(int=2))}


async def test_the_one_or_the_other_sees_that_it_may_go_on(pool: Pool) -> None:
    """No lost wake-up between a request that begins to wait and the end of what it waits for."""
    for number in range(20):
        waiting, first = UUID(int=100 + number), UUID(int=200 + number)
        async with pool.acquire() as connection:
            await opened(connection, request(waiting))
        both = asyncio.Barrier(2)
        begin, end = functools.partial(begins, waiting, first, both), functools.partial(ends, first, both)
        assert any(await asyncio.gather(in_transaction(pool, begin), in_transaction(pool, end)))


async def begins(waiting: UUID, first: UUID, both: asyncio.Barrier, connection: Connection) -> bool:
    await store.wait(connection, [(waiting, first)], NOW)
    await both.wait()
    (case,) = await store.lock_cases(connection, [waiting])
    return case.waits == ()


async def ends(first: UUID, both: asyncio.Barrier, connection: Connection) -> bool:
    await both.wait()
    await store.collect(connection, [first])
    cases = await store.lock_cases(connection, await store.stir(connection, [first]))
    return [case.waits for case in cases] == [()]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO requests (request_id, \"right\") VALUES (gen_random_uuid(), 'erasure')",
        "INSERT INTO requests (request_id, plan_id, plan_version) VALUES (gen_random_uuid(), gen_random_uuid(), 1)",
        "INSERT INTO requests (request_id, plan_version) VALUES (gen_random_uuid(), 1)",
        "INSERT INTO findings VALUES (gen_random_uuid(), '{}', 'sealed')",
        "INSERT INTO waits SELECT id, id, now() FROM gen_random_uuid() AS id",
        "INSERT INTO people VALUES ('ana@example.org', gen_random_uuid(), now())",
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
    await in_transaction(pool, lambda connection: opened(connection, request()))
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
            lambda connection: opened(connection, *(request(each) for each in shuffled)),
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
            INSERT INTO additions SELECT request_id, gen_random_uuid(), repeat('s', 600) FROM requests;
            INSERT INTO orders SELECT request_id, gen_random_uuid(), '{billing}', null, '{}' FROM requests;
            INSERT INTO waits SELECT request_id, gen_random_uuid(), now() FROM requests;
            INSERT INTO people SELECT sha256(request_id::text::bytea), request_id, now() FROM requests;
            ANALYZE;
            """
        )
        hashes = [bytes(32)] * 50
        for name, arguments in (
            ("lock", (ids,)),
            ("facts", (ids,)),
            ("end_waits", (ids,)),
            ("stir", (ids, ids)),
            ("forget_people", (ids,)),
            ("copies", (hashes,)),
            ("miss", (NOW,)),
        ):
            nodes = await explain(connection, store._SQL[name], *arguments)
            assert (name, scanned(nodes)) == (name, set())
            assert indexes(nodes), name
