"""What the collector knows by heart, and what its tables took over from before."""

from pathlib import Path
from uuid import UUID

import pytest
from pydantic import TypeAdapter

import services.collector
from services.collector import store
from services.collector.memo import Memo
from services.collector.writing import as_json
from shared.database import Pool
from shared.events import PlannedSystem
from tests.collector.samples import item, opened, plan
from tests.collector.test_collector_store import result, saved
from tests.stack_database import Database

ONE = UUID(int=1)
MIGRATIONS = sorted((Path(services.collector.__file__).parent / "migrations").glob("*.sql"))


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("collector")


def test_what_is_known_is_not_read_again_and_the_oldest_is_forgotten() -> None:
    read: list[str] = []

    def reading(text: str) -> str:
        read.append(text)
        return text.upper()

    one, two, three = (UUID(int=number) for number in (1, 2, 3))
    memo = Memo(reading, 2)
    memo.note(one, "a", "A")
    assert [memo(*each) for each in ((one, "a"), (two, "b"), (one, "a"), (two, "b"))] == ["A", "B", "A", "B"]
    assert read == ["b"]
    assert (memo(one, "c"), memo(one, "a")) == ("C", "A")  # the last alone
    assert (memo(three, "d"), memo(one, "a"), memo(two, "b")) == ("D", "A", "B")
    assert read == ["b", "c", "a", "d", "b"]


async def test_a_status_that_was_rolled_back_was_never_said(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await store.open_cases(connection, [opened(request_id=ONE)])
        await store.save(connection, [saved(ONE, 1)])
        transaction = connection.transaction()
        await transaction.start()
        await store.save(connection, [saved(ONE, 2, "in_review")])
        await transaction.rollback()
        (case,) = await store.lock_cases(connection, [ONE])
    assert case.status == saved(ONE, 1).status


async def test_cases_from_before_keep_what_is_known_of_them(pool: Pool) -> None:
    """Requests opened, closed and only heard of are taken over by the last migration."""
    request = opened(request_id=ONE)
    closed = saved(ONE, 3, "closed").status
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL search_path = pg_temp")
        for each in MIGRATIONS[:3]:
            await connection.execute(each.read_text())
        await connection.execute(
            "INSERT INTO cases (request_id, opened_version, opened, version, status) VALUES ($1, 1, $2, 3, $3)",
            ONE,
            request.model_dump_json(exclude={"audience", "reachable"}),
            closed.model_dump_json(),
        )
        await connection.execute("INSERT INTO cases (request_id, awaited) VALUES ($1, true)", UUID(int=2))
        known = result()
        await connection.execute(
            "INSERT INTO results VALUES ($1, $2, 'billing', $3, 'completed', '[]', 'p', NULL, $4, 'k', now())",
            known.key.task_id,
            ONE,
            known.ce_id,
            bytes(32),
        )
        for each in MIGRATIONS[3:]:
            await connection.execute(each.read_text())
        (case,) = await store.lock_cases(connection, [ONE, UUID(int=2)])
        columns = await connection.fetchrow("SELECT reference, due_at, closed_at FROM cases WHERE request_id = $1", ONE)
    assert request.due is not None
    assert case.opened == request.model_copy(update={"audience": None, "reachable": None})
    assert (case.status, set(case.results)) == (closed, {known.key.task_id})
    assert columns is not None
    assert tuple(columns) == (request.reference, request.due.at, closed.since)


def test_what_is_written_is_what_pydantic_writes() -> None:
    """Else what one wrote oneself would be read again, and a portal would meet two spellings."""
    request, planned = opened(request_id=ONE), plan(ONE, 1, billing="asked").systems
    for each in (request, saved(ONE).status, item(), *planned):
        assert as_json(each) == each.model_dump_json()
    assert as_json(planned) == TypeAdapter(tuple[PlannedSystem, ...]).dump_json(planned).decode()
