"""`habeas requests` and `habeas status`, against the collector's real tables."""

import asyncio
import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from habeas.contracts.status import StatusReason
from operations.inspect.cases import COUNTED, Wanted
from operations.inspect.database import SQL
from shared.database import Pool
from tests.core.plans import explain, indexes, scanned
from tests.operators.casefile import NOW, due_on, file, file_history, file_unheard, status
from tests.operators.keyboard import Said, habeas
from tests.stack_database import Database


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("collector")


async def ask(database: Database, *arguments: str, **environment: str) -> Said:
    """As the operators, whose role may read what the collector's may."""
    run = partial(habeas, *arguments, HABEAS_DATABASE_URL=database.url("operators"), **environment)
    return await asyncio.to_thread(run)


async def listed(database: Database, *arguments: str) -> list[int]:
    """The numbers of the requests that are listed, in that order."""
    said = await ask(database, "requests", "--json", *arguments)
    assert said.code == 0, said
    return [int(each["request_id"].replace("-", ""), 16) for each in json.loads(said.out)["requests"]]


@pytest.fixture
async def filed(pool: Pool) -> None:
    days = {number: due_on(NOW + timedelta(days=number)) for number in range(-3, 32)}
    await file(
        pool,
        [
            status(1, days[30]),
            status(2, days[10], right="access"),
            status(3, days[20], state="in_review", reason=StatusReason(code="system_failed")),
            status(4, days[-2]),
            status(5, days[15], overdue=True),
            status(6, None, state="triage", right="unclassified", regulation=None),
            status(7, days[-3], state="closed", outcome="completed", since=NOW - timedelta(days=2)),
            status(8, days[30], state="closed", outcome="refused", since=NOW, overdue=True),
        ],
    )


@pytest.mark.usefixtures("filed")
async def test_the_open_ones_soonest_due_first(database: Database) -> None:
    assert await listed(database) == [4, 2, 5, 3, 1, 6]
    assert await listed(database, "--all") == [4, 2, 5, 3, 1, 6, 8, 7]
    assert await listed(database, "--all", "--limit", "7") == [4, 2, 5, 3, 1, 6, 8]
    assert await listed(database, "--limit", "2") == [4, 2]


@pytest.mark.usefixtures("filed")
async def test_narrowed(database: Database) -> None:
    assert await listed(database, "--overdue") == [4, 5]
    assert await listed(database, "--overdue", "--all") == [4, 5, 8]
    assert await listed(database, "--state", "in_review") == [3]
    assert await listed(database, "--state", "closed") == [8, 7]
    assert await listed(database, "--right", "access") == [2]
    assert await listed(database, "--right", "access", "--state", "triage") == []


@pytest.mark.usefixtures("filed")
async def test_due_before_a_day_leaves_out_what_is_due_on_it(database: Database) -> None:
    day = (NOW + timedelta(days=15)).date()
    assert await listed(database, "--due-before", day.isoformat()) == [4, 2]
    assert await listed(database, "--due-before", (day + timedelta(days=1)).isoformat()) == [4, 2, 5]


@pytest.mark.usefixtures("filed")
async def test_for_a_person(database: Database) -> None:
    said = await ask(database, "requests")
    assert said.code == 0
    lines = said.out.splitlines()
    assert "6 of 6 open requests." in lines[-1]
    assert "overdue" in lines[1]
    assert "10 d" in lines[2] or "9 d" in lines[2]
    assert "in_review" in lines[4]
    assert "1/1" in lines[4]
    assert lines[5].strip() == "system_failed"
    assert "triage" in lines[7]
    narrow = await ask(database, "requests", "--all", COLUMNS="80")
    assert "…" not in narrow.out
    assert "2 of 6 open requests. `--limit` shows more." in (await ask(database, "requests", "--limit", "2")).out
    assert "No open request is like that." in (await ask(database, "requests", "--right", "portability")).out


@pytest.mark.usefixtures("filed")
async def test_for_a_program(database: Database) -> None:
    answer = json.loads((await ask(database, "requests", "--overdue", "--json")).out)
    assert (answer["shown"], answer["total"], answer["counted_all"]) == (2, 2, True)
    assert [each["overdue"] for each in answer["requests"]] == [True, True]


async def test_an_empty_case_file(database: Database) -> None:
    said = await ask(database, "requests")
    assert (said.code, said.out.strip()) == (0, "There is no open request.")


