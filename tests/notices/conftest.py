"""Notices in a schema of their own, so that no running notifier takes what a test has recorded."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from habeas.contracts import Keyring
from habeas.contracts.sealing import JsonWebKey, new_key
from operations.migrate import migrations_of
from shared.database import Pool, create_pool
from shared.events import SERVICES
from shared.registry import Registry, load_registry
from tests.notices.samples import ROOT


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_registry(ROOT / "registry" / "ale.toml")


@pytest.fixture(scope="session")
def jwk() -> dict[str, Any]:
    return new_key(SERVICES)


@pytest.fixture(scope="session")
def keyring(jwk: dict[str, Any]) -> Keyring:
    return Keyring([JsonWebKey(**jwk)])


@pytest.fixture(scope="session")
async def schema(stand: Any) -> AsyncIterator[Pool]:
    url = stand.env("operators")["HABEAS_DATABASE_URL"]
    name = f"notices_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE SCHEMA {name}; SET search_path = {name}")
    for migration in migrations_of("notifier"):
        await connection.execute(migration.sql)
    pool = await create_pool(url, schema=name, size=8)
    yield pool
    await pool.close()
    await connection.execute(f"DROP SCHEMA {name} CASCADE")
    await connection.close()


@pytest.fixture
async def pool(schema: Pool) -> Pool:
    await schema.execute("TRUNCATE notices, outbox")
    return schema
