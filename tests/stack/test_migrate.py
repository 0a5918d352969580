"""Migrations run once, in order, as the service's role; a changed or failing file stops them."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from operations.migrate import MigrationError, migrate
from operations.stack import Stack


@pytest.fixture
async def database(infrastructure: Stack) -> AsyncIterator[str]:
    """An empty database in which `operators` may create schemas."""
    root = await asyncpg.connect(infrastructure.superuser_url())
    await root.execute("create database elsewhere")
    await root.execute("grant create on database elsewhere to operators")
    yield infrastructure.env("operators")["HABEAS_DATABASE_URL"].replace("/habeas", "/elsewhere")
    await root.execute("drop database elsewhere with (force)")
    await root.close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    put(tmp_path, "shared/messaging/migrations/0001_outbox.sql", "create table outbox (id int)")
    put(tmp_path, "services/intake/migrations/0001_requests.sql", "create table requests (id int);")
    return tmp_path


def put(repository: Path, name: str, sql: str) -> None:
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(sql)


async def test_once_and_in_order(database: str, repository: Path) -> None:
    assert await migrate(database, ["intake"], repository) == {
        "intake": ["messaging/0001_outbox.sql", "intake/0001_requests.sql"]
    }
    put(repository, "services/intake/migrations/0002_more.sql", "alter table requests add name text")
    assert await migrate(database, ["intake"], repository) == {"intake": ["intake/0002_more.sql"]}
    assert await migrate(database, ["intake", "fanout"], repository) == {
        "intake": [],
        "fanout": ["messaging/0001_outbox.sql"],
    }
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "select schemaname, tablename, tableowner from pg_tables where tableowner <> 'postgres'"
    )
    await connection.close()
    assert {tuple(row) for row in rows} == {
        *(("intake", table, "intake") for table in ("outbox", "requests", "migrations")),
        *(("fanout", table, "fanout") for table in ("outbox", "migrations")),
    }


async def test_a_file_that_was_changed(database: str, repository: Path) -> None:
    await migrate(database, ["intake"], repository)
    put(repository, "services/intake/migrations/0001_requests.sql", "create table requests (id bigint)")
    with pytest.raises(MigrationError, match="was changed") as caught:
        await migrate(database, ["intake"], repository)
    assert (caught.value.schema, caught.value.file) == ("intake", "intake/0001_requests.sql")


async def test_a_file_that_fails_is_undone_and_named_with_its_line(database: str, repository: Path) -> None:
    put(repository, "services/intake/migrations/0002_bad.sql", "create table half (id int);\n\ncreate tabel other ();")
    with pytest.raises(MigrationError, match=r"0002_bad.sql.*line 3"):
        await migrate(database, ["intake"], repository)
    put(repository, "services/intake/migrations/0002_bad.sql", "create table half (id int)")
    assert await migrate(database, ["intake"], repository) == {"intake": ["intake/0002_bad.sql"]}


async def test_a_file_may_not_reach_another_schema(database: str, repository: Path) -> None:
    put(repository, "services/intake/migrations/0002_reach.sql", "create table fanout.mine (id int)")
    with pytest.raises(MigrationError, match="permission denied"):
        await migrate(database, ["fanout", "intake"], repository)


async def test_a_misnamed_file(database: str, repository: Path) -> None:
    put(repository, "services/intake/migrations/2_more.sql", "")
    with pytest.raises(MigrationError, match=r"NNNN_name\.sql"):
        await migrate(database, ["intake"], repository)
