"""Payments as a participant: an adapter. What the processor did cannot be rolled back, so it is written down first."""

import datetime as dt
from collections import Counter

from pydantic import BaseModel, ConfigDict

from habeas.participant import Answer, Did, Journal, Origin, Participant, Record, SummaryItem, Task, TaskOutcome, Tuning
from systems.payments.client import Processor, processor

# Few at a time: a task is up to five calls, and the processor may be slow.
payments = Participant("payments", Journal(processor), tuning=Tuning(batch=20))

_BOOKING_YEARS = 8
"""Section 147(3) with (1) no. 4a AO as of 1 January 2025: booking vouchers, from the end of the calendar year."""

LABELS = {
    "payment_customer.brand": "Card",
    "payment_customer.last4": "Last four digits",
    "charges.at": "Time (UTC)",
    "charges.cents": "Amount in cents",
    "fraud_signals.observation": "Observation",
}


@payments.action("access")
@payments.action("export")
async def access(task: Task, api: Processor) -> Answer:
    records = []
    for customer_id in task.identity("payment_customer_id"):
        customer = await api.customer(customer_id)
        if customer is not None:
            records.append(_record("payment_customer", Origin.THIRD_PARTY, customer))
        records += [_record("charges", Origin.THIRD_PARTY, charge) for charge in await api.charges(customer_id)]
        records += [_record("fraud_signals", Origin.DERIVED, signal) for signal in await api.fraud_signals(customer_id)]
    return Answer(records=records, labels=LABELS)


class Found(BaseModel):
    """What the processor held before anything was changed."""

    model_config = ConfigDict(frozen=True)

    customers: int = 0
    charges: dict[dt.date, int] = {}
    """How many, by the day until which they have to be kept."""
    signals: int = 0
    claimed: int = 0
    """Fraud signals that stay, since a claim about them is open."""


@payments.action("erase")
async def erase(task: Task, api: Processor) -> Answer:
    """Detaches the customer and drops the fraud signals. Charges stay, as financial law wants, with nobody behind."""
    customers = task.identity("payment_customer_id")

    async def look() -> Found:
        known = 0
        charges: Counter[dt.date] = Counter()
        signals: Counter[bool] = Counter()
        for customer_id in customers:
            known += await api.customer(customer_id) is not None
            for charge in await api.charges(customer_id):
                charges[dt.date(dt.datetime.fromisoformat(charge["at"]).year + _BOOKING_YEARS, 12, 31)] += 1
            for signal in await api.fraud_signals(customer_id):
                signals[bool(signal["claim_open"])] += 1
        return Found(customers=known, charges=dict(charges), signals=signals[False], claimed=signals[True])

    found = await task.once("found", Found, look)
    for customer_id in customers:
        key = f"{task.request_id}/{customer_id}"
        await api.detach(customer_id, key)
        await api.drop_fraud_signals(customer_id, key)
    counted = [
        SummaryItem(category="payment_customer", did=Did.DETACHED, count=found.customers),
        *(
            SummaryItem(category="charges", did=Did.RETAINED, count=count, ground="accounting_records", until=until)
            for until, count in sorted(found.charges.items())
        ),
        SummaryItem(category="fraud_signals", did=Did.DELETED, count=found.signals),
        SummaryItem(category="fraud_signals", did=Did.RETAINED, count=found.claimed, ground="legal_claims"),
    ]
    return Answer(
        summary=[item for item in counted if item.count],
        outcome=TaskOutcome.PARTIAL if found.claimed else None,
    )


def main() -> None:
    payments.run()


def _record(category: str, origin: Origin, row: dict[str, object]) -> Record:
    return Record(id=str(row["id"]), category=category, origin=origin, source="Payment processor", data=row)
