"""Payments as a participant: an adapter. What the processor did cannot be rolled back, so it is written down first."""

import datetime as dt

from habeas.participant import Answer, Did, Journal, Origin, Participant, Record, Task, TaskOutcome, Tuning, identity
from systems.payments import limiting, rectifying
from systems.payments.client import Processor, processor
from systems.payments.held import categories, item, kept_charges, look, remembered

# Few at a time: a task is up to ten calls, and the processor may be slow.
payments = Participant("payments", Journal(processor), tuning=Tuning(batch=20))
payments.action("rectify")(rectifying.rectify)
payments.action("restrict")(limiting.restrict)
payments.action("unrestrict")(limiting.unrestrict)
payments.action("object")(limiting.object_)
payments.action("hold")(limiting.hold)
payments.cancelled("hold")(limiting.over)

LABELS = {
    "payment_customer.brand": "Card",
    "payment_customer.last4": "Last four digits",
    "charges.at": "Time (UTC)",
    "charges.cents": "Amount in cents",
    "fraud_signals.at": "Time (UTC)",
    "fraud_signals.observation": "Observation",
}


@payments.action("locate")
async def locate(task: Task, api: Processor) -> Answer:
    """Identifiers alone."""
    found = await look(task, api)
    return Answer(identities=[identity("payment_customer_id", held.customer_id) for held in found])


@payments.action("access")
async def access(task: Task, api: Processor) -> Answer:
    scope = categories(task)
    records = []
    for customer_id in dict.fromkeys(task.identity("payment_customer_id")):
        if "payment_customer" in scope:
            customer = await api.customer(customer_id)
            if customer is not None:
                records.append(_record("payment_customer", Origin.THIRD_PARTY, customer))
        if "charges" in scope:
            charges = [charge for charge in await api.charges(customer_id) if _inside(charge["at"], task)]
            records += [_record("charges", Origin.THIRD_PARTY, charge) for charge in charges]
        if "fraud_signals" in scope:
            signals = [signal for signal in await api.fraud_signals(customer_id) if _inside(signal["at"], task)]
            records += [_record("fraud_signals", Origin.DERIVED, signal) for signal in signals]
    if records:
        await limiting.release(task, api, task.identity("payment_customer_id"))
    return Answer(records=records, labels=LABELS)


@payments.action("export")
async def export(task: Task, api: Processor) -> Answer:  # noqa: ARG001 - what an action's function gets
    """Nothing: all of this comes from the processor or is derived, none of it from the person (GDPR Art. 20(1))."""
    return Answer.nothing_held()


@payments.action("erase")
async def erase(task: Task, api: Processor) -> Answer:
    """Detaches the customer and drops the fraud signals. Charges stay, as financial law wants, with nobody behind."""
    scope = categories(task)
    found = await remembered(task, api)
    for held in found:
        key = f"{task.request_id}/{held.customer_id}"
        if "payment_customer" in scope:
            await api.detach(held.customer_id, key)
        if "fraud_signals" in scope:
            await api.drop_fraud_signals(held.customer_id, key)
    await limiting.release(task, api, [held.customer_id for held in found])
    summary = []
    if "payment_customer" in scope:
        summary += item("payment_customer", Did.DETACHED, sum(held.customers for held in found))
    if "charges" in scope:
        summary += kept_charges(found)
    claimed = 0
    if "fraud_signals" in scope:
        claimed = sum(held.claimed for held in found)
        summary += item("fraud_signals", Did.DELETED, sum(held.signals for held in found))
        summary += item("fraud_signals", Did.RETAINED, claimed, "legal_claims")
    return Answer(summary=summary, outcome=TaskOutcome.PARTIAL if claimed else None)


def main() -> None:
    payments.run()


def _inside(at: str, task: Task) -> bool:
    if task.period is None:
        return True
    moment, start, end = dt.datetime.fromisoformat(at), task.period.start, task.period.end
    return (start is None or moment >= start) and (end is None or moment < end)


def _record(category: str, origin: Origin, row: dict[str, object]) -> Record:
    return Record(id=str(row["id"]), category=category, origin=origin, source="Payment processor", data=row)
