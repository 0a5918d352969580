"""What the analytics team does with people's data: counts visits per page, and sends marketing messages."""

import asyncio

from habeas.participant import data_folder
from systems.analytics.limits import PURPOSES
from systems.analytics.people import Person
from systems.analytics.store import Warehouse
from systems.use import Use

MARKETING = "marketing_messages"


async def use(identifier: str, purpose: str | None = None) -> Use:
    """Whether the page report counts somebody's visits, or a marketing message may go to them; else why not.

    By account, cookie or, for marketing, address. Without a purpose an address is for marketing, all else for trends.
    Raises `ValueError` where analytics has no such purpose.
    """
    return await asyncio.to_thread(_opened, identifier, purpose)


def _opened(identifier: str, purpose: str | None) -> Use:
    store = Warehouse(data_folder() / "warehouse")
    try:
        return used(store, identifier, purpose or (MARKETING if "@" in identifier else "trends"))
    finally:
        store.close()


def used(store: Warehouse, identifier: str, purpose: str) -> Use:
    if purpose == MARKETING:
        return message(store, identifier)
    if purpose not in PURPOSES["visits"]:
        raise ValueError(f"analytics uses data for {MARKETING}, {', '.join(PURPOSES['visits'])}: name one of these")
    who = Person(accounts=(identifier,), visitors=(identifier,))
    why = store.limits.why_not(who.subjects(store.hash), "visits", purpose)
    if why is None and not store.visits.of(who):
        return Use("page_report", False, purpose, "not_held")
    return Use("page_report", why is None, purpose, why)


def message(store: Warehouse, identifier: str) -> Use:
    """Only with a consent that stands, to an address that is not suppressed."""
    accounts = store.marketing.accounts_of(identifier) if "@" in identifier else (identifier,)
    consents = store.marketing.consents(Person(accounts, ()))
    subjects = [store.hash.of(account) for account in accounts]
    why: str | None = store.limits.why_not(subjects, "marketing_preference", MARKETING)
    if why is None:
        addresses = [consent["email"] for consent in consents if consent["email"]]
        if any(store.marketing.suppressed(store.hash.of(address)) for address in (*addresses, identifier)):
            why = "suppressed"
        elif not addresses:
            why = "withdrawn" if consents else "not_held"
    return Use("marketing_message", why is None, MARKETING, why)
