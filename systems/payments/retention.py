"""The scheduled deletion at the processor: charges past their booking period, fraud signals that say nothing more."""

from collections import Counter
from datetime import UTC, date, datetime
from uuid import uuid4

from systems.payments.client import processor
from systems.payments.held import BOOKING_YEARS

_SIGNAL_YEARS = 2
"""Our own measure: what was seen longer ago tells nothing about the next payment."""


async def run(today: date) -> Counter[str]:
    """Deletes what is due on `today` (UTC) and returns how many records by category.

    The processor spares what is held or restricted there, and signals about which a claim is open. Reads
    HABEAS_PROCESSOR_URL and …_KEY. Raises `Unavailable` when it does not come round.
    """
    async with processor() as api:
        deleted = await api.delete(
            today,
            charges_before=datetime(today.year - BOOKING_YEARS, 1, 1, tzinfo=UTC),
            fraud_signals_before=_years_before(today, _SIGNAL_YEARS),
            key=str(uuid4()),
        )
    return +Counter(deleted)


def _years_before(day: date, years: int) -> datetime:
    """The 29th of February counts as the 1st of March."""
    try:
        return datetime(day.year - years, day.month, day.day, tzinfo=UTC)
    except ValueError:
        return datetime(day.year - years, 3, 1, tzinfo=UTC)
