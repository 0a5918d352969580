"""A charge: what payments itself does with a customer, and where the processor stops it."""

from uuid import uuid4

from systems.payments.client import ChargeRefusedError, processor
from systems.use import Use

_WHAT = "charge"
_PURPOSE = "processing_payments"


async def use(identifier: str, cents: int = 900, invoice: str = "one-off") -> Use:
    """Charges the payment customer of that id, after a look for fraud. Reads HABEAS_PROCESSOR_URL and …_KEY.

    Where the look may not be had (purpose preventing_fraud), there is no charge: nobody is charged unseen.
    Raises `Unavailable` when the processor does not come round.
    """
    async with processor() as api:
        try:
            charged = await api.charge(identifier, cents, invoice, str(uuid4()))
        except ChargeRefusedError as refused:
            return Use(_WHAT, False, refused.purpose, refused.why)
    return Use(_WHAT, True, _PURPOSE) if charged is not None else Use(_WHAT, False, _PURPOSE, "not_held")
