"""PostgreSQL: one pool per service, and SQL by name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


Queries = Mapping[str, str]


def load_queries(path: Path) -> Queries:
    """The statements of a `queries.sql`, each under its line `-- name: <name>`.

    Raises ValueError on a name given twice.
    """
    _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
    statements = {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
    if len(statements) * 2 != len(parts):
        raise ValueError(f"{path}: every statement needs a name of its own")
    return statements


async def create_pool(dsn: str, *, schema: str, size: int = 4) -> Pool:
    """A pool whose connections see `schema` alone and give up on a statement after 30 s."""
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        command_timeout=35,
        # A timer of a statement would hold on to the batch in which it was prepared, through the context of the time.
        max_cached_statement_lifetime=0,
        server_settings={
            "application_name": f"habeas-{schema}",
            "search_path": schema,
            "statement_timeout": "30s",
            # A process that was stopped inside a transaction must not hold its locks for ever; a worker may wait for
            # Kafka or the object store inside one for fifteen seconds.
            "idle_in_transaction_session_timeout": "90s",
        },
    )
