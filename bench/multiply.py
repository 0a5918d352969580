"""One request's rows, multiplied: a million open requests in the tables without a million requests having been made.

The columns are those of the real rows of a real request, whatever the migrations have made of them. Wherever one of its
ids or its reference stands, each copy has its own, the same in all tables; sealed parts and instants are copied as
they are.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from operations.programs import SERVICES
from services.intake.domain import reference

_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")

_CHUNK: Final = 10_000
"""Copies that are written in one transaction."""

_SIDE_BY_SIDE: Final = 2
"""Connections that write."""

_LAST_NUMBER: Final = 2**40 - 1
"""References are made from numbers below; intake begins with the lowest, the copies with the highest."""

_NOT_COPIED: Final = ("outbox", "migrations")
"""What a service's transactions leave there is gone in a moment; what was migrated is no request's."""

_COLUMNS: Final = """
SELECT relnamespace::regnamespace::text AS schema, relname::text AS table, attname::text AS column,
       format_type(atttypid, atttypmod) AS type,
       EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisunique AND attnum = ANY(indkey)) AS is_unique
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    LEFT JOIN pg_attrdef ON adrelid = pg_class.oid AND adnum = attnum
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace::regnamespace::text = ANY($1)
    AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''
    AND coalesce(pg_get_expr(adbin, adrelid), '') NOT LIKE 'nextval(%'
    AND relname <> ALL($2)
ORDER BY 1, 2, attnum
"""

_COPIES: Final = "CREATE UNLOGGED TABLE public.copies (number integer PRIMARY KEY, reference text NOT NULL)"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect = Callable[[], Awaitable[Connection]]


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str
    is_unique: bool


@dataclass(frozen=True, slots=True)
class Template:
    """The rows of one request: what is multiplied."""

    request_id: UUID
    reference: str
    rows: dict[str, int]
    """How many it has in each table, `schema.table`."""
    statements: Sequence[str]
    """Each copies the rows of one table for the copies numbered from `$1` to `$2`."""


async def template_of(connection: Connection, request_id: UUID, ref: str) -> Template:
    """The rows that name `request_id`, in all services' tables. `ref` is its reference."""
    tables: dict[str, list[_Column]] = {}
    for schema, table, column, kind, is_unique in await connection.fetch(_COLUMNS, SERVICES, _NOT_COPIED):
        tables.setdefault(f'{schema}."{table}"', []).append(_Column(column, kind, is_unique))
    rows, statements = {}, []
    for table, columns in tables.items():
        names = ", ".join(f'"{column.name}"' for column in columns)
        named = f"strpos(row (known.*)::text, '{request_id}') > 0"
        found = await connection.fetch(f"SELECT {names} FROM {table} AS known WHERE {named}")
        if found:
            rows[table.replace('"', "")] = len(found)
            values = ", ".join(_copied(column, [row[column.name] for row in found], ref) for column in columns)
            statements.append(
                f"WITH known AS MATERIALIZED (SELECT * FROM {table} AS known WHERE {named}) "
                f"INSERT INTO {table} ({names}) SELECT {values} FROM public.copies CROSS JOIN known "
                "WHERE number BETWEEN $1 AND $2"
            )
    return Template(request_id, ref, rows, statements)


async def multiply(connect: Connect, template: Template, copies: int, told: Callable[[int], None]) -> None:
    """Adds `copies` of it, and leaves the tables as if they had stood for a while: with statistics, on the disk.

    `connect` is called for each connection; `told` how many there are so far.
    """
    connections = [await connect() for _ in range(_SIDE_BY_SIDE)]
    try:
        first = connections[0]
        await first.execute(_COPIES)
        await first.copy_records_to_table(
            "copies",
            schema_name="public",
            records=((number, reference(_LAST_NUMBER - number)) for number in range(copies)),
        )
        chunks = iter(range(0, copies, _CHUNK))
        done = 0

        async def work(connection: Connection) -> None:
            nonlocal done
            # Foreign keys hold, since an id has the same copy everywhere.
            await connection.execute("SET synchronous_commit = off; SET session_replication_role = replica")
            for start in chunks:
                end = min(start + _CHUNK, copies)
                async with connection.transaction():
                    for statement in template.statements:
                        await connection.execute(statement, start, end - 1)
                done += end - start
                told(done)

        await asyncio.gather(*(work(connection) for connection in connections))
        await first.execute("DROP TABLE public.copies")
        for table in template.rows:
            await first.execute(f"VACUUM (ANALYZE) {table}")
        await first.execute("CHECKPOINT")
    finally:
        for connection in connections:
            await connection.close()


def _copied(column: _Column, values: Iterable[Any], ref: str) -> str:
    """The SQL of a column's value in a copy."""
    name = f'known."{column.name}"'
    if column.type == "uuid":
        return f"md5({name}::text || number)::uuid"
    if column.type == "bytea":
        texts = [bytes(value).decode("latin-1") for value in values if value is not None]
        if _ids(texts) or any(ref in text for text in texts):
            text = _replaced(f"convert_from({name}, 'UTF8')", texts, ref)
            return f"convert_to({text}, 'UTF8')"
        return f"sha256({name} || int4send(number))" if column.is_unique else name
    texts = [str(value) for value in values if value is not None]
    replaced = _replaced(f"{name}::text", texts, ref)
    return f"({replaced})::{column.type}" if replaced != f"{name}::text" else name


def _replaced(sql: str, texts: Sequence[str], ref: str) -> str:
    for each in _ids(texts):
        sql = f"replace({sql}, '{each}', md5('{each}' || number)::uuid::text)"
    if any(ref in text for text in texts):
        sql = f"replace({sql}, '{ref}', copies.reference)"
    return sql


def _ids(texts: Iterable[str]) -> list[str]:
    return sorted({found for text in texts for found in _UUID.findall(text)})
