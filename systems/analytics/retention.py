"""What analytics lets go of by itself: visits lose their people, and proofs of consent go when nobody can need them."""

import asyncio
import datetime as dt
from collections import Counter

from dateutil.relativedelta import relativedelta

from habeas.participant import data_folder
from systems.analytics import recipients
from systems.analytics.store import Warehouse

MONTHS = 25
"""How long a visit is known to be somebody's: the CNIL's bound for what an audience's trackers collect
(Délibération 2020-091)."""


async def run(today: dt.date) -> Counter[str]:
    """Counts visits made anonymous and proofs deleted, by category, as of `today` (UTC).

    What somebody has restricted or a request holds stays (GDPR Art. 18(2)).
    """
    return await asyncio.to_thread(_run, today)


def _run(today: dt.date) -> Counter[str]:
    store = Warehouse(data_folder() / "warehouse")
    try:
        store.limits.expire(today)
        before = today - relativedelta(months=MONTHS)
        counts = {
            "visits": store.visits.anonymize_old(before, today),
            "marketing_preference": store.marketing.delete_old(today),
        }
        recipients.forget(store, before)
    finally:
        store.close()
    return +Counter(counts)
