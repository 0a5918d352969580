"""Analytics as a participant: visits lose their people, consents become mere proof, addresses a hash."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from habeas.participant import (
    Answer,
    Did,
    Journal,
    Origin,
    Participant,
    Record,
    SummaryItem,
    Task,
    data_folder,
)
from systems.analytics.store import Person, Warehouse
from systems.keyed_hash import KeyedHash

_LIMITATION_YEARS = 3
"""Sections 195, 199(1) BGB: claims about an unwanted message lapse three years after the end of the year."""


@asynccontextmanager
async def warehouse() -> AsyncIterator[Warehouse]:
    opened = await asyncio.to_thread(Warehouse, data_folder() / "warehouse")
    try:
        yield opened
    finally:
        opened.close()


analytics = Participant("analytics", Journal(warehouse))

LABELS = {
    "visits.visited_at": "Time (UTC)",
    "visits.ip": "IP address",
    "marketing_preference.agreed_at": "Agreed to marketing messages (UTC)",
    "marketing_preference.ended_at": "Ended (UTC)",
    "marketing_preference.text": "Wording agreed to",
}


@analytics.action("access")
@analytics.action("export")
async def access(task: Task, store: Warehouse) -> Answer:
    person = _person(task)
    visits = await asyncio.to_thread(store.visits, person)
    consents = await asyncio.to_thread(store.consents, person)
    return Answer(
        records=[
            *(
                Record(id=f"visit-{number}", category="visits", origin=Origin.OBSERVED, data=_present(visit))
                for number, visit in enumerate(visits, 1)
            ),
            *(
                Record(
                    id=f"consent-{consent['account_id']}",
                    category="marketing_preference",
                    origin=Origin.PROVIDED,
                    data=_present(consent),
                )
                for consent in consents
            ),
        ],
        labels=LABELS,
    )


@dataclass(frozen=True, slots=True)
class Found:
    """What there was before anything was changed, and what will be kept until when."""

    visits: int
    consents: int
    address_hashes: list[str] = field(repr=False)
    at: dt.datetime
    kept_until: dt.date


@analytics.action("erase")
async def erase(task: Task, store: Warehouse) -> Answer:
    """Files know no transactions: what is found is written down first, then the files are rewritten."""
    person = _person(task)

    async def look() -> Found:
        visits = await asyncio.to_thread(store.visits, person)
        consents = await asyncio.to_thread(store.consents, person)
        now = dt.datetime.now(dt.UTC)
        return Found(
            visits=len(visits),
            consents=len(consents),
            address_hashes=[_hash().of(consent["email"]) for consent in consents if consent["email"]],
            at=now,
            kept_until=dt.date(now.year + _LIMITATION_YEARS, 12, 31),
        )

    found = await task.once("found", Found, look)
    if found.visits:
        await asyncio.to_thread(store.anonymize_visits, person)
    if found.consents:
        await asyncio.to_thread(store.suppress, found.address_hashes, found.at)
        await asyncio.to_thread(store.end_consents, person, found.at)
    summary = []
    if found.visits:
        summary.append(SummaryItem(category="visits", did=Did.ANONYMIZED, count=found.visits))
    if found.consents:
        summary.append(
            SummaryItem(
                category="marketing_preference",
                did=Did.RETAINED,
                count=found.consents,
                ground="proof_of_consent",
                until=found.kept_until,
            )
        )
    if found.address_hashes:
        summary.append(
            SummaryItem(category="marketing_preference", did=Did.SUPPRESSED, count=len(found.address_hashes))
        )
    return Answer(summary=summary)


def main() -> None:
    analytics.run()


def _hash() -> KeyedHash:
    return KeyedHash(data_folder())


def _person(task: Task) -> Person:
    return Person(accounts=task.identity("account_id"), visitors=task.identity("visitor_id"))


def _present(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if value is not None}