async def test_no_table_is_read_from_end_to_end(pool: Pool) -> None:
    """With twenty thousand cases, a hundredth of them open."""
    load = """
        INSERT INTO cases (request_id, version, reference, due_at, closed_at, status)
        SELECT gen_random_uuid(), 1, 'HB-' || number, due_at,
            CASE WHEN number % 100 > 0 THEN now() - number * interval '1 minute' END,
            json_build_object(
                'state', CASE WHEN number % 100 = 0 THEN 'in_progress' ELSE 'closed' END,
                'right', 'access', 'overdue', false, 'due', json_build_object('on', due_at::date))
        FROM generate_series(1, 20000) AS number, LATERAL (SELECT now() + number * interval '1 minute') AS due (due_at);
        INSERT INTO openings SELECT request_id, 1, '{}' FROM cases ON CONFLICT DO NOTHING;
    """
    late, narrow, closed = (
        Wanted(NOW, overdue=True),
        Wanted(NOW, due_before=NOW.date(), right="access", state="triage"),
        Wanted(NOW, closed_too=True),
    )
    expected: dict[str, tuple[list[tuple[Any, ...]], set[str]]] = {
        "open_requests": ([(*each.open_arguments(), 50) for each in (late, narrow, closed)], {"cases_open_due"}),
        "count_open": ([(*each.open_arguments(), COUNTED + 1) for each in (late, narrow)], {"cases_open_due"}),
        "closed_requests": ([(*closed.closed_arguments(), 50)], {"cases_closed_since"}),
        "count_closed": ([(*closed.closed_arguments(), COUNTED + 1)], {"cases_closed_since"}),
        "case_by_id": ([(status(1).request_id,)], {"cases_pkey", "openings_pkey"}),
        "case_by_reference": ([("HB-77",)], {"cases_reference", "openings_pkey"}),
    }
    await file_unheard(pool, status(1))
    async with pool.acquire() as connection:
        await connection.execute(load)
        await connection.execute("ANALYZE")
        for name, (calls, wanted) in expected.items():
            for arguments in calls:
                nodes = await explain(connection, SQL[name], *arguments)
                assert (name, arguments, scanned(nodes), indexes(nodes)) == (name, arguments, set(), wanted)


async def test_one_request(database: Database, pool: Pool) -> None:
    said = status(1, due_on(NOW), state="in_review", reason=StatusReason(code="system_failed", ground=None))
    await file_history(pool, said)
    careless = said.reference.lower().replace("-", " ").replace("0", "o")
    for named in (str(said.request_id), said.reference, careless):
        shown = await ask(database, "status", named)
        assert shown.code == 0
        assert said.reference in shown.out
        assert "GDPR Art. 12(3): 1 month [of 31 days]." in shown.out
        assert "12 invoices deleted" in shown.out
        assert "acknowledged" in shown.out
        assert "bounced" in shown.out
        assert "sealed" not in shown.out
    answer = json.loads((await ask(database, "status", said.reference, "--json")).out)
    assert answer["status"]["state"] == "in_review"
    assert [(each["system"], each["action"], each["current"], each["outcome"]) for each in answer["tasks"]] == [
        ("billing", "hold", False, "completed"),
        ("billing", "erase", True, "completed"),
        ("support", "erase", True, None),
    ]
    assert [each["notice"] for each in answer["told"]] == ["acknowledged", "dpo_review"]
    assert "personal" not in json.dumps(answer)


async def test_one_that_has_no_status_yet(database: Database, pool: Pool) -> None:
    await file_unheard(pool, status(1))
    shown = await ask(database, "status", str(status(1).request_id))
    assert shown.code == 0
    assert "no status yet" in shown.out
    assert json.loads((await ask(database, "status", str(status(1).request_id), "--json")).out)["status"] is None


@pytest.mark.parametrize("named", ["HB-7K3M-Q2P9", "00000000-0000-4000-8000-000000000000"])
async def test_an_unknown_one_is_told_with_advice(database: Database, named: str) -> None:
    said = await ask(database, "status", named)
    assert said.code == 1
    assert f"There is no request {named}" in said.words
    assert "habeas dead-letters list" in said.words


def test_what_names_no_request_is_a_usage_error() -> None:
    assert habeas("status", "what?").code == 2
    assert habeas("requests", "--due-before", "tomorrow", HABEAS_DATABASE_URL="postgresql://x").code == 2
    assert habeas("requests", "--state", "lost").code == 2


@pytest.mark.parametrize("arguments", [("requests",), ("status", "HB-7K3M-Q2P9")])
def test_without_a_database_it_says_what_to_do(arguments: tuple[str, ...]) -> None:
    said = habeas(*arguments, HABEAS_DATABASE_URL="postgresql://operators:secret@127.0.0.1:1/habeas")
    assert said.code == 3
    assert "127.0.0.1:1" in said.err
    assert "secret" not in said.err


async def test_a_database_without_the_schema(database: Database) -> None:
    import asyncpg

    root = await asyncpg.connect(database.superuser_url)
    await root.execute("DROP SCHEMA collector CASCADE")
    await root.close()
    said = await ask(database, "requests")
    assert said.code == 1
    assert "habeas migrate" in said.err


async def test_a_role_that_may_not_read(database: Database) -> None:
    for arguments in (("requests",), ("status", "HB-7K3M-Q2P9")):
        said = await asyncio.to_thread(partial(habeas, *arguments, HABEAS_DATABASE_URL=database.url("intake")))
        assert said.code == 1
        assert "member of collector" in said.err
