"""What people have asked for and analytics' own code has to heed: restrictions, objections, holds.

People stand here under a keyed hash of their account or cookie, as addresses do on the suppression list: so an
objection outlives the erasure of what it was about, and says nothing about whose it is. A limit belongs to the request
that set it: lifting one request's leaves another's in force.
"""

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from systems.analytics.files import Files, utc

PURPOSES = {
    "visits": ("trends", "improving_the_service", "diagnosis"),
    "marketing_preference": ("marketing_messages",),
}
"""What analytics uses each category for."""


class Kind(StrEnum):
    RESTRICTED = "restricted"
    """GDPR Art. 18: kept, and nothing else is done with it."""
    OBJECTED = "objected"
    """GDPR Art. 21: no more processing for the purpose."""
    WITHDRAWN = "withdrawn"
    """GDPR Art. 7(3): likewise, and only new consent changes that."""
    HELD = "held"
    """Not deleted by schedule while a request is open."""


_COLUMNS = {
    "subject": "varchar",
    "category": "varchar",
    "purpose": "varchar",
    "kind": "varchar",
    "request_id": "varchar",
    "since": "timestamp",
    "until": "date",
}


@dataclass(frozen=True, slots=True)
class Liftable:
    imposed: list[Kind]
    ending: list[Kind]
    """Of these, what no other limit of the kind keeps in force."""


class Limits:
    """limits.parquet. Every change bears repeating."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._path = files.folder / "limits.parquet"
        if not self._path.exists():
            files.write(self._path, _COLUMNS, [])

    def impose(
        self,
        subjects: Iterable[str],
        category: str,
        purposes: Iterable[str],
        kind: Kind,
        request_id: UUID,
        since: dt.datetime,
        until: dt.date | None = None,
    ) -> None:
        """`until` is a hold's last day (UTC); a later one takes the earlier one's place."""
        subjects, purposes = list(subjects), list(purposes)
        self._files.replace(
            self._path,
            """select subject, category, purpose, kind, request_id, min(since) as since, max(until) as until from (
                   from read_parquet($file)
                   union all
                   select s.subject, $category, p.purpose, $kind, $request, $since::timestamp, $until::date
                   from (select unnest($subjects::varchar[]) as subject) s
                   cross join (select unnest($purposes::varchar[]) as purpose) p
               ) group by subject, category, purpose, kind, request_id order by all""",
            file=str(self._path),
            subjects=subjects,
            purposes=purposes,
            category=category,
            kind=kind,
            request=str(request_id),
            since=utc(since),
            until=until,
        )

    def liftable(self, request_id: UUID, category: str, purposes: Collection[str]) -> Liftable:
        """What this request restricted or objected to for these purposes."""
        rows = self._files.rows(
            """with l as (
                   select *, request_id = $request and purpose in (select unnest($purposes::varchar[])) as mine
                   from read_parquet($file) where category = $category and kind in ('restricted', 'objected')
               )
               select kind, bool_or(not exists (
                          select 1 from l other
                          where not other.mine and other.subject = l.subject and other.kind = l.kind
                            and (other.kind = 'restricted' or other.purpose = l.purpose)
                      )) as free
               from l where mine group by kind order by kind""",
            file=str(self._path),
            request=str(request_id),
            category=category,
            purposes=list(purposes),
        )
        return Liftable([Kind(row["kind"]) for row in rows], [Kind(row["kind"]) for row in rows if row["free"]])

    def lift(self, request_id: UUID, category: str, purposes: Collection[str]) -> None:
        """Ends it. What was withdrawn stays so: consent is the person's to give."""
        self._files.replace(
            self._path,
            """from read_parquet($file)
               where not (request_id = $request and category = $category
                          and purpose in (select unnest($purposes::varchar[])) and kind in ('restricted', 'objected'))
               order by all""",
            file=str(self._path),
            request=str(request_id),
            category=category,
            purposes=list(purposes),
        )

    def release(self, request_id: UUID) -> None:
        """Ends the request's holds: what they waited for has come."""
        if self._files.rows(
            "select 1 from read_parquet($file) where kind = 'held' and request_id = $request limit 1",
            file=str(self._path),
            request=str(request_id),
        ):
            self._files.replace(
                self._path,
                "from read_parquet($file) where not (kind = 'held' and request_id = $request) order by all",
                file=str(self._path),
                request=str(request_id),
            )

    def forget(self, subjects: Iterable[str], category: str) -> None:
        """For records that are there no more. Objections stay: they are about what comes, too."""
        self._files.replace(
            self._path,
            """from read_parquet($file)
               where not (subject in (select unnest($subjects::varchar[])) and category = $category
                          and kind in ('restricted', 'held'))
               order by all""",
            file=str(self._path),
            subjects=list(subjects),
            category=category,
        )

    def expire(self, today: dt.date) -> None:
        """Drops the holds whose last day has passed."""
        self._files.replace(
            self._path,
            "from read_parquet($file) where until is null or until >= $today order by all",
            file=str(self._path),
            today=today,
        )

    def refusing(self, category: str, purpose: str) -> dict[str, Kind]:
        """Whose records may not be used for that purpose, and why.

        While a category is restricted for any purpose, it rests for all of them.
        """
        rows = self._files.rows(
            """select subject, kind from read_parquet($file)
               where category = $category
                 and (kind = 'restricted' or (kind in ('objected', 'withdrawn') and purpose = $purpose))
               order by kind = 'restricted', kind = 'objected', kind""",
            file=str(self._path),
            category=category,
            purpose=purpose,
        )
        return {row["subject"]: Kind(row["kind"]) for row in rows}

    def resting(self, category: str, today: dt.date) -> set[str]:
        """Whose records scheduled deletion leaves alone: restricted (GDPR Art. 18(2)) or held."""
        rows = self._files.rows(
            """select distinct subject from read_parquet($file)
               where category = $category and (kind = 'restricted' or (kind = 'held' and until >= $today))""",
            file=str(self._path),
            category=category,
            today=today,
        )
        return {row["subject"] for row in rows}

    def why_not(self, subjects: Collection[str], category: str, purpose: str) -> Kind | None:
        """Why records of the people of these hashes may not be used for that purpose; None where they may."""
        refusing = self.refusing(category, purpose)
        return next((refusing[subject] for subject in subjects if subject in refusing), None)
