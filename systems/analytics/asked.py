"""What a task asks for, and what there was of it before anything was changed."""

import asyncio
import datetime as dt
from collections import Counter
from dataclasses import dataclass, field

from habeas.participant import Action, Did, SummaryItem, Task
from systems.analytics.limits import PURPOSES
from systems.analytics.marketing import kept_until
from systems.analytics.people import Person
from systems.analytics.store import Warehouse


@dataclass(frozen=True, slots=True)
class Consent:
    """One record of a consent, and until when it is kept as proof where it ends now or has ended."""

    until: dt.date
    address_hash: str | None = field(repr=False)
    """None where the consent has ended, and the hash stands on the suppression list already."""


@dataclass(frozen=True, slots=True)
class Found:
    at: dt.datetime
    visits: int
    consents: list[Consent]

    def count(self, category: str) -> int:
        return {"visits": self.visits, "marketing_preference": len(self.consents)}[category]

    def proofs(self) -> list[SummaryItem]:
        """The consents as what is kept of them once they have ended."""
        return [
            SummaryItem(
                category="marketing_preference", did=Did.RETAINED, count=count, ground="proof_of_consent", until=until
            )
            for until, count in sorted(Counter(consent.until for consent in self.consents).items())
        ]

    def suppressed(self) -> list[SummaryItem]:
        return item("marketing_preference", Did.SUPPRESSED, len(self.consents))

    def addresses(self) -> list[str]:
        return [consent.address_hash for consent in self.consents if consent.address_hash is not None]


def scope(task: Task) -> dict[str, tuple[str, ...]]:
    """The purposes of each category that the task is about; all of them where it names none."""
    asked: dict[str, tuple[str, ...]] = {}
    for each in task.scope:
        if each.category in PURPOSES:
            asked[each.category] = asked.get(each.category, ()) + (each.purposes or PURPOSES[each.category])
    return asked


def person(task: Task) -> Person:
    return Person(
        accounts=tuple(dict.fromkeys(task.identity("account_id"))),
        visitors=tuple(dict.fromkeys(task.identity("visitor_id"))),
    )


async def find(task: Task, store: Warehouse) -> Found:
    """Written down before anything is done: files know no transactions.

    Any task but a further hold ends the hold of its request.
    """
    asked, who = scope(task), person(task)

    def look() -> Found:
        now = dt.datetime.now(dt.UTC)
        consents = store.marketing.consents(who) if "marketing_preference" in asked else []
        return Found(
            at=now,
            visits=len(store.visits.of(who)) if "visits" in asked else 0,
            consents=[
                Consent(
                    kept_until(dt.date.fromisoformat((consent["ended_at"] or now.isoformat())[:10])),
                    store.hash.of(consent["email"]) if consent["email"] else None,
                )
                for consent in consents
            ],
        )

    found = await task.once(f"found:{','.join(sorted(asked))}", Found, lambda: asyncio.to_thread(look))
    if task.action != Action.HOLD:
        await asyncio.to_thread(store.limits.release, task.request_id)
    return found


def item(category: str, did: Did, count: int) -> list[SummaryItem]:
    """Nothing is no item."""
    return [SummaryItem(category=category, did=did, count=count)] if count else []
