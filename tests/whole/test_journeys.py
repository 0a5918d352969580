"""From the portal to the mail: how requests end, and what their portal and the person hear on the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from stand import Portal, Stand, somebody
from whole_answers import link, text

from habeas.contracts.catalogue import read_personal, seal_personal, write
from habeas.contracts.cloudevents import CloudEvent, encode
from habeas.contracts.sealing import Place
from habeas.contracts.submission import Identity, Proof, Requester, RequestSubmitted, Subject, SubmissionPersonal
from systems import sample

pytestmark = pytest.mark.xdist_group("faults")
"""One after the other with them, not beside: what a killed process had committed and not sent comes late."""


async def test_a_person_nobody_knows_is_told_so(web: Portal, stand: Stand) -> None:
    request_id = await web.submit(somebody("stranger@example.org"))
    status = await web.closed(request_id)
    assert status.outcome == "nothing_held"
    assert {each.system: (each.state, each.outcome or each.reason) for each in status.systems} == {
        "billing": ("finished", "nothing_held"),
        "support": ("finished", "nothing_held"),
        "analytics": ("excluded", "identifier_not_found"),
        "payments": ("excluded", "identifier_not_found"),
    }
    assert status.answer is None
    assert set(stand.mails(request_id)) == {"acknowledged", "nothing_held"}


async def test_systems_are_asked_in_two_waves(web: Portal) -> None:
    person = sample.person(102)
    request_id = await web.submit(somebody(person.email, name=person.name))
    await web.closed(request_id)
    seen: dict[str, list[tuple[str, str | None]]] = {}
    for status in web.statuses(request_id):
        for each in status.systems:
            steps = seen.setdefault(each.system, [])
            if not steps or steps[-1] != (each.state, each.reason):
                steps.append((each.state, each.reason))
    for system in ("billing", "support"):
        assert not {state for state, _ in seen[system]} & {"waiting", "excluded"}
        assert seen[system][-1] == ("finished", None)
    for system in ("analytics", "payments"):
        assert seen[system][0] == ("waiting", "waiting_for_identifier")
        assert seen[system][-1] == ("finished", None)


async def test_versions_rise_by_one_and_the_highest_stands_last(web: Portal) -> None:
    person = sample.person(104)
    request_id = await web.submit(somebody(person.email, name=person.name))
    closed = await web.closed(request_id)
    versions = [status.version for status in web.statuses(request_id)]
    assert versions == list(range(1, closed.version + 1))
    states = [status.state for status in web.statuses(request_id)]
    assert states[0] == "received"
    assert states.count("closed") == 1
    assert {status.reference for status in web.statuses(request_id)} == {closed.reference}


async def test_an_unknown_way_of_proving_is_refused_with_all_that_a_refusal_must_say(web: Portal, stand: Stand) -> None:
    person = sample.person(106)
    request_id = await web.submit(somebody(person.email, method="horoscope", name=person.name))
    status = await web.closed(request_id)
    assert (status.state, status.outcome) == ("closed", "refused")
    assert status.reason is not None
    assert status.reason.code == "identity_not_established"
    assert status.systems == (), "nobody is asked about a person who may be somebody else"
    mails = stand.mails(request_id)
    assert set(mails) == {"refused"}
    words = text(mails["refused"][0])
    assert "We cannot act on your request".upper() in words
    assert "12(6)" in words, "why"
    assert "Berliner Beauftragte für Datenschutz" in words, "the complaint"
    assert "GDPR Art. 77" in words
    assert "You may also go to court" in words


@pytest.mark.parametrize("method", [None, "id_document"])
async def test_what_the_portal_cannot_attest_is_no_proof(web: Portal, method: str | None) -> None:
    """No proof at all, and one that the registry takes from the help desk alone."""
    request_id = await web.submit(somebody("no.proof@example.org", method=method), notify_by="portal")
    status = await web.closed(request_id)
    assert status.reason is not None
    assert (status.outcome, status.reason.code) == ("refused", "identity_not_established")


async def test_an_unproven_identity_beside_a_proven_one_is_not_used(web: Portal, stand: Stand) -> None:
    known = sample.person(108)
    proof = Proof(method="portal_login", at=datetime.now(UTC), level="substantial")
    personal = SubmissionPersonal(
        subject=Subject(
            identities=(
                Identity(identity_type="email", identity_value="proven.stranger@example.org", proof=proof),
                Identity(identity_type="email", identity_value=known.email),
                Identity(identity_type="account_id", identity_value=known.account_id),
            )
        ),
        requester=Requester(email="proven.stranger@example.org"),
    )
    request_id = await web.submit(personal)
    status = await web.closed(request_id)
    assert status.outcome == "nothing_held"
    assert set(stand.mails(request_id)) == {"acknowledged", "nothing_held"}


async def test_mails_go_to_the_proven_address(web: Portal, stand: Stand) -> None:
    person = sample.person(110)
    personal = somebody(person.email, name=person.name).model_copy(
        update={"requester": Requester(email="somebody.else@example.org")}
    )
    request_id = await web.submit(personal)
    await web.closed(request_id)
    mails = [mail for each in stand.mails(request_id).values() for mail in each]
    assert {mail["To"] for mail in mails} == {person.email}


async def test_a_portal_that_tells_by_itself_closes_without_mails(web: Portal, stand: Stand) -> None:
    request_id = await web.submit(somebody("told.by.portal@example.org"), notify_by="portal")
    status = await web.closed(request_id)
    assert status.outcome == "nothing_held"
    assert stand.mails(request_id) == {}


async def test_an_answer_s_link_is_mailed_even_so(web: Portal, stand: Stand) -> None:
    person = sample.person(112)
    request_id = await web.submit(somebody(person.email, name=person.name), notify_by="portal")
    status = await web.closed(request_id)
    mails = stand.mails(request_id)
    assert set(mails) == {status.outcome}
    assert link(mails[str(status.outcome)][0])


@pytest.mark.parametrize(
    ("right", "members", "reason"),
    [
        ("levitation", {}, "right_not_classified"),
        ("unclassified", {}, "right_not_classified"),
        ("rectification", {}, "corrections_missing"),
        ("opt_out", {}, "right_not_automated"),
        ("access", {"jurisdiction": "US-CA"}, "regulation_unknown"),
        ("access", {"regulation": "codex-hammurabi"}, "regulation_unknown"),
    ],
)
async def test_what_cannot_be_classified_opens_for_a_person(
    web: Portal, stand: Stand, right: str, members: dict[str, str], reason: str
) -> None:
    request_id = await web.submit(somebody("unusual@example.org"), right, **members)
    status = await web.until(request_id, lambda found: found.state == "triage")
    assert status.reason is not None
    assert status.reason.code == reason
    assert status.due is not None, "the clock runs all the same"
    assert status.outcome is None
    await mails_of(stand, web, request_id, {"acknowledged", "dpo_triage"})
    (mail,) = stand.mails(request_id)["dpo_triage"]
    assert mail["To"] == "dpo@ale.example"
    assert status.reference in text(mail)


async def test_an_agent_s_request_opens_for_a_person(web: Portal, stand: Stand) -> None:
    personal = somebody("represented@example.org").model_copy(
        update={"requester": Requester(relationship="agent", email="agent@example.org")}
    )
    request_id = await web.submit(personal)
    status = await web.until(request_id, lambda found: found.state == "triage")
    assert status.reason is not None
    assert status.reason.code == "acts_for_another"


async def mails_of(stand: Stand, web: Portal, request_id: UUID, wanted: set[str]) -> None:
    """Waits for mails that no status tells of, by way of a request that is told of after them."""
    while set(stand.mails(request_id)) != wanted:
        await web.closed(await web.submit(somebody("waiting.for.mails@example.org")))


@pytest.mark.parametrize(
    ("received", "day"),
    [
        ("2025-03-02T09:15:00+00:00", "2025-04-02"),
        ("2025-01-31T22:30:00+00:00", "2025-02-28"),  # no 31 February
        ("2025-01-31T23:30:00+00:00", "2025-03-03"),  # 1 February in Berlin; 1 March is a Saturday
        ("2025-02-08T12:00:00+00:00", "2025-03-10"),  # 8 March: Saturday, and a holiday of Berlin
        ("2025-04-01T12:00:00+00:00", "2025-05-02"),  # 1 May
        ("2024-11-25T12:00:00+00:00", "2024-12-27"),  # Christmas
    ],
)
async def test_the_due_date_is_a_calendar_month_of_berlin(web: Portal, received: str, day: str) -> None:
    instant = datetime.fromisoformat(received)
    request_id = await web.submit(
        somebody("patient@example.org"), notify_by="portal", received_at=instant, submitted_time=instant
    )
    status = await web.closed(request_id)
    assert status.due is not None
    assert status.due.on.isoformat() == day
    last = datetime.fromisoformat(f"{day}T23:59:59").replace(tzinfo=status.due.at.tzinfo)
    assert abs(status.due.at - last) <= timedelta(hours=2), "the last second of that day in Berlin"
    assert "1182/71" in status.due.rule or "12(3)" in status.due.rule


@pytest.mark.xdist_group("faults")  # where the help desk's records are counted
async def test_the_help_desk_takes_identity_documents(helpdesk: Portal, web: Portal, stand: Stand) -> None:
    person = sample.person(114)
    request_id = await helpdesk.submit(somebody(person.email, method="id_document", name=person.name))
    status = await helpdesk.closed(request_id)
    assert status.outcome in {"completed", "partially_completed"}
    assert set(stand.mails(request_id)) == {"acknowledged", status.outcome}
    assert web.statuses(request_id) == [], "another portal hears nothing of it"


def resealed(portal: Portal, event: CloudEvent) -> CloudEvent:
    """The same content sealed anew, in another event."""
    place = Place(portal.name, RequestSubmitted.TYPE, event.subject)
    body = RequestSubmitted.model_validate_json(event.data)
    personal = read_personal(portal.keyring, place, body.personal, SubmissionPersonal)
    again = body.model_copy(update={"personal": seal_personal(portal.keyring, place, personal)})
    assert again.personal != body.personal
    return write(again, subject=event.subject, source=event.source, now=datetime.now(UTC))


async def test_the_same_submission_again_is_the_same_request(web: Portal, stand: Stand) -> None:
    person = sample.person(116)
    event = web.submission(somebody(person.email, name=person.name))
    await web.publish(event)
    await web.publish(event)
    await web.publish(resealed(web, event))
    status = await web.closed(event.subject)
    await web.publish(event)
    again = await web.publish(resealed(web, event))
    marker = web.submission(somebody("behind.it@example.org"), notify_by="portal")
    await web.send(marker.data, key=str(marker.subject).encode(), headers=headers_of(marker), partition=again.partition)
    await web.closed(marker.subject)  # all that stood before it has been handled
    versions = [each.version for each in web.statuses(event.subject)]
    assert versions == list(range(1, status.version + 1))
    assert {notice: len(mails) for notice, mails in stand.mails(event.subject).items()} == {
        "acknowledged": 1,
        str(status.outcome): 1,
    }
    rejected = [record for record in web.watch.records if record.key == str(event.id).encode()]
    assert rejected == []


def headers_of(event: CloudEvent) -> list[tuple[str, bytes]]:
    return encode(event)[2]


async def test_a_structured_event_is_taken_as_well(web: Portal) -> None:
    event = web.submission(somebody("structured@example.org"), notify_by="portal")
    envelope = {
        "specversion": "1.0",
        "id": str(event.id),
        "source": event.source,
        "type": event.type,
        "time": event.time.isoformat(),
        "subject": str(event.subject),
        "datacontenttype": "application/json",
        "data": RequestSubmitted.model_validate_json(event.data).model_dump(mode="json"),
    }
    await web.send(
        json.dumps(envelope).encode(),
        key=str(event.subject).encode(),
        headers=[("content-type", b"application/cloudevents+json; charset=utf-8")],
    )
    assert (await web.closed(event.subject)).outcome == "nothing_held"


async def test_unknown_members_and_words_do_not_matter(web: Portal) -> None:
    event = web.submission(somebody("chatty@example.org"), channel="carrier_pigeon", notify_by="portal")
    data = event.data[:-1] + b',"colour":"blue"}'
    await web.send(data, key=str(event.subject).encode(), headers=headers_of(event))
    assert (await web.closed(event.subject)).outcome == "nothing_held"


async def test_upper_case_ids_are_the_same_ids(web: Portal) -> None:
    event = web.submission(somebody("loud@example.org"), notify_by="portal", request_id=uuid4())
    headers = [(name, value.upper() if name == "ce_subject" else value) for name, value in headers_of(event)]
    await web.send(event.data, key=str(event.subject).upper().encode(), headers=headers)
    assert (await web.closed(event.subject)).outcome == "nothing_held"
