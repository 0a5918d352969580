"""Every right of the policy, from the portal to the mail, in the systems' real stores.

And what the systems' own use of the data makes of it afterwards.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import pytest
from stand import Portal, Stand, eventually, somebody
from whole_answers import fetch, text
from whole_stores import rows_with

from habeas.contracts import Place
from habeas.contracts.catalogue import seal_personal, write
from habeas.contracts.cloudevents import encode
from habeas.contracts.submission import (
    AmendedPersonal,
    Correction,
    Details,
    RequestAmended,
    Requester,
    RequestWithdrawn,
    SubmissionPersonal,
)
from habeas.contracts.topics import submissions
from systems import sample
from tests.operators import keyboard

pytestmark = pytest.mark.xdist_group("faults")
"""One after the other with them, not beside: what a killed process had committed and not sent comes late."""


def person(number: int, **details: Any) -> SubmissionPersonal:
    someone = sample.person(number)
    personal = somebody(someone.email, name=someone.name)
    return personal.model_copy(update={"details": Details(**details)})


async def habeas(stand: Stand, *arguments: str) -> tuple[int, str]:
    """The command, as an operator types it for this stack. Returns its exit code and what it said."""
    said = await asyncio.to_thread(keyboard.habeas, *arguments, "--root", str(stand.root))
    return said.code, said.words


async def use(stand: Stand, system: str, identifier: str) -> tuple[bool, str | None]:
    """Whether a system uses somebody's data for its own work, and why not."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stand.env(system).items():
            if name in {"HABEAS_DATABASE_URL", "HABEAS_DATA_DIR", "HABEAS_PROCESSOR_URL", "HABEAS_PROCESSOR_KEY"}:
                patch.setenv(name, value)
        found = await import_module(f"systems.{system}.use").use(identifier)
    return found.done, found.why


async def reviewed(web: Portal, request_id: UUID, reason: str) -> None:
    await web.until(
        request_id,
        lambda found: found.state == "in_review" and found.reason is not None and found.reason.code == reason,
    )


async def copied(web: Portal, stand: Stand, number: int, category: str) -> list[dict[str, Any]]:
    """The records of one category, as an access limited to it gives them."""
    request_id = await web.submit(person(number, categories=(category,)))
    status = await web.closed(request_id)
    (mail,) = stand.mails(request_id)[str(status.outcome)]
    return (await fetch(mail)).records(category)


async def test_portability_gives_what_was_provided_and_observed_under_consent_or_contract(
    web: Portal, stand: Stand
) -> None:
    someone = sample.person(134)
    request_id = await web.submit(person(134), "portability")
    status = await web.closed(request_id)
    assert status.outcome in {"completed", "partially_completed"}
    (mail,) = stand.mails(request_id)[str(status.outcome)]
    answer = await fetch(mail)
    assert someone.email in answer.words
    assert someone.visits[0].ip in answer.words
    assert someone.charges[0].id not in answer.words, "what came from the processor was not provided by the person"
    for category in answer.categories.values():
        assert {record["origin"] for record in category["records"]} <= {"provided", "observed"}


async def test_a_rectified_name_is_changed_and_the_recipient_told(web: Portal, stand: Stand) -> None:
    someone = sample.person(136)
    new = f"Renata {uuid4().hex[:8]}"
    corrections = (Correction(category="account", field="name", value=new),)
    request_id = await web.submit(person(136, corrections=corrections), "rectification")
    status = await web.closed(request_id)
    assert status.outcome == "completed"
    assert {each.system: each.outcome or each.reason for each in status.systems} == {
        "billing": "completed",
        "support": "not_asked_for",
        "analytics": "not_asked_for",
        "payments": "not_asked_for",
    }
    assert len(await rows_with(stand, "accounts", new)) == 1
    (mail,) = stand.mails(request_id)["completed"]
    assert "Paynor Payments Ltd." in text(mail), "who else was told (GDPR Art. 19)"

    async def is_told() -> bool:
        (customer,) = await copied(web, stand, 136, "payment_customer")
        return bool(customer["id"] == someone.payment_customer_id and customer["name"] == new)

    await eventually(is_told)


async def test_a_wrong_old_value_goes_to_a_person(web: Portal) -> None:
    corrections = (Correction(category="account", field="name", old="Nobody At All", value="Somebody Else"),)
    request_id = await web.submit(person(138, corrections=corrections), "rectification")
    await reviewed(web, request_id, "system_failed")


RUNNING = 157
"""Somebody whose contract runs: there is something to bill."""


