"""Who asks in the demo, and what a copy of their data must hold, or must not. Everybody in it is invented.

They are chosen from the sample for what they have: a conversation with support that a colleague joined and that became
a product note, several invoices, consent to marketing messages, a fraud signal, a contract that has ended or runs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from systems import sample
from systems.billing.store import keep_until
from systems.sample import Person

READER, LEAVER = sample.person(94), sample.person(934)
MOVER = sample.person(134)
RENAMED = sample.person(136)
DISPUTED = sample.person(157)
"""Their contract runs: there is something to bill."""
OBJECTOR = sample.person(142)
TIRED = sample.person(146)
"""Takes their consent back."""
BOTH = sample.person(226)
"""Wants a copy first and to be forgotten then, in one letter."""
CHILD = sample.person(154)
UNDECIDED = sample.person(158)
"""Takes the request itself back."""
PEOPLE = (READER, LEAVER, MOVER, RENAMED, DISPUTED, OBJECTOR, TIRED, BOTH, CHILD, UNDECIDED)

VISITOR = sample.visitor(150)
STRANGER = "nobody.knows@example.org"
ELSEWHERE = "member@choir.example.org"
"""Uses another organisation's installation."""
REPORTER = "rita@example.org"

NEW_NAME = "Renata Novotny"
RECIPIENT = "Paynor Payments Ltd."
"""Is told of the new name (GDPR Art. 19)."""

LAWFULLY_KEPT = frozenset({"invoices", "marketing_preference"})
"""The categories that an access after the erasure may still show: what tax law keeps, and the proof of consent."""


def held(person: Person) -> Mapping[str, tuple[str, ...]]:
    """Strings that a copy of the person's data must hold, by what they show."""
    conversations = sample.conversations(person.number)
    return {
        "account": (person.account_id, person.email, person.address.street, person.organisation),
        "invoices": tuple(invoice.number for invoice in person.invoices),
        "support conversations": tuple(_own_words(person, conversations)),
        "product notes": tuple(each.product_note for each in conversations if each.product_note),
        "visits": tuple(sorted({visit.ip for visit in person.visits})),
        "payment customer": (person.payment_customer_id, person.card[1]),
        "charges": tuple(charge.id for charge in person.charges),
        "fraud signals": (person.fraud_signal,) if person.fraud_signal else (),
    }


def of_others(person: Person) -> tuple[str, ...]:
    """Strings that a copy must not hold: what others wrote into the person's conversations, and their names."""
    found = []
    for conversation in sample.conversations(person.number):
        for message in conversation.messages:
            if message.email not in (None, person.email):
                found += [message.author, message.body, str(message.email)]
    return tuple(found)


def kept(person: Person, today: dt.date) -> tuple[str, ...]:
    """Strings that a copy after the erasure still holds: the invoices that tax law wants kept, and whose they are."""
    invoices = (invoice.number for invoice in person.invoices if keep_until(invoice.issued_on) >= today)
    return (person.account_id, *invoices)


def gone(person: Person) -> Mapping[str, tuple[str, ...]]:
    """Strings that a copy after the erasure must not hold, by what they would show."""
    before = held(person)
    return {
        "address": (person.email,),
        "notes on invoices": tuple({invoice.note for invoice in person.invoices}),
        **{name: before[name] for name in before if name not in ("account", "invoices")},
    }


def _own_words(person: Person, conversations: tuple[sample.Conversation, ...]) -> list[str]:
    return [
        message.body
        for conversation in conversations
        for message in conversation.messages
        if message.email == person.email
    ]


def provided_or_observed(person: Person) -> Mapping[str, tuple[str, ...]]:
    """Strings that a copy to be taken elsewhere must hold (GDPR Art. 20(1))."""
    return {"account": (person.email,), "visits": (person.visits[0].ip,)}


def from_others(person: Person) -> tuple[str, ...]:
    """Strings that such a copy must not hold: what the payment processor provided."""
    return tuple(charge.id for charge in person.charges)
