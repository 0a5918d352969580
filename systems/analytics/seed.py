"""The demonstration's visits and consents, as files."""

from systems import sample
from systems.analytics.files import Files, utc

_CONSENT_TEXT = "newsletter-2023-01"
VISITS = {
    "visited_at": "timestamp",
    "account_id": "varchar",
    "visitor_id": "varchar",
    "ip": "varchar",
    "browser": "varchar",
    "page": "varchar",
}
_CONSENTS = {
    "account_id": "varchar",
    "email": "varchar",
    "agreed_at": "timestamp",
    "text": "varchar",
    "ended_at": "timestamp",
    "restricted": "boolean",
}
_SUPPRESSION = {"address_hash": "varchar", "since": "timestamp", "request_id": "varchar"}


def seed(files: Files) -> None:
    owners = [
        *((someone.account_id, None, someone.visits) for someone in sample.people()),
        *((None, visitor.visitor_id, visitor.visits) for visitor in sample.visitors()),
    ]
    months: dict[str, list[tuple[object, ...]]] = {}
    for account_id, visitor_id, visits in owners:
        for visit in visits:
            row = (utc(visit.at), account_id, visitor_id, visit.ip, visit.browser, visit.page)
            months.setdefault(f"{visit.at:%Y-%m}", []).append(row)
    for month, rows in months.items():
        files.write(files.folder / "visits" / f"{month}.parquet", VISITS, sorted(rows, key=str))
    files.write(
        files.folder / "consents.parquet",
        _CONSENTS,
        [
            (someone.account_id, someone.email, utc(someone.marketing_since), _CONSENT_TEXT, None, False)
            for someone in sample.people()
            if someone.marketing_since is not None
        ],
    )
    files.write(files.folder / "suppression.parquet", _SUPPRESSION, [])
