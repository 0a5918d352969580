"""Analytics as a participant: visits lose their people, consents become mere proof, addresses a hash."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from habeas.participant import (
    Answer,
    Did,
    Journal,
    Origin,
    Participant,
    Record,
    SummaryItem,
    Task,
    TaskOutcome,
    data_folder,
    identity,
)
from systems.analytics import asked, limiting, recipients, rectifying
from systems.analytics.asked import Found
from systems.analytics.store import Warehouse


@asynccontextmanager
async def warehouse() -> AsyncIterator[Warehouse]:
    opened = await asyncio.to_thread(Warehouse, data_folder() / "warehouse")
    try:
        yield opened
    finally:
        opened.close()


analytics = Participant("analytics", Journal(warehouse))
analytics.action("rectify")(rectifying.rectify)
analytics.action("restrict")(limiting.restrict)
analytics.action("unrestrict")(limiting.unrestrict)
analytics.action("object")(limiting.stop)
analytics.action("hold")(limiting.hold)
analytics.cancelled("hold")(limiting.over)

LABELS = {
    "visits.visited_at": "Time (UTC)",
    "visits.ip": "IP address",
    "marketing_preference.agreed_at": "Agreed to marketing messages (UTC)",
    "marketing_preference.ended_at": "Ended (UTC)",
    "marketing_preference.text": "Wording agreed to",
}


@analytics.action("locate")
async def locate(task: Task, store: Warehouse) -> Answer:
    """The identifiers that something is kept under; no records."""
    who = asked.person(task)
    visits = await asyncio.to_thread(store.visits.of, who)
    consents = await asyncio.to_thread(store.marketing.consents, who)
    known = {row.get(name) for row in (*visits, *consents) for name in ("account_id", "visitor_id")}
    found = [
        *(identity("account_id", value) for value in who.accounts if value in known),
        *(identity("visitor_id", value) for value in who.visitors if value in known),
    ]
    return Answer(identities=found, outcome=TaskOutcome.COMPLETED if found else None)


@analytics.action("access")
@analytics.action("export")
async def access(task: Task, store: Warehouse) -> Answer:
    """All of it was provided or observed, so portability (GDPR Art. 20(1)) reaches the same."""
    await asyncio.to_thread(store.limits.release, task.request_id)
    who, scope = asked.person(task), asked.scope(task)
    visits = await asyncio.to_thread(store.visits.of, who) if "visits" in scope else []
    consents = await asyncio.to_thread(store.marketing.consents, who) if "marketing_preference" in scope else []
    return Answer(
        records=[
            *(
                Record(id=f"visit-{number}", category="visits", origin=Origin.OBSERVED, data=_present(visit))
                for number, visit in enumerate(visits, 1)
                if _inside(task, dt.datetime.fromisoformat(visit["visited_at"]))
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


@analytics.action("erase")
async def erase(task: Task, store: Warehouse) -> Answer:
    """Files know no transactions: what is found is written down first, then the files are rewritten."""
    found = await asked.find(task, store)
    return Answer(summary=await asyncio.to_thread(_erase, task, store, found))


def _erase(task: Task, store: Warehouse, found: Found) -> list[SummaryItem]:
    who = asked.person(task)
    subjects = who.subjects(store.hash)
    summary = []
    if found.visits:
        store.visits.anonymize(who)
        store.limits.forget(subjects, "visits")
        summary += asked.item("visits", Did.ANONYMIZED, found.visits)
    if found.consents:
        store.marketing.suppress(found.addresses(), found.at, task.request_id)
        store.marketing.end(who, found.at)
        summary += found.proofs() + found.suppressed()
    for category in asked.scope(task):
        if found.count(category):
            told = recipients.tell(store, task, category, subjects, found.at)
            summary += asked.item(category, Did.RECIPIENTS_NOTIFIED, told)
    return summary


def main() -> None:
    analytics.run()


def _inside(task: Task, at: dt.datetime) -> bool:
    """A consent has no time of its own in this sense: it stands, or has ended. Visits have."""
    period = task.period
    if period is None:
        return True
    return (period.start is None or at >= period.start) and (period.end is None or at < period.end)


def _present(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
