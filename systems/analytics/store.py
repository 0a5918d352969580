"""A warehouse of Parquet files: visits by month, marketing consents, the suppression list.

    visits/<year>-<month>.parquet   consents.parquet   suppression.parquet

A change writes a new file, has it on disk, and puts it in the old one's place: a reader sees either the old or the
new, and what was erased is in no file any more. Instants are UTC.
"""

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from systems import sample

_CONSENT_TEXT = "newsletter-2023-01"

_ALL_VISITS = """
    select strftime(visited_at, '%Y-%m-%dT%H:%M:%SZ') as visited_at, account_id, visitor_id, ip, browser, page
    from read_parquet($files) order by all
"""
_VISITS = """
    select strftime(visited_at, '%Y-%m-%dT%H:%M:%SZ') as visited_at, account_id, visitor_id, ip, browser, page
    from read_parquet($files)
    where account_id in (select unnest($accounts)) or visitor_id in (select unnest($visitors))
    order by visited_at, page
"""
_MONTHS = """
    select distinct filename from read_parquet($files, filename = true)
    where account_id in (select unnest($accounts)) or visitor_id in (select unnest($visitors))
"""
# What is left of a visit tells which pages are read with what, on which day, and nobody from nobody. The order is by
# day and page, so that a row's place does not tell either.
_WITHOUT_PERSON = """
    select case when mine then date_trunc('day', visited_at) else visited_at end as visited_at,
           case when not mine then account_id end as account_id,
           case when not mine then visitor_id end as visitor_id,
           case when not mine then ip end as ip,
           case when mine then split_part(browser, ' ', 1) else browser end as browser,
           page
    from (select *, coalesce(account_id in (select unnest($accounts)), false)
                 or coalesce(visitor_id in (select unnest($visitors)), false) as mine
          from read_parquet($file))
    order by date_trunc('day', visited_at), page, hash(visited_at, ip)
"""


@dataclass(frozen=True, slots=True)
class Person:
    """By what somebody is known here."""

    accounts: tuple[str, ...]
    visitors: tuple[str, ...]

    def parameters(self) -> dict[str, list[str]]:
        # DuckDB cannot tell the type of an empty list.
        return {"accounts": list(self.accounts) or [""], "visitors": list(self.visitors) or [""]}


