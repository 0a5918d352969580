"""PostgreSQL for one test."""

from uuid import uuid4

import asyncpg


class a_schema:  # noqa: N801 - reads as what it gives
    """A PostgreSQL schema for one test: yields the URL of a database where it is the only one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = f"toy_{uuid4().hex}"

    async def __aenter__(self) -> str:
        await self._execute(f"create schema {self._name}")
        return f"{self._url}{'&' if '?' in self._url else '?'}search_path={self._name}"

    async def __aexit__(self, *_: object) -> None:
        await self._execute(f"drop schema {self._name} cascade")

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()
