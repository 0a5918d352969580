"""An access from the portal to the unpacked ZIP, held against what the sample says that the person has."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

import httpx
import pytest
from stand import Portal, Stand, somebody
from whole_answers import Answer, fetch, link, text

from habeas.contracts.status import StatusChanged
from systems import sample

pytestmark = pytest.mark.xdist_group("access")

NUMBER = 94  # has everything: conversations with a colleague in one, a product note, a consent, a fraud signal
PERSON = sample.person(NUMBER)
CONVERSATIONS = sample.conversations(NUMBER)
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


@dataclass(frozen=True)
class Answered:
    status: StatusChanged
    answer: Answer


@pytest.fixture(scope="module")
async def answered(web: Portal, stand: Stand) -> Answered:
    request_id = await web.submit(somebody(PERSON.email, name=PERSON.name))
    status = await web.closed(request_id)
    (mail,) = stand.mails(request_id)["partially_completed"]
    return Answered(status, await fetch(mail))


async def test_everything_held_is_in_the_copy(answered: Answered) -> None:
    assert set(answered.answer.categories) == {
        "account",
        "invoices",
        "support_conversations",
        "product_improvement",
        "visits",
        "marketing_preference",
        "payment_customer",
        "charges",
        "fraud_signals",
    }


async def test_the_account_is_whole(answered: Answered) -> None:
    (account,) = answered.answer.records("account")
    assert account == {
        "account_id": PERSON.account_id,
        "name": PERSON.name,
        "email": PERSON.email,
        "organisation": PERSON.organisation,
        "street": PERSON.address.street,
        "postal_code": PERSON.address.postal_code,
        "city": PERSON.address.city,
        "country": PERSON.address.country,
        "plan": PERSON.plan,
        "payment_customer_id": PERSON.payment_customer_id,
        "opened_on": PERSON.opened_on.isoformat(),
        "contract_until": PERSON.contract_until.isoformat() if PERSON.contract_until else None,
    }


async def test_every_invoice_is_there(answered: Answered) -> None:
    invoices = answered.answer.records("invoices")
    assert {(each["number"], each["issued_on"], each["net_cents"], each["vat_cents"]) for each in invoices} == {
        (each.number, each.issued_on.isoformat(), each.net_cents, each.vat_cents) for each in PERSON.invoices
    }
    assert len(invoices) == len(PERSON.invoices) > 1


async def test_their_own_words_are_there_and_the_colleague_s_are_named_as_withheld(answered: Answered) -> None:
    said = [
        message["body"] for each in answered.answer.records("support_conversations") for message in each["messages"]
    ]
    messages = [message for conversation in CONVERSATIONS for message in conversation.messages]
    own = [message.body for message in messages if message.email in {PERSON.email, None}]
    assert sorted(said) == sorted(own)
    assert len(own) < len(messages), "the sample has a colleague's words in there"
    assert answered.answer.categories["support_conversations"]["left_out"] == [
        {"did": "withheld", "count": 1, "ground": "rights_of_others"}
    ]
    assert "1 record left out" in answered.answer.files["index.html"].decode()


async def test_product_notes_are_there(answered: Answered) -> None:
    notes = [each["note"] for each in answered.answer.records("product_improvement")]
    assert notes == [each.product_note for each in CONVERSATIONS if each.product_note]


async def test_what_analytics_found_by_the_account_is_there(answered: Answered) -> None:
    visits = answered.answer.records("visits")
    assert sorted((each["visited_at"], each["ip"], each["page"]) for each in visits) == sorted(
        (f"{each.at:%Y-%m-%dT%H:%M:%SZ}", each.ip, each.page) for each in PERSON.visits
    )
    (consent,) = answered.answer.records("marketing_preference")
    assert PERSON.marketing_since is not None
    assert (consent["email"], consent["agreed_at"]) == (PERSON.email, f"{PERSON.marketing_since:%Y-%m-%dT%H:%M:%SZ}")


async def test_what_payments_found_by_the_customer_is_there(answered: Answered) -> None:
    (customer,) = answered.answer.records("payment_customer")
    assert (customer["id"], customer["last4"]) == (PERSON.payment_customer_id, PERSON.card[1])
    charges = answered.answer.records("charges")
    assert {(each["id"], each["cents"]) for each in charges} == {(each.id, each.cents) for each in PERSON.charges}
    (signal,) = answered.answer.records("fraud_signals")
    assert signal["observation"] == PERSON.fraud_signal


async def test_nobody_else_is_in_any_file(answered: Answered) -> None:
    words = answered.answer.words
    addresses = {address for address in ADDRESS.findall(words) if address.endswith("@example.org")}
    assert addresses == {PERSON.email}
    assert {other.name for other in sample.people() if other.name in words} == {PERSON.name}


async def test_the_tables_hold_the_same_records(answered: Answered) -> None:
    names = [name for name in answered.answer.files if name.endswith(".csv")]
    assert len(names) == len(answered.answer.categories)
    for category, content in answered.answer.categories.items():
        (name,) = [name for name in names if category in name]
        rows = list(csv.reader(io.StringIO(answered.answer.files[name].decode("utf-8-sig"))))
        assert len(rows) == 1 + len(content["records"])


async def test_the_page_says_what_article_15_wants(answered: Answered) -> None:
    page = answered.answer.files["index.html"].decode()
    assert PERSON.name in page
    for wanted in ("Paynor Payments Ltd.", "Standard contractual clauses", "2025-02-10", "datenschutz-berlin.de"):
        assert wanted in page


async def test_something_withheld_makes_it_partial(answered: Answered) -> None:
    assert answered.status.outcome == "partially_completed"
    assert answered.status.answer is not None
    assert answered.status.answer.available


async def test_opening_the_link_gives_nothing_away(web: Portal, stand: Stand) -> None:
    person = sample.person(6)
    request_id = await web.submit(somebody(person.email, name=person.name))
    status = await web.closed(request_id)
    address = link(stand.mails(request_id)[str(status.outcome)][0])
    async with httpx.AsyncClient(timeout=20) as http:
        for _ in range(2):  # a mail scanner's visit uses nothing up
            page = await http.get(address)
            assert page.headers["content-type"].startswith("text/html")
            assert page.headers["cache-control"] == "no-store"
            assert page.headers["referrer-policy"] == "no-referrer"
            for known in (person.name, person.email, person.account_id, str(request_id)):
                assert known not in page.text
        assert (await http.post(f"{address}/download")).content.startswith(b"PK")
        assert (await http.get(f"{address}/download")).status_code == 405


@pytest.mark.parametrize("token", ["A" * 43, "short", "A" * 42 + "%20"])
async def test_a_wrong_link_is_gone(stand: Stand, token: str) -> None:
    address = f"{stand.env('notifier')['HABEAS_PUBLIC_URL']}/answers/{token}"
    async with httpx.AsyncClient(timeout=20) as http:
        for response in (await http.get(address), await http.post(f"{address}/download")):
            assert response.status_code == 404
            assert not response.content.startswith(b"PK")


async def test_a_running_contract_is_told_as_running(web: Portal, stand: Stand) -> None:
    person = sample.person(57)
    request_id = await web.submit(somebody(person.email, name=person.name))
    status = await web.closed(request_id)
    answer = await fetch(stand.mails(request_id)[str(status.outcome)][0])
    (account,) = answer.records("account")
    assert account.get("contract_until") is None
    assert account["account_id"] == person.account_id


async def test_a_visitor_is_found_by_the_cookie(web: Portal, stand: Stand) -> None:
    visitor = sample.visitor(1)
    request_id = await web.submit(somebody(visitor.visitor_id, identity_type="visitor_id"))
    status = await web.closed(request_id)
    assert status.outcome == "completed"
    assert {each.system: (each.state, each.reason) for each in status.systems} == {
        "billing": ("excluded", "identifier_not_found"),
        "support": ("excluded", "identifier_not_found"),
        "analytics": ("finished", None),
        "payments": ("excluded", "identifier_not_found"),
    }
    (mail,) = stand.mails(request_id)["completed"]
    answer = await fetch(mail)
    assert set(answer.categories) == {"visits"}
    assert {each["visitor_id"] for each in answer.records("visits")} == {visitor.visitor_id}
    assert len(answer.records("visits")) == len(visitor.visits)
    assert "copy is ready" in text(mail)


@pytest.mark.parametrize("identity_type", ["account_id", "controller_customer_id"])
async def test_a_customer_number_finds_the_account(web: Portal, stand: Stand, identity_type: str) -> None:
    person = sample.person(12)
    request_id = await web.submit(somebody(person.account_id, identity_type=identity_type))
    status = await web.closed(request_id)
    answer = await fetch(stand.mails(request_id)[str(status.outcome)][0])
    assert answer.records("account")[0]["email"] == person.email
    assert "payment_customer" in answer.categories, "the second wave finds what the first has found for it"


async def test_the_mail_names_what_is_withheld_once(answered: Answered, stand: Stand) -> None:
    (mail,) = stand.mails(answered.status.request_id)["partially_completed"]
    assert text(mail).count("Support conversations: 1 record not in your copy") == 1
