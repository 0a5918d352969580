"""From the portal to the mail, black box."""

from stand import Portal, Stand, somebody

from systems import sample


async def test_an_access_is_answered_with_a_link(web: Portal, stand: Stand) -> None:
    person = sample.person(100)
    request_id = await web.submit(somebody(person.email, name=person.name))
    status = await web.closed(request_id)
    assert status.outcome in {"completed", "partially_completed"}
    assert set(stand.mails(request_id)) == {"acknowledged", status.outcome}


async def test_a_person_nobody_knows_is_told_so(web: Portal, stand: Stand) -> None:
    request_id = await web.submit(somebody("stranger@example.org"))
    status = await web.closed(request_id)
    assert status.outcome == "nothing_held"
    assert {system.system: system.state for system in status.systems} == {
        "billing": "finished",
        "support": "finished",
        "analytics": "excluded",
        "payments": "excluded",
    }
    assert set(stand.mails(request_id)) == {"acknowledged", "nothing_held"}