async def test_a_restriction_is_kept_by_every_systems_own_code_until_it_is_lifted(web: Portal, stand: Stand) -> None:
    someone = sample.person(RUNNING)
    uses = {
        "billing": someone.account_id,
        "support": someone.email,
        "analytics": someone.account_id,
        "payments": someone.payment_customer_id,
    }
    for system, identifier in uses.items():
        assert await use(stand, system, identifier) == (True, None), system
    request_id = await web.submit(person(RUNNING), "restriction")
    assert (await web.closed(request_id)).outcome == "completed"
    for system, identifier in uses.items():
        assert await use(stand, system, identifier) == (False, "restricted"), system

    code, said = await habeas(stand, "lift", str(request_id), "--reason", "dispute_settled")
    assert code == 0, said
    status = await web.until(
        request_id, lambda found: found.reason is not None and found.reason.code == "restriction_lifted"
    )
    assert (status.state, status.outcome) == ("closed", "completed")
    assert set(stand.mails(request_id)) == {"acknowledged", "completed", "restriction_lifting"}
    for system, identifier in uses.items():
        assert await use(stand, system, identifier) == (True, None), system


async def test_an_objection_to_marketing_succeeds_at_once(web: Portal, stand: Stand) -> None:
    someone = sample.person(140)
    assert await use(stand, "analytics", someone.email) == (True, None)
    request_id = await web.submit(person(140, purposes=("marketing_messages",)), "objection")
    assert (await web.closed(request_id)).outcome == "completed"
    done, why = await use(stand, "analytics", someone.email)
    assert (done, why) in {(False, "objected"), (False, "suppressed")}
    assert await use(stand, "analytics", someone.account_id) == (True, None), "the visits were not objected to"


@pytest.mark.parametrize(
    ("number", "verdict", "outcome", "resumed"),
    [(142, "--uphold", "completed", False), (144, "--override", "partially_completed", True)],
)
async def test_any_other_objection_stops_first_and_is_weighed_then(
    web: Portal, stand: Stand, number: int, verdict: str, outcome: str, resumed: bool
) -> None:
    someone = sample.person(number)
    request_id = await web.submit(person(number), "objection")
    await reviewed(web, request_id, "objection_to_weigh")
    assert await use(stand, "analytics", someone.account_id) == (False, "objected")
    (letter,) = stand.mails(request_id)["dpo_review"]
    assert "habeas weigh" in text(letter)
    code, said = await habeas(stand, "weigh", str(request_id), verdict, "--reason", "weighed")
    assert code == 0, said
    status = await web.closed(request_id)
    assert status.outcome == outcome
    assert (await use(stand, "analytics", someone.account_id))[0] is resumed
    assert (await use(stand, "analytics", someone.email))[0] is False, "marketing stays off whatever is weighed"
    (mail,) = stand.mails(request_id)[outcome]
    assert ("Compelling reasons for the processing outweigh it" in text(mail)) is resumed


async def test_withdrawn_consent_stops_at_once_and_leaves_its_proof(web: Portal, stand: Stand) -> None:
    someone = sample.person(146)
    assert await use(stand, "analytics", someone.email) == (True, None)
    request_id = await web.submit(person(146), "consent_withdrawal")
    status = await web.closed(request_id)
    assert status.outcome == "completed"
    assert {each.system: each.reason for each in status.systems if each.state == "excluded"} == {
        "support": "right_does_not_reach",
        "payments": "right_does_not_reach",
    }
    assert (await use(stand, "analytics", someone.email))[0] is False
    (consent,) = await copied(web, stand, 146, "marketing_preference")
    assert consent["agreed_at"]
    assert consent["ended_at"], "the proof says when it began and when it ended"


async def test_a_visitor_without_an_account_is_found_by_the_cookie(web: Portal, stand: Stand) -> None:
    visitor = sample.visitor(150)
    personal = somebody(visitor.visitor_id, identity_type="visitor_id", method="cookie")
    request_id = await web.submit(personal, "objection")
    await reviewed(web, request_id, "objection_to_weigh")
    assert await use(stand, "analytics", visitor.visitor_id) == (False, "objected")


async def test_what_another_controls_is_answered_so_and_whom_to_ask(web: Portal, stand: Stand) -> None:
    unproven = somebody("anybody@example.org", method=None)
    request_id = await web.submit(unproven.model_copy(update={"details": Details(categories=("own_installation",))}))
    status = await web.closed(request_id)
    assert (status.outcome, status.systems) == ("not_controller", ())
    (mail,) = stand.mails(request_id)["not_controller"]
    assert "the organisation that runs that installation" in text(mail)


