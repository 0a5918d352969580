"""The people and visitors of the demonstration: invented, and the same in every system and on every machine.

`person(n)` for n from 1 to 1000, `visitor(n)` from 1 to 200. What a person has follows from the number:

    n % 50 == 7     the contract still runs          n % 5 == 0    never wrote to support
    n % 4 == 0      one invoice alone                n % 7 == 3    a colleague joined a support conversation
    n % 2 == 0      agreed to marketing messages     n % 3 == 1    a conversation became a product note
    n % 10 == 4     a fraud signal                   n % 100 == 14 and a claim about it is open
"""

import datetime as dt
import random
import unicodedata
from dataclasses import dataclass, field

from systems import sample_words as words

PEOPLE = 1000
VISITORS = 200
TODAY = dt.date(2026, 2, 1)
"""The day the sample was taken; nothing in it is later."""

_TO_ASCII = str.maketrans({"ø": "o", "ł": "l", "ı": "i", "ß": "ss"})


@dataclass(frozen=True, slots=True)
class Address:
    street: str
    postal_code: str
    city: str
    country: str = "DE"


@dataclass(frozen=True, slots=True)
class Invoice:
    number: str
    issued_on: dt.date
    description: str
    net_cents: int
    vat_cents: int
    note: str
    """What nobody has to keep: how it was paid, by whom it was ordered."""


@dataclass(frozen=True, slots=True)
class Message:
    at: dt.datetime
    author: str
    email: str | None
    """None for the support team's own words."""
    body: str


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    subject: str
    messages: tuple[Message, ...]
    product_note: str | None


@dataclass(frozen=True, slots=True)
class Visit:
    at: dt.datetime
    ip: str
    browser: str
    page: str


@dataclass(frozen=True, slots=True)
class Charge:
    id: str
    at: dt.datetime
    cents: int
    invoice: str


