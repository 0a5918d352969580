"""What the processor holds of a task's person, looked up once and remembered before anything is done."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from habeas.participant import Did, SummaryItem, Task
from systems.payments.client import Processor

PURPOSES: Mapping[str, frozenset[str]] = {
    "payment_customer": frozenset({"processing_payments"}),
    "charges": frozenset({"processing_payments"}),
    "fraud_signals": frozenset({"preventing_fraud"}),
}
"""What payments uses its categories for."""
BOOKING_YEARS = 8
"""Section 147(3) with (1) no. 4a AO as of 1 January 2025: booking vouchers, from the end of the calendar year."""


class Limit(BaseModel):
    model_config = ConfigDict(frozen=True)

    request: str
    category: str
    purpose: str
    kind: str

    def like(self, other: "Limit") -> bool:
        """The same for another request."""
        return (self.category, self.purpose, self.kind) == (other.category, other.purpose, other.kind)


class Held(BaseModel):
    """One customer's data as it was before anything was changed; counts, no content."""

    model_config = ConfigDict(frozen=True)

    customer_id: str
    customers: int = 0
    charges: dict[dt.date, int] = {}
    """How many, by the day until which they have to be kept."""
    signals: int = 0
    claimed: int = 0
    """Fraud signals that stay, since a claim about them is open."""
    limits: tuple[Limit, ...] = ()

    def count(self, category: str) -> int:
        match category:
            case "payment_customer":
                return self.customers
            case "charges":
                return sum(self.charges.values())
            case _:
                return self.signals + self.claimed

    def __bool__(self) -> bool:
        return any(self.count(category) for category in PURPOSES)


async def look(task: Task, api: Processor) -> list[Held]:
    """By customer id; those of whom nothing is held are left out."""
    found = [await _look(customer_id, api) for customer_id in dict.fromkeys(task.identity("payment_customer_id"))]
    return [held for held in found if held]


async def remembered(task: Task, api: Processor) -> list[Held]:
    """As it was before anything was done, even if the process died since."""
    return await task.once("held", list[Held], lambda: look(task, api))


def categories(task: Task) -> list[str]:
    """What the task is about, as far as payments knows of it; in its own order."""
    asked = {item.category for item in task.scope}
    return [category for category in PURPOSES if category in asked]


def item(
    category: str, did: Did, count: int, ground: str | None = None, until: dt.date | None = None
) -> list[SummaryItem]:
    return [SummaryItem(category=category, did=did, count=count, ground=ground, until=until)] if count else []


def kept_charges(found: Iterable[Held]) -> list[SummaryItem]:
    """Those that financial law has the controller keep, by the day until which."""
    counts: Counter[dt.date] = Counter()
    for held in found:
        counts.update(held.charges)
    return [
        entry
        for until, count in sorted(counts.items())
        for entry in item("charges", Did.RETAINED, count, "accounting_records", until)
    ]


async def _look(customer_id: str, api: Processor) -> Held:
    charges = Counter(
        dt.date(dt.datetime.fromisoformat(charge["at"]).year + BOOKING_YEARS, 12, 31)
        for charge in await api.charges(customer_id)
    )
    claims = Counter(bool(signal["claim_open"]) for signal in await api.fraud_signals(customer_id))
    return Held(
        customer_id=customer_id,
        customers=int(await api.customer(customer_id) is not None),
        charges=dict(charges),
        signals=claims[False],
        claimed=claims[True],
        limits=tuple(Limit.model_validate(limit) for limit in await api.limits(customer_id)),
    )