async def test_of_two_in_one_letter_the_copy_comes_first_whatever_arrives_first(web: Portal, stand: Stand) -> None:
    someone = sample.person(150)
    case_id, copy = uuid4(), uuid4()
    erasure = await web.submit(person(150), "erasure", case_id=case_id, after=(copy,))
    status = await web.until(erasure, lambda found: found.state == "waiting")
    assert status.reason is not None
    assert status.reason.code == "comes_after_another"
    assert await rows_with(stand, "accounts", someone.email)
    await web.submit(person(150), "access", request_id=copy, case_id=case_id)
    told = await web.closed(copy)
    gone = await web.closed(erasure)
    (mail,) = stand.mails(copy)[str(told.outcome)]
    answer = await fetch(mail)
    for words in (someone.account_id, someone.invoices[0].number, someone.visits[0].ip, someone.charges[0].id):
        assert words in answer.words
    assert gone.outcome == "partially_completed"
    assert await rows_with(stand, "accounts", someone.email) == []


async def test_a_childs_data_is_erased_on_a_report_that_a_person_has_checked(web: Portal, stand: Stand) -> None:
    child = sample.person(152)
    personal = replace_requester(
        somebody(child.email, method=None, name=child.name), relationship="reporter", email="rita@example.org"
    )
    request_id = await web.submit(personal, "erasure", channel="signal")
    status = await web.until(request_id, lambda found: found.state == "triage")
    assert status.reason is not None
    assert status.reason.code == "child_reported"
    code, said = await habeas(
        stand,
        "classify",
        status.reference.lower(),
        "--right",
        "erasure",
        "--authorised",
        "--revision",
        "1",
        "--reason",
        "child_reported",
    )
    assert code == 0, said
    closed = await web.closed(request_id)
    assert await rows_with(stand, "accounts", child.email) == []
    for mail in stand.mails(request_id)[str(closed.outcome)]:
        assert mail["To"] == "rita@example.org"
        assert child.name not in text(mail)
        assert "invoice" not in text(mail).lower(), "a bystander learns nothing of what was held"


async def test_a_withdrawn_request_asks_nobody_any_more(web: Portal, stand: Stand) -> None:
    missing = uuid4()
    request_id = await web.submit(person(154), "erasure", after=(missing,))
    await web.until(request_id, lambda found: found.state == "waiting")
    withdrawn = RequestWithdrawn(request_id=request_id, reason="changed_my_mind")
    await web.publish(write(withdrawn, subject=request_id, source="portals/web", now=datetime.now(UTC)))
    status = await web.closed(request_id)
    assert status.outcome == "withdrawn"
    assert set(stand.mails(request_id)) == {"acknowledged", "withdrawn"}
    assert await rows_with(stand, "accounts", sample.person(154).email)


async def test_an_amendment_in_triage_may_let_it_go_on(web: Portal) -> None:
    request_id = await web.submit(person(156), "rectification")
    status = await web.until(request_id, lambda found: found.state == "triage")
    assert status.reason is not None
    assert status.reason.code == "corrections_missing"
    details = Details(corrections=(Correction(category="account", field="city", value="Ulm"),))
    place = Place("web", RequestAmended.TYPE, request_id)
    sealed = seal_personal(web.keyring, place, AmendedPersonal(details=details))
    amended = RequestAmended(request_id=request_id, personal=sealed)
    key, value, headers = encode(write(amended, subject=request_id, source="portals/web", now=datetime.now(UTC)))
    await web.producer.send_and_wait(submissions("web"), value, key=key, headers=headers)
    assert (await web.closed(request_id)).outcome == "completed"


async def test_what_nobody_can_classify_waits_for_a_person_who_can_refuse_it(web: Portal, stand: Stand) -> None:
    request_id = await web.submit(person(158), "unclassified")
    await web.until(request_id, lambda found: found.state == "triage")
    code, said = await habeas(stand, "refuse", str(request_id), "--ground", "no_such_ground", "--reason", "x")
    assert code != 0
    code, said = await habeas(stand, "refuse", str(request_id), "--ground", "unfounded_or_excessive", "--reason", "x")
    assert code == 0, said
    status = await web.closed(request_id)
    assert status.outcome == "refused"
    (mail,) = stand.mails(request_id)["refused"]
    assert "12(5)" in text(mail)


def replace_requester(personal: SubmissionPersonal, *, relationship: str, email: str) -> SubmissionPersonal:
    """Somebody else asks, about a child."""
    return personal.model_copy(
        update={
            "subject": personal.subject.model_copy(update={"minor": True}),
            "requester": Requester(relationship=relationship, email=email),
        }
    )
