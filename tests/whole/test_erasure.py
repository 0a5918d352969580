"""An erasure: what goes is gone from the stores' files, what stays is told with its ground and date."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from stand import Portal, Stand, somebody
from whole_answers import fetch, text
from whole_stores import billing_files_with, files_with, rows_with, untouched

from habeas.contracts.status import StatusChanged
from systems import sample

pytestmark = pytest.mark.xdist_group("erasure")

WITH_EVERYTHING = (214, 814)  # and an open claim behind the fraud signal
WITH_A_COLLEAGUE = (234, 241, 248, 262, 269, 276, 283)
NOTE = "Tax and accounting law obliges us to keep these records"


@dataclass(frozen=True)
class Erased:
    person: sample.Person
    status: StatusChanged
    mail: str


async def erase(web: Portal, stand: Stand, person: sample.Person) -> Erased:
    request_id = await web.submit(somebody(person.email, name=person.name), "erasure")
    status = await web.closed(request_id)
    (mail,) = stand.mails(request_id)[str(status.outcome)]
    return Erased(person, status, text(mail))


@pytest.fixture(scope="module")
async def erased(web: Portal, stand: Stand) -> Erased:
    return await erase(web, stand, await untouched(stand, WITH_EVERYTHING))


@pytest.fixture(scope="module")
async def afterwards(erased: Erased, web: Portal, stand: Stand) -> Erased:
    """An access of the same person after the erasure."""
    person = erased.person
    request_id = await web.submit(somebody(person.email, name=person.name))
    status = await web.closed(request_id)
    (mail,) = stand.mails(request_id)[str(status.outcome)]
    return Erased(person, status, (await fetch(mail)).words)


async def test_what_is_kept_makes_it_partial(erased: Erased) -> None:
    assert erased.status.outcome == "partially_completed"
    assert {each.system: each.outcome for each in erased.status.systems} == {
        "billing": "completed",
        "support": "completed",
        "analytics": "completed",
        "payments": "partial",
    }
    assert erased.status.answer is None


def kept(what: str, invoices: Sequence[sample.Invoice]) -> str:
    """What the mail says of several records that the law keeps for eight years each."""
    years = [invoice.issued_on.year + 8 for invoice in invoices]
    first, last = f"the first until 31 December {min(years)}", f"the last until 31 December {max(years)}"
    return f"{what}: {len(years)} records kept, {first}, {last}. {NOTE}"


async def test_invoices_are_told_as_kept_with_ground_and_date(erased: Erased) -> None:
    assert kept("Invoices", erased.person.invoices) in erased.mail


async def test_charges_consent_and_claim_are_told_as_kept(erased: Erased) -> None:
    assert kept("Charges", erased.person.invoices) in erased.mail
    assert "Marketing preference: 1 record kept, until 31 December" in erased.mail
    assert "We keep that proof alone. (GDPR Art. 7(1), 17(3)(e))" in erased.mail
    assert "Fraud signals: 1 record kept. A legal claim is open" in erased.mail


async def test_what_was_done_is_told(erased: Erased) -> None:
    conversations = len(sample.conversations(erased.person.number))
    for done in (
        "Account and subscription: 1 record deleted",
        f"Visits: {len(erased.person.visits)} records made anonymous",
        "Marketing preference: 1 record on the suppression list",
        "Payment customer and payment method reference: 1 record no longer linked to you",
        "Support conversations used to improve the product: 1 record deleted",
    ):
        assert done in erased.mail
    assert conversations
    assert "Support conversations:" in erased.mail


async def test_billing_keeps_the_mandatory_fields_alone(erased: Erased, stand: Stand) -> None:
    assert not await rows_with(stand, "accounts", erased.person.email, erased.person.account_id, erased.person.name)
    assert not await rows_with(stand, "invoices", erased.person.email, f"ordered by {erased.person.name}")
    assert len(await rows_with(stand, "invoices", erased.person.account_id)) == len(erased.person.invoices)


async def test_billing_s_files_hold_the_address_no_more(erased: Erased, stand: Stand) -> None:
    found = await billing_files_with(stand, erased.person.email)
    if found is None:
        pytest.skip("PostgreSQL's files belong to another user")
    assert found == []


@pytest.mark.parametrize("system", ["billing", "support", "analytics", "payments", "processor"])
async def test_no_file_holds_name_or_address(erased: Erased, stand: Stand, system: str) -> None:
    folder = stand.root / "data" / system
    assert any(folder.rglob("*"))
    assert files_with(folder, erased.person.email, erased.person.name, json.dumps(erased.person.name).strip('"')) == []


async def test_visits_lead_to_nobody(erased: Erased, stand: Stand) -> None:
    assert files_with(stand.root / "data" / "analytics" / "warehouse" / "visits", erased.person.account_id) == []


async def test_the_charges_stay_at_the_processor(erased: Erased, stand: Stand) -> None:
    assert files_with(stand.root / "data" / "processor", *(charge.id for charge in erased.person.charges))


async def test_an_access_afterwards_finds_what_is_lawfully_kept(afterwards: Erased) -> None:
    assert afterwards.status.outcome == "completed"
    assert {each.system: (each.state, each.outcome, each.reason) for each in afterwards.status.systems} == {
        "billing": ("finished", "completed", None),
        "support": ("finished", "nothing_held", None),
        "analytics": ("finished", "completed", None),
        "payments": ("excluded", None, "identifier_not_found"),
    }


async def test_an_access_afterwards_shows_invoices_and_the_proof_of_consent(afterwards: Erased) -> None:
    person, words = afterwards.person, afterwards.mail
    for invoice in person.invoices:
        assert invoice.number in words
    assert f"consent-{person.account_id}" in words
    assert person.email not in words
    assert person.payment_customer_id not in words
    for visit in person.visits:
        assert visit.ip not in words


async def test_an_erasure_afterwards_finds_nothing_more_to_delete(erased: Erased, web: Portal, stand: Stand) -> None:
    again = await erase(web, stand, erased.person)
    assert again.status.outcome == "partially_completed"
    assert "deleted" not in again.mail.replace("is deleted", "")
    assert NOTE in again.mail


async def test_others_words_stay_without_the_name(web: Portal, stand: Stand) -> None:
    person = await untouched(stand, WITH_A_COLLEAGUE)
    colleague = sample.person(person.number + 1)
    folder = stand.root / "data" / "support"
    assert files_with(folder, f"exactly as {person.name} says")
    await erase(web, stand, person)
    assert files_with(folder, person.name, person.email) == []
    assert files_with(folder, f"exactly as [erased] says. {colleague.name}")


async def test_a_running_contract_keeps_its_account(web: Portal, stand: Stand) -> None:
    person = sample.person(257)
    erased = await erase(web, stand, person)
    assert erased.status.outcome == "partially_completed"
    assert {each.system: each.outcome for each in erased.status.systems}["billing"] == "partial"
    assert "Account and subscription: 1 record kept" in erased.mail
    assert await rows_with(stand, "accounts", person.email)


async def test_a_visitor_is_forgotten_whole(web: Portal, stand: Stand) -> None:
    folder = stand.root / "data" / "analytics"
    visitor = next(each for each in map(sample.visitor, range(50, 100)) if files_with(folder, each.visitor_id))
    request_id = await web.submit(somebody(visitor.visitor_id, identity_type="visitor_id"), "erasure")
    status = await web.closed(request_id)
    assert status.outcome == "completed"
    assert f"Visits: {len(visitor.visits)} records made anonymous" in text(stand.mails(request_id)["completed"][0])
    assert files_with(folder, visitor.visitor_id) == []


async def test_a_stranger_is_told_that_nothing_is_held(web: Portal, stand: Stand) -> None:
    request_id = await web.submit(somebody("forgotten.stranger@example.org"), "erasure")
    assert (await web.closed(request_id)).outcome == "nothing_held"
    assert set(stand.mails(request_id)) == {"acknowledged", "nothing_held"}
