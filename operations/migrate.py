"""Create and upgrade the services' schemas.

A service's migrations are those every service has (`shared/messaging/migrations`: outbox and the like) and its own
(`services/<name>/migrations`), each a file `NNNN_name.sql`, run once, in that order, in a transaction of its own, as
the service's role, with `search_path` on its schema. What was run stands in `<schema>.migrations` with a checksum: a
file that was changed afterwards is an error, because no two databases would then be alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from operations.errors import OperationsError
from operations.programs import SERVICES

REPOSITORY = Path(__file__).resolve().parents[1]
NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
ADVISORY_LOCK = 0x6861_6265_6173  # "habeas": one migration at a time in a database


class MigrationError(OperationsError):
    """A migration cannot be applied. `schema` and `file` say which."""

    def __init__(self, schema: str, file: str, why: str) -> None:
        self.schema, self.file = schema, file
        super().__init__(f"Migration {file} of schema {schema}: {why}")


@dataclass(frozen=True, slots=True)
class Migration:
    name: str  # "messaging/0001_outbox.sql" or "intake/0001_requests.sql"
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_of(service: str, repository: Path = REPOSITORY) -> list[Migration]:
    """Return the service's migrations in the order in which they are run. Raises MigrationError for a misnamed file."""
    found = []
    for owner, folder in (("messaging", repository / "shared/messaging"), (service, repository / "services" / service)):
        for path in sorted((folder / "migrations").glob("*.sql")):
            if not NAME.fullmatch(path.name):
                raise MigrationError(service, path.name, "call it NNNN_name.sql, four digits and a lower-case name")
            found.append(Migration(f"{owner}/{path.name}", path.read_text()))
    return found


async def migrate(
    database_url: str, services: Sequence[str] = SERVICES, repository: Path = REPOSITORY
) -> dict[str, list[str]]:
    """Bring each service's schema up to date; return what was run, by service.

    `database_url` is of a role that is a member of the services' roles and may create schemas. Raises MigrationError.
    """
    pending = {service: migrations_of(service, repository) for service in services}
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("select pg_advisory_lock($1)", ADVISORY_LOCK)
        return {service: await _migrate(connection, service, files) for service, files in pending.items()}
    finally:
        await connection.close()  # which also releases the lock


async def _migrate(connection: asyncpg.Connection, service: str, migrations: Sequence[Migration]) -> list[str]:
    """Service names are identifiers of ours, never input: they may stand in the SQL as they are."""
    await connection.execute(f"create schema if not exists {service} authorization {service}")
    await connection.execute(f"set role {service}; set search_path = {service}")
    try:
        await connection.execute(
            f"""
            create table if not exists {service}.migrations (
                name text primary key,
                checksum text not null,
                applied_at timestamptz not null default now()
            )
            """
        )
        rows = await connection.fetch(f"select name, checksum from {service}.migrations")  # noqa: S608
        applied = {row["name"]: row["checksum"] for row in rows}
        done = []
        for migration in migrations:
            if migration.name in applied:
                if applied[migration.name] != migration.checksum:
                    raise MigrationError(
                        service,
                        migration.name,
                        "was changed after it was run. Put it back, and say what is new in a new file.",
                    )
                continue
            await _run(connection, service, migration)
            done.append(migration.name)
        return done
    finally:
        await connection.execute("reset role; reset search_path")


async def _run(connection: asyncpg.Connection, service: str, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                f"insert into {service}.migrations (name, checksum) values ($1, $2)",  # noqa: S608
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        line = _line_of(error, migration.sql)
        raise MigrationError(service, migration.name, f"{error}{line}. Nothing of this file was kept.") from error


def _line_of(error: asyncpg.PostgresError, sql: str) -> str:
    position = getattr(error, "position", None)
    return f" (line {sql.count(chr(10), 0, int(position)) + 1})" if position else ""
