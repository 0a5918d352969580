"""Each role sees its own schema and no other; everyone needs a password."""

import asyncpg
import pytest

from operations.stack import Stack

SERVICES = ("intake", "fanout", "collector", "notifier")


@pytest.fixture(scope="module", autouse=True)
async def tables(infrastructure: Stack) -> None:
    for name in SERVICES:
        connection = await asyncpg.connect(infrastructure.env(name)["HABEAS_DATABASE_URL"])
        await connection.execute("create table if not exists kept (answer text); insert into kept values ('mine')")
        await connection.close()


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_works_in_its_own_schema(infrastructure: Stack, name: str) -> None:
    connection = await asyncpg.connect(infrastructure.env(name)["HABEAS_DATABASE_URL"])
    try:
        assert await connection.fetchval("select current_schema()") == name
        assert await connection.fetchval("select answer from kept") == "mine"
        assert await connection.fetchval("show fsync") == "on"
        assert await connection.fetchval("show synchronous_commit") == "on"
    finally:
        await connection.close()


@pytest.mark.parametrize("name", SERVICES)
async def test_and_in_no_other(infrastructure: Stack, name: str) -> None:
    connection = await asyncpg.connect(infrastructure.env(name)["HABEAS_DATABASE_URL"])
    try:
        for other in {*SERVICES} - {name}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from {other}.kept")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"create table {other}.intruder ()")
        for place in ("public.intruder ()", "pg_catalog.intruder ()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"create table {place}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("create schema intruder")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("name", "database"),
    [("billing", "habeas"), ("intake", "billing"), ("intake", "postgres"), ("operators", "billing")],
)
async def test_a_database_of_another_is_closed(infrastructure: Stack, name: str, database: str) -> None:
    url = infrastructure.env(name)["HABEAS_DATABASE_URL"].rpartition("/")[0]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(f"{url}/{database}")


async def test_billing_has_a_database_of_its_own(infrastructure: Stack) -> None:
    connection = await asyncpg.connect(infrastructure.env("billing")["HABEAS_DATABASE_URL"])
    try:
        await connection.execute("create table accounts (id text)")
    finally:
        await connection.close()


async def test_a_wrong_password_is_refused(infrastructure: Stack) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(infrastructure.env("intake")["HABEAS_DATABASE_URL"], password="wrong")