class Warehouse:
    """One process at a time writes. A connection of DuckDB in memory reads the files; it spills nothing to disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._visits = folder / "visits"
        self._consents = folder / "consents.parquet"
        self._suppression = folder / "suppression.parquet"
        self._db = duckdb.connect(
            config={
                "memory_limit": "128MB",
                "threads": "1",
                "temp_directory": "",
                "autoinstall_known_extensions": "false",
            }
        )
        for place in (folder, self._visits):
            place.mkdir(mode=0o700, exist_ok=True)
        for leftover in folder.rglob("*.new"):
            leftover.unlink()
        seeded = folder / "seeded"
        if not seeded.exists():
            self._seed()
            seeded.touch(mode=0o600)

    def close(self) -> None:
        self._db.close()

    def visits(self, person: Person) -> list[dict[str, Any]]:
        return self._rows(_VISITS, files=self._months(), **person.parameters())

    def all_visits(self) -> list[dict[str, Any]]:
        """What trends are made from: everybody's, the anonymous ones included."""
        return self._rows(_ALL_VISITS, files=self._months())

    def consents(self, person: Person) -> list[dict[str, Any]]:
        return self._rows(
            """select account_id, email, strftime(agreed_at, '%Y-%m-%dT%H:%M:%SZ') as agreed_at, text,
                      strftime(ended_at, '%Y-%m-%dT%H:%M:%SZ') as ended_at, restricted
               from read_parquet($file) where account_id in (select unnest($accounts)) order by account_id""",
            file=str(self._consents),
            accounts=person.parameters()["accounts"],
        )

    def suppressed(self, address_hash: str) -> bool:
        """Whether mails to that address are off."""
        found = self._rows(
            "select 1 from read_parquet($file) where address_hash = $hash",
            file=str(self._suppression),
            hash=address_hash,
        )
        return bool(found)

    def anonymize_visits(self, person: Person) -> None:
        """Rewrites the months the person visited in. Bears repeating."""
        for row in self._rows(_MONTHS, files=self._months(), **person.parameters()):
            month = row["filename"]
            self._replace(Path(month), _WITHOUT_PERSON, file=month, **person.parameters())

    def end_consents(self, person: Person, ended_at: dt.datetime) -> None:
        """Keeps who agreed to what and when, and when it ended: no address. Bears repeating."""
        self._replace(
            self._consents,
            """select account_id, case when mine then null else email end as email, agreed_at, text,
                      case when mine then coalesce(ended_at, $ended_at::timestamp) else ended_at end as ended_at,
                      restricted or mine as restricted
               from (select *, account_id in (select unnest($accounts)) as mine from read_parquet($file))
               order by account_id""",
            file=str(self._consents),
            accounts=person.parameters()["accounts"],
            ended_at=_utc(ended_at),
        )

    def suppress(self, hashes: Sequence[str], since: dt.datetime) -> None:
        """No more mails to these addresses. Bears repeating."""
        if hashes:
            self._replace(
                self._suppression,
                """select address_hash, min(since) as since from (
                       from read_parquet($file)
                       union all select unnest($hashes) as address_hash, $since::timestamp as since
                   ) group by address_hash order by address_hash""",
                file=str(self._suppression),
                hashes=list(hashes),
                since=_utc(since),
            )

    def _months(self) -> list[str]:
        return sorted(str(path) for path in self._visits.glob("*.parquet"))

    def _rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        cursor = self._db.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _replace(self, path: Path, sql: str, **parameters: Any) -> None:
        fresh = path.with_suffix(".new")
        # Uncompressed, so that grep can check what is in a file and what is not any more.
        self._db.execute(f"copy ({sql}) to '{fresh}' (format parquet, compression uncompressed)", parameters)
        _sync(fresh)
        fresh.chmod(0o600)
        fresh.replace(path)
        _sync(path.parent)

    def _seed(self) -> None:
        owners = [
            *((someone.account_id, None, someone.visits) for someone in sample.people()),
            *((None, visitor.visitor_id, visitor.visits) for visitor in sample.visitors()),
        ]
        months: dict[str, list[tuple[object, ...]]] = {}
        for account_id, visitor_id, visits in owners:
            for visit in visits:
                row = (_utc(visit.at), account_id, visitor_id, visit.ip, visit.browser, visit.page)
                months.setdefault(f"{visit.at:%Y-%m}", []).append(row)
        for month, rows in months.items():
            self._write(
                self._visits / f"{month}.parquet",
                {
                    "visited_at": "timestamp",
                    "account_id": "varchar",
                    "visitor_id": "varchar",
                    "ip": "varchar",
                    "browser": "varchar",
                    "page": "varchar",
                },
                sorted(rows, key=str),
            )
        self._write(
            self._consents,
            {
                "account_id": "varchar",
                "email": "varchar",
                "agreed_at": "timestamp",
                "text": "varchar",
                "ended_at": "timestamp",
                "restricted": "boolean",
            },
            [
                (someone.account_id, someone.email, _utc(someone.marketing_since), _CONSENT_TEXT, None, False)
                for someone in sample.people()
                if someone.marketing_since is not None
            ],
        )
        self._write(self._suppression, {"address_hash": "varchar", "since": "timestamp"}, [])

    def _write(self, path: Path, columns: dict[str, str], rows: Sequence[Sequence[object]]) -> None:
        selected = ", ".join(f"unnest(${name}::{kind}[]) as {name}" for name, kind in columns.items())
        values = {name: [row[index] for row in rows] for index, name in enumerate(columns)}
        self._replace(path, f"select {selected}", **values)


def _utc(instant: dt.datetime) -> dt.datetime:
    return instant.astimezone(dt.UTC).replace(tzinfo=None)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
