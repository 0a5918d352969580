"""Rectification (GDPR Art. 16) at the processor: who the customer is. Cards and charges stay as they were used."""

from typing import Final

from habeas.participant import Answer, Correction, Did, NeedsInput, Task
from systems.corrections import EMAIL, TEXT, corrected
from systems.payments import limiting
from systems.payments.client import Processor
from systems.payments.held import categories, item

_FIELDS: Final = {"name": TEXT, "email": EMAIL}


async def rectify(task: Task, api: Processor) -> Answer:
    """All or nothing; a customer counts once for each field that is right now. The processor itself is the recipient.

    Raises `NeedsInput` with what a person has to see to.
    """
    scope = categories(task)
    asked = [correction for correction in task.details.corrections if correction.category in scope]
    if not asked:
        raise NeedsInput("corrections_missing")

    async def look() -> dict[str, dict[str, str]]:
        """Remembered once it is known to be right: a wrong one is looked at anew."""
        return await _changes(task, api, asked)

    changes = await task.once("changes", dict[str, dict[str, str]], look)
    for customer_id, values in changes.items():
        await api.change(customer_id, values, f"{task.id}/{customer_id}")
    await limiting.release(task, api, task.identity("payment_customer_id") if changes else ())
    return Answer(
        summary=item("payment_customer", Did.RECTIFIED, sum(len(values) for values in changes.values())),
    )


async def _changes(task: Task, api: Processor, asked: list[Correction]) -> dict[str, dict[str, str]]:
    customers = {}
    for customer_id in dict.fromkeys(task.identity("payment_customer_id")):
        customer = await api.customer(customer_id)
        if customer is not None:
            customers[customer_id] = customer
    if not customers:
        return {}
    if any(correction.category != "payment_customer" for correction in asked):
        raise NeedsInput("field_unknown")
    grouped: dict[str, list[Correction]] = {}
    for correction in asked:
        if correction.record_id is None and len(customers) > 1:
            raise NeedsInput("record_id_missing")
        customer_id = correction.record_id or next(iter(customers))
        if customer_id not in customers:
            raise NeedsInput("record_unknown")
        grouped.setdefault(customer_id, []).append(correction)
    return {customer_id: corrected(customers[customer_id], each, _FIELDS) for customer_id, each in grouped.items()}
