"""Visits, in a Parquet file a month: visits/<year>-<month>.parquet."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from systems.analytics.files import Files, utc
from systems.analytics.limits import PURPOSES, Kind, Limits
from systems.analytics.people import NOBODY, Person, behind
from systems.analytics.seed import VISITS
from systems.keyed_hash import KeyedHash

_ALL_VISITS = """
    select strftime(visited_at, '%Y-%m-%dT%H:%M:%SZ') as visited_at, account_id, visitor_id, ip, browser, page
    from read_parquet($files) order by all
"""
_THEIRS = "(account_id in (select unnest($accounts)) or visitor_id in (select unnest($visitors)))"
_VISITS = f"""
    select strftime(visited_at, '%Y-%m-%dT%H:%M:%SZ') as visited_at, account_id, visitor_id, ip, browser, page
    from read_parquet($files) where {_THEIRS} order by visited_at, page
"""  # noqa: S608 - words of our own
_OLD = f"""(visited_at < $before and (account_id is not null or visitor_id is not null)
            and not coalesce({_THEIRS}, false))"""
# What is left of a visit tells which pages are read with what, on which day, and nobody from nobody. The order is by
# day and page, so that a row's place does not tell either.
_WITHOUT_PERSON = """
    select case when mine then date_trunc('day', visited_at) else visited_at end as visited_at,
           case when not mine then account_id end as account_id,
           case when not mine then visitor_id end as visitor_id,
           case when not mine then ip end as ip,
           case when mine then split_part(browser, ' ', 1) else browser end as browser,
           page
    from (select *, coalesce({mine}, false) as mine from read_parquet($file))
    order by date_trunc('day', visited_at), page, hash(visited_at, ip)
"""


@dataclass(frozen=True, slots=True)
class NewVisit:
    """One page read, by an account or by a cookie. `at` is aware."""

    at: dt.datetime
    page: str
    browser: str
    ip: str = field(repr=False)
    account_id: str | None = field(default=None, repr=False)
    visitor_id: str | None = field(default=None, repr=False)


class Visits:
    def __init__(self, files: Files, limits: Limits, keyed: KeyedHash) -> None:
        self._files = files
        self._limits = limits
        self._hash = keyed
        self._folder = files.folder / "visits"

    def of(self, person: Person) -> list[dict[str, Any]]:
        return self._files.rows(_VISITS, files=self._months(), **person.parameters())

    def everybody_s(self) -> list[dict[str, Any]]:
        """What trends are made from: everybody's, the anonymous ones included."""
        return self._files.rows(_ALL_VISITS, files=self._months())

    def report(self, purpose: str) -> dict[str, int]:
        """Visits per page, without those of people who do not have them used for that purpose."""
        left_out = self._people(self._limits.refusing("visits", purpose))
        rows = self._files.rows(
            f"""select page, count(*) as visits from read_parquet($files) where not coalesce({_THEIRS}, false)
                group by page order by page""",  # noqa: S608 - words of our own
            files=self._months(),
            **left_out.parameters(),
        )
        return {row["page"]: row["visits"] for row in rows}

    def record(self, visit: NewVisit) -> Kind | None:
        """Keeps it and returns None; or says why not, where none of the purposes of visits may be pursued."""
        subjects = [self._hash.of(value) for value in (visit.account_id, visit.visitor_id) if value is not None]
        path = self._folder / f"{utc(visit.at):%Y-%m}.parquet"
        with self._files.changing():
            refusals = [self._limits.why_not(subjects, "visits", purpose) for purpose in PURPOSES["visits"]]
            if all(refusals):
                return refusals[0]
            if not path.exists():
                self._files.write(path, VISITS, [])
            self._files.replace(
                path,
                """select visited_at, account_id, visitor_id, ip, browser, page from read_parquet($file)
                   union all
                   select $at::timestamp, $account::varchar, $visitor::varchar, $ip::varchar, $browser::varchar,
                          $page::varchar
                   order by date_trunc('day', visited_at), page, hash(visited_at, ip)""",
                file=str(path),
                at=utc(visit.at),
                account=visit.account_id,
                visitor=visit.visitor_id,
                ip=visit.ip,
                browser=visit.browser,
                page=visit.page,
            )
        return None

    def anonymize(self, person: Person) -> None:
        """Rewrites the months the person visited in. Bears repeating."""
        self._anonymize(_THEIRS, person.parameters())

    def anonymize_old(self, before: dt.date, today: dt.date) -> int:
        """Of everybody but those who have them restricted, or held for a request. Returns how many there were."""
        kept = self._people(self._limits.resting("visits", today))
        return self._anonymize(_OLD, {"before": before, **kept.parameters()})

    def _anonymize(self, mine: str, parameters: Mapping[str, Any]) -> int:
        with self._files.changing():
            months = self._files.rows(
                f"""select filename, count(*) as visits from read_parquet($files, filename = true)
                    where {mine} group by filename""",  # noqa: S608 - words of our own
                files=self._months(),
                **parameters,
            )
            for month in months:
                name = month["filename"]
                self._files.replace(Path(name), _WITHOUT_PERSON.format(mine=mine), file=name, **parameters)
        return sum(month["visits"] for month in months)

    def _people(self, subjects: Collection[str]) -> Person:
        """Those of these hashes who have visits here."""
        if not subjects:
            return NOBODY
        ids = self._files.rows("select distinct account_id, visitor_id from read_parquet($files)", files=self._months())
        accounts, visitors = ({row[name] for row in ids} - {None} for name in ("account_id", "visitor_id"))
        return behind(subjects, accounts, visitors, self._hash)

    def _months(self) -> list[str]:
        return sorted(str(path) for path in self._folder.glob("*.parquet"))
