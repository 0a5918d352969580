"""What the demo asks for, and what has to come of it. Everybody in it is invented.

The people are chosen from the sample for what they have: a conversation with support that a colleague joined and that
became a product note, several invoices, consent to marketing messages, a fraud signal, a contract that has ended.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from habeas.contracts.vocabulary import RequestOutcome, Right, SystemState, TaskOutcome
from systems import sample
from systems.billing.store import keep_until

PORTAL = "web"
STRANGER = "nobody.knows@example.org"

ACCESS, ERASURE, UNKNOWN, MALFORMED, LATER = "access", "erasure", "unknown", "malformed", "later"

ALL_ASKED = dict.fromkeys(("billing", "support", "analytics", "payments"), TaskOutcome.COMPLETED)


@dataclass(frozen=True, slots=True)
class Ask:
    """One submission, and the end that it must come to."""

    key: str
    title: str
    """At most 17 characters: a column's width."""
    right: Right
    outcome: RequestOutcome
    systems: Mapping[str, str]
    """How each system ends: the task's outcome, or `excluded`."""
    person: sample.Person | None = field(default=None, repr=False)
    """None: nobody in the sample."""

    @property
    def email(self) -> str:
        return self.person.email if self.person else STRANGER

    @property
    def name(self) -> str:
        return self.person.name if self.person else "Somebody Else"

    @property
    def notices(self) -> tuple[str, str]:
        """The mails that the person gets, each exactly once."""
        return "acknowledged", self.outcome.value


READER, LEAVER = sample.person(94), sample.person(934)

ASKS: tuple[Ask, ...] = (
    Ask(ACCESS, "access", Right.ACCESS, RequestOutcome.PARTIALLY_COMPLETED, ALL_ASKED, READER),
    Ask(ERASURE, "erasure", Right.ERASURE, RequestOutcome.PARTIALLY_COMPLETED, ALL_ASKED, LEAVER),
    Ask(
        UNKNOWN,
        "stranger's access",
        Right.ACCESS,
        RequestOutcome.NOTHING_HELD,
        {
            "billing": TaskOutcome.NOTHING_HELD,
            "support": TaskOutcome.NOTHING_HELD,
            "analytics": SystemState.EXCLUDED,
            "payments": SystemState.EXCLUDED,
        },
    ),
    Ask(
        LATER,
        "access afterwards",
        Right.ACCESS,
        RequestOutcome.COMPLETED,
        {
            "billing": TaskOutcome.COMPLETED,
            "support": TaskOutcome.NOTHING_HELD,
            "analytics": TaskOutcome.COMPLETED,
            "payments": SystemState.EXCLUDED,
        },
        LEAVER,
    ),
)
BY_KEY: Mapping[str, Ask] = {ask.key: ask for ask in ASKS}

MALFORMED_TITLE = "malformed"
MALFORMED_VALUE = b'{"request_id": "here the portal'
MALFORMED_REASON = "not_json"

LAWFULLY_KEPT = frozenset({"invoices", "marketing_preference"})
"""The categories that an access after the erasure may still show: what tax law keeps, and the proof of consent."""


def held(person: sample.Person) -> Mapping[str, tuple[str, ...]]:
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


def of_others(person: sample.Person) -> tuple[str, ...]:
    """Strings that a copy must not hold: what others wrote into the person's conversations, and their names."""
    found = []
    for conversation in sample.conversations(person.number):
        for message in conversation.messages:
            if message.email not in (None, person.email):
                found += [message.author, message.body, str(message.email)]
    return tuple(found)


def kept(person: sample.Person, today: dt.date) -> tuple[str, ...]:
    """Strings that a copy after the erasure still holds: the invoices that tax law wants kept, and whose they are."""
    invoices = (invoice.number for invoice in person.invoices if keep_until(invoice.issued_on) >= today)
    return (person.account_id, *invoices)


def gone(person: sample.Person) -> Mapping[str, tuple[str, ...]]:
    """Strings that a copy after the erasure must not hold, by what they would show."""
    before = held(person)
    return {
        "address": (person.email,),
        "notes on invoices": tuple({invoice.note for invoice in person.invoices}),
        **{name: before[name] for name in before if name not in ("account", "invoices")},
    }


def _own_words(person: sample.Person, conversations: tuple[sample.Conversation, ...]) -> list[str]:
    return [
        message.body
        for conversation in conversations
        for message in conversation.messages
        if message.email == person.email
    ]
