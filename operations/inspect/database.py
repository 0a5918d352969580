"""The services' tables, as operators see them: the collector's most of all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from operations.errors import EnvironmentFaultError, OperationsError
from shared.database import Connection, load_queries

SQL = load_queries(Path(__file__).with_name("queries.sql"))
SCHEMA = "collector"
TIMEOUT = 10  # seconds to connect


@asynccontextmanager
async def reading(environment: Mapping[str, str], schema: str = SCHEMA) -> AsyncIterator[Connection]:
    """A connection that reads a service's schema and can change nothing.

    Raises EnvironmentFaultError when PostgreSQL cannot be reached, OperationsError when it refuses.
    """
    async with _connected(environment, schema, read_only=True) as connection:
        yield connection


@asynccontextmanager
async def changing(environment: Mapping[str, str], schema: str) -> AsyncIterator[Connection]:
    """A connection that may change a service's tables, where operators decide something in them. Raises likewise."""
    async with _connected(environment, schema, read_only=False) as connection:
        yield connection


@asynccontextmanager
async def _connected(environment: Mapping[str, str], schema: str, *, read_only: bool) -> AsyncIterator[Connection]:
    url = environment["HABEAS_DATABASE_URL"]
    where = f"{urlsplit(url).hostname}:{urlsplit(url).port or 5432}"
    try:
        connection = await asyncpg.connect(
            url,
            timeout=TIMEOUT,
            command_timeout=35,
            server_settings={
                "application_name": "habeas-operators",
                "search_path": schema,
                "statement_timeout": "30s",
                "default_transaction_read_only": "on" if read_only else "off",
            },
        )
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
        raise EnvironmentFaultError(
            f"PostgreSQL at {where} cannot be reached ({type(error).__name__}). Is the stack up? See `habeas ps`."
        ) from None
    except asyncpg.PostgresError as error:
        raise OperationsError(
            f"PostgreSQL at {where} lets nobody in ({type(error).__name__}): check HABEAS_DATABASE_URL."
        ) from None
    try:
        yield connection
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        # PostgreSQL hides a schema from a role that may not use it, so the two look alike.
        raise OperationsError(
            f"This role sees no such tables of {schema} at {where}. Run `habeas migrate` if this version never did; "
            f"else act as a role that is a member of {schema}, as `operators` is in the local stack."
        ) from None
    except asyncpg.QueryCanceledError:
        raise OperationsError(
            "PostgreSQL took longer than 30 s: ask for less, with --right, --state or --limit."
        ) from None
    finally:
        await connection.close()