@dataclass(frozen=True, slots=True)
class Person:
    number: int
    name: str
    email: str
    organisation: str
    address: Address
    account_id: str
    payment_customer_id: str
    plan: str
    opened_on: dt.date
    contract_until: dt.date | None
    """The contract's last day; None while it runs."""
    invoices: tuple[Invoice, ...]
    marketing_since: dt.datetime | None
    card: tuple[str, str, str]
    """Brand, last four digits, expiry."""
    charges: tuple[Charge, ...]
    fraud_signal: str | None
    claim_open: bool
    visits: tuple[Visit, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody without an account, known by a cookie."""

    number: int
    visitor_id: str
    visits: tuple[Visit, ...]


def person(number: int) -> Person:
    """The person of that number, 1 to 1000."""
    if not 1 <= number <= PEOPLE:
        raise ValueError(f"there are people 1 to {PEOPLE}")
    dice = random.Random(f"person/{number}")  # noqa: S311 - sample data, not secrets
    name, email = _name(number), _email(number)
    plan = dice.choice(list(words.PLANS))
    first_year = dice.randint(2019, 2022)
    invoices = _invoices(number, plan, first_year, dice)
    runs = number % 50 == 7
    postal_code, city = dice.choice(words.CITIES)
    return Person(
        number=number,
        name=name,
        email=email,
        organisation=f"{dice.choice(words.ORGANISATIONS)} {words.LAST[number % 50]} {dice.choice(words.FORMS)}",
        address=Address(f"{dice.choice(words.STREETS)} {dice.randint(1, 180)}", postal_code, city),
        account_id=f"acc-{number:06}",
        payment_customer_id=f"cus_{dice.getrandbits(56):014x}",
        plan=plan,
        opened_on=dt.date(first_year, dice.randint(1, 12), dice.randint(1, 28)),
        contract_until=None if runs else dt.date(2025, dice.randint(1, 12), 28),
        invoices=invoices,
        marketing_since=_moment(dice, 2023) if number % 2 == 0 else None,
        card=(dice.choice(("visa", "mastercard")), f"{dice.randint(0, 9999):04}", f"{dice.randint(1, 12):02}/28"),
        charges=tuple(
            Charge(
                f"ch_{number:04}{index:02}{dice.getrandbits(32):08x}",
                dt.datetime.combine(invoice.issued_on, dt.time(6, 30), dt.UTC),
                invoice.net_cents + invoice.vat_cents,
                invoice.number,
            )
            for index, invoice in enumerate(invoices)
        ),
        fraud_signal="card used from two countries within an hour" if number % 10 == 4 else None,
        claim_open=number % 100 == 14,
        visits=_visits(dice, dice.randint(4, 14)),
    )


def people() -> list[Person]:
    return [person(number) for number in range(1, PEOPLE + 1)]


def conversations(number: int) -> tuple[Conversation, ...]:
    """What person `number` wrote to support, with the answers, and with a colleague where one joined in."""
    if number % 5 == 0:
        return ()
    dice = random.Random(f"support/{number}")  # noqa: S311 - sample data, not secrets
    found = []
    for index in range(1, dice.randint(1, 2) + 1):
        subject, question = dice.choice(words.QUESTIONS)
        start = _moment(dice, 2025)
        name = _name(number)
        messages = [
            Message(start, name, _email(number), f"{question} Regards, {name}"),
            Message(start + dt.timedelta(hours=3), "Ale support", None, f"Hello {name}, thank you, we are looking."),
        ]
        if number % 7 == 3 and index == 1:
            other = number % PEOPLE + 1
            remark = f"The same happens to me, exactly as {name} says. {_name(other)}"
            messages.append(Message(start + dt.timedelta(hours=5), _name(other), _email(other), remark))
        note = f"Reported by {name}: {subject.lower()}." if number % 3 == 1 and index == 1 else None
        found.append(Conversation(f"conv-{number:06}-{index}", subject, tuple(messages), note))
    return tuple(found)


def visitor(number: int) -> Visitor:
    """The visitor of that number, 1 to 200."""
    if not 1 <= number <= VISITORS:
        raise ValueError(f"there are visitors 1 to {VISITORS}")
    dice = random.Random(f"visitor/{number}")  # noqa: S311 - sample data, not secrets
    return Visitor(number, f"vis_{dice.getrandbits(64):016x}", _visits(dice, dice.randint(2, 8)))


def visitors() -> list[Visitor]:
    return [visitor(number) for number in range(1, VISITORS + 1)]


def _name(number: int) -> str:
    """No two people have the same one."""
    return f"{words.FIRST[number % 50]} {words.LAST[(number // 50 + number) % 50]}"


def _email(number: int) -> str:
    plain = unicodedata.normalize("NFKD", _name(number).lower().translate(_TO_ASCII))
    return f"{plain.encode('ascii', 'ignore').decode().replace(' ', '.')}{number}@example.org"


def _invoices(number: int, plan: str, first_year: int, dice: random.Random) -> tuple[Invoice, ...]:
    years = [2025] if number % 4 == 0 else range(first_year, 2026)
    return tuple(
        Invoice(
            number=f"R{year}-{number:05}",
            issued_on=dt.date(year, dice.randint(1, 12), dice.randint(1, 28)),
            description=f"Ale {plan}, one year",
            net_cents=words.PLANS[plan] * 12,
            vat_cents=words.PLANS[plan] * 12 * 19 // 100,
            note=f"ordered by {_name(number)}, paid by card",
        )
        for year in years
    )


def _visits(dice: random.Random, count: int) -> tuple[Visit, ...]:
    # Documentation ranges: RFC 5737, RFC 3849.
    ip = dice.choice((f"198.51.100.{dice.randint(1, 254)}", f"2001:db8::{dice.getrandbits(32):x}"))
    browser = dice.choice(words.BROWSERS)
    return tuple(Visit(_moment(dice, 2025), ip, browser, dice.choice(words.PAGES)) for _ in range(count))


def _moment(dice: random.Random, year: int) -> dt.datetime:
    return dt.datetime(year, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=dice.randrange(365 * 24 * 60))
