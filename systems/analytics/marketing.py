"""Marketing consents and the suppression list: consents.parquet, suppression.parquet."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from systems.analytics.files import Files, utc
from systems.analytics.limits import Limits
from systems.analytics.people import NOBODY, Person, behind
from systems.keyed_hash import KeyedHash

_LIMITATION_YEARS = 3
"""Sections 195, 199(1) BGB: claims about an unwanted message lapse three years after the end of the year."""


def kept_until(ended: dt.date) -> dt.date:
    """The last day a consent that ended then is kept as proof."""
    return dt.date(ended.year + _LIMITATION_YEARS, 12, 31)


class Marketing:
    def __init__(self, files: Files, limits: Limits, keyed: KeyedHash) -> None:
        self._files = files
        self._limits = limits
        self._hash = keyed
        self._consents = files.folder / "consents.parquet"
        self._suppression = files.folder / "suppression.parquet"

    def consents(self, person: Person) -> list[dict[str, Any]]:
        return self._files.rows(
            """select account_id, email, strftime(agreed_at, '%Y-%m-%dT%H:%M:%SZ') as agreed_at, text,
                      strftime(ended_at, '%Y-%m-%dT%H:%M:%SZ') as ended_at, restricted
               from read_parquet($file) where account_id in (select unnest($accounts)) order by account_id""",
            file=str(self._consents),
            accounts=person.parameters()["accounts"],
        )

    def accounts_of(self, email: str) -> tuple[str, ...]:
        """Whose consents are for that address."""
        rows = self._files.rows(
            "select account_id from read_parquet($file) where lower(email) = lower(trim($email)) order by account_id",
            file=str(self._consents),
            email=email,
        )
        return tuple(row["account_id"] for row in rows)

    def end(self, person: Person, ended_at: dt.datetime) -> None:
        """Keeps who agreed to what and when, and when it ended: no address. Bears repeating."""
        self._files.replace(
            self._consents,
            """select account_id, case when mine then null else email end as email, agreed_at, text,
                      case when mine then coalesce(ended_at, $ended_at::timestamp) else ended_at end as ended_at,
                      restricted or mine as restricted
               from (select *, account_id in (select unnest($accounts)) as mine from read_parquet($file))
               order by account_id""",
            file=str(self._consents),
            accounts=person.parameters()["accounts"],
            ended_at=utc(ended_at),
        )

    def readdress(self, addresses: Mapping[str, str]) -> None:
        """Corrects addresses, by account. Bears repeating."""
        self._files.replace(
            self._consents,
            """select c.account_id, coalesce(a.email, c.email) as email, agreed_at, text, ended_at, restricted
               from read_parquet($file) c
               left join (select unnest($accounts::varchar[]) as account_id, unnest($emails::varchar[]) as email) a
                 on a.account_id = c.account_id and c.ended_at is null
               order by c.account_id""",
            file=str(self._consents),
            accounts=list(addresses),
            emails=list(addresses.values()),
        )

    def delete_old(self, today: dt.date) -> int:
        """Proofs that no claim can need any more. Returns how many there were."""
        kept = self._people(self._limits.resting("marketing_preference", today))
        old = """(ended_at is not null and year(ended_at) + $years < year($today::date)
                  and account_id not in (select unnest($accounts)))"""
        parameters = {
            "file": str(self._consents),
            "years": _LIMITATION_YEARS,
            "today": today,
            "accounts": kept.parameters()["accounts"],
        }
        with self._files.changing():
            found = self._files.rows(f"select 1 from read_parquet($file) where {old}", **parameters)  # noqa: S608
            if found:
                self._files.replace(
                    self._consents,
                    f"from read_parquet($file) where not coalesce({old}, false) order by account_id",
                    **parameters,
                )
        return len(found)

    def suppressed(self, address_hash: str) -> bool:
        """Whether mails to that address are off."""
        found = self._files.rows(
            "select 1 from read_parquet($file) where address_hash = $hash",
            file=str(self._suppression),
            hash=address_hash,
        )
        return bool(found)

    def suppress(self, hashes: Sequence[str], since: dt.datetime, request_id: UUID) -> None:
        """No more mails to these addresses. Bears repeating."""
        if hashes:
            self._files.replace(
                self._suppression,
                """select address_hash, min(since) as since, request_id from (
                       from read_parquet($file)
                       union all
                       select unnest($hashes) as address_hash, $since::timestamp as since, $request as request_id
                   ) group by address_hash, request_id order by all""",
                file=str(self._suppression),
                hashes=list(hashes),
                since=utc(since),
                request=str(request_id),
            )

    def unsuppress(self, request_id: UUID) -> None:
        """Ends what this request suppressed. Bears repeating."""
        self._files.replace(
            self._suppression,
            "from read_parquet($file) where request_id <> $request order by all",
            file=str(self._suppression),
            request=str(request_id),
        )

    def follow_address(self, old: str, new: str) -> None:
        """What is suppressed under one hash is so under the other as well. Bears repeating."""
        self._files.replace(
            self._suppression,
            """select address_hash, min(since) as since, request_id from (
                   from read_parquet($file)
                   union all
                   select $new::varchar, since, request_id from read_parquet($file) where address_hash = $old
               ) group by address_hash, request_id order by all""",
            file=str(self._suppression),
            old=old,
            new=new,
        )

    def _people(self, subjects: Collection[str]) -> Person:
        """Those of these hashes who have a consent here."""
        if not subjects:
            return NOBODY
        ids = self._files.rows("select distinct account_id from read_parquet($file)", file=str(self._consents))
        return behind(subjects, (row["account_id"] for row in ids), (), self._hash)
