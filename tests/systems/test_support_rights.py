"""Support and the further rights: what is asked for binds the team's own code, and nothing else is touched."""

import datetime as dt
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from habeas.contracts.submission import Correction, Period
from habeas.participant import Sqlite
from systems import sample
from systems.support import recipients, retention
from systems.support.app import support
from systems.support.store import opened, prepare
from systems.support.use import suggest_reply, use
from tests.systems.clerk import Clerk, Reply, occurrences, scope_of

CONVERSATIONS, NOTES = "support_conversations", "product_improvement"
SOMEONE = sample.person(13)
"""Has a product note, and nobody joined in."""
WROTE = sample.conversations(13)
EMAIL = ("email", SOMEONE.email)
SHARED, JOINED = sample.person(3), sample.person(4)
LATER = dt.date(2030, 1, 1)
"""When everything in the sample is older than the team keeps it."""


@pytest.fixture(scope="module")
async def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("support-rights")
    store = Sqlite(folder / "support.db", prepare=prepare)
    await store.open()
    await store.close()
    return folder


@pytest.fixture
def folder(tmp_path: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HABEAS_DATA_DIR", str(tmp_path / "support"))
    return Path(shutil.copytree(seeded, tmp_path / "support"))


@pytest.fixture
async def clerk(folder: Path) -> AsyncIterator[Clerk]:
    clerk = Clerk(support)
    await clerk.start()
    yield clerk
    await clerk.stop()


def only(category: str, *purposes: str) -> dict[str, Any]:
    return {"scope": scope_of("support", category, purposes=purposes or None)}


def correction(field: str, value: str | None, **changes: object) -> Correction:
    return Correction.model_validate({"category": CONVERSATIONS, "field": field, "value": value, **changes})


async def correct(clerk: Clerk, *corrections: Correction, **changes: Any) -> Reply:
    return await clerk.ask("rectify", EMAIL, corrections=corrections, **changes)


async def held(clerk: Clerk, email: str = SOMEONE.email) -> list[str]:
    """The ids of what access finds."""
    return [record.id for record in (await clerk.ask("access", ("email", email))).personal.records]


def notices(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "recipients").rglob("*.json"))]


def test_the_sample_has_what_these_tests_rest_on() -> None:
    assert [bool(conversation.product_note) for conversation in WROTE] == [True, *[False] * (len(WROTE) - 1)]
    assert {message.email for conversation in WROTE for message in conversation.messages} == {SOMEONE.email, None}
    assert max(message.at for conversation in WROTE for message in conversation.messages).year < 2027


@pytest.mark.parametrize("action", ["access", "export"])
async def test_nothing_outside_the_scope_is_told(clerk: Clerk, action: str) -> None:
    for category in (CONVERSATIONS, NOTES):
        reply = await clerk.ask(action, EMAIL, **only(category))
        assert {record.category for record in reply.personal.records} == {category}
        assert {told for told, _ in reply.did} == {category}
    assert (await clerk.ask(action, EMAIL, scope=())).body.outcome == "nothing_held"


async def test_a_period_starts_with_its_start_and_stops_before_its_end(clerk: Clerk) -> None:
    first, answer = WROTE[0].messages
    cases: list[tuple[dt.datetime | None, dt.datetime | None, list[dt.datetime]]] = [
        (first.at, None, [first.at, answer.at]),
        (first.at + dt.timedelta(seconds=1), None, [answer.at]),
        (first.at, answer.at, [first.at]),
        (None, first.at, []),
    ]
    for start, end, expected in cases:
        reply = await clerk.ask("access", EMAIL, period=Period(start=start, end=end), **only(CONVERSATIONS))
        told = [record.data["messages"] for record in reply.personal.records if record.id == WROTE[0].id]
        assert [message["at"] for messages in told for message in messages] == [at.isoformat() for at in expected]


async def test_export_leaves_out_what_the_team_wrote(clerk: Clerk) -> None:
    for action, authors in (("access", {SOMEONE.name, "Ale support"}), ("export", {SOMEONE.name})):
        reply = await clerk.ask(action, EMAIL)
        assert {message["author"] for record in reply.data(CONVERSATIONS) for message in record["messages"]} == authors
        assert {record.origin for record in reply.personal.records} == {"provided"}


async def test_erasure_of_notes_leaves_the_conversations_and_the_other_way_round(clerk: Clerk) -> None:
    reply = await clerk.ask("erase", EMAIL, **only(NOTES))
    assert reply.did == {(NOTES, "deleted"): 1, (NOTES, "recipients_notified"): 1}
    assert await held(clerk) == [conversation.id for conversation in WROTE]
    other = sample.person(1)
    await clerk.ask("erase", ("email", other.email), **only(CONVERSATIONS))
    assert await held(clerk, other.email) == [f"note-{sample.conversations(1)[0].id}"]


async def test_name_and_address_are_corrected_and_the_note_stays_found(clerk: Clerk, folder: Path) -> None:
    new = "neu@example.org"
    reply = await correct(
        clerk,
        correction("email", f" {new.upper()} ", old=SOMEONE.email.upper()),
        correction("name", "Somebody Else", old=SOMEONE.name),
    )
    assert reply.did == {(CONVERSATIONS, "rectified"): 2 * len(WROTE), (CONVERSATIONS, "recipients_notified"): 1}
    assert await held(clerk) == []
    found = await clerk.ask("access", ("email", new))
    assert "Somebody Else" in str(found.data(CONVERSATIONS))
    assert len(found.data(NOTES)) == 1
    assert occurrences(folder, SOMEONE.email) == {}


async def test_what_people_wrote_is_not_rewritten(clerk: Clerk) -> None:
    await correct(clerk, correction("name", "Somebody Else"))
    (record, *_) = (await clerk.ask("access", EMAIL)).data(CONVERSATIONS)
    assert f"Regards, {SOMEONE.name}" in record["messages"][0]["body"]


async def test_one_record_alone_is_corrected_where_one_is_named(clerk: Clerk) -> None:
    person = sample.person(1) if len(sample.conversations(1)) > 1 else sample.person(2)
    wrote = sample.conversations(person.number)
    reply = await clerk.ask(
        "rectify", ("email", person.email), corrections=[correction("name", "Else", record_id=wrote[0].id)]
    )
    assert reply.did[(CONVERSATIONS, "rectified")] == 1
    told = (await clerk.ask("access", ("email", person.email))).data(CONVERSATIONS)
    assert [record["messages"][0]["author"] for record in told] == ["Else", *[person.name] * (len(wrote) - 1)]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (correction("name", "New", old="Nobody"), "old_value_differs"),
        (correction("email", "new@example.org", old="nobody@example.org"), "old_value_differs"),
        (correction("name", "New", op="complete"), "already_filled"),
        (correction("name", None, op="remove"), "field_unknown"),
        (correction("body", "New"), "field_unknown"),
        (correction("note", "New", category=NOTES), "field_unknown"),
        (correction("name", None), "value_missing"),
        (correction("email", "nowhere"), "value_invalid"),
        (correction("email", SHARED.email), "value_taken"),
        (correction("name", "New", record_id="conv-000003-1"), "record_unknown"),
    ],
)
async def test_a_correction_that_cannot_be_made_undoes_the_others(clerk: Clerk, wrong: Correction, code: str) -> None:
    before = (await clerk.ask("access", EMAIL)).data(CONVERSATIONS)
    reply = await correct(clerk, correction("name", "Somebody Else"), wrong)
    assert (reply.body.outcome, reply.code, reply.did) == ("needs_input", code, {})
    assert (await clerk.ask("access", EMAIL)).data(CONVERSATIONS) == before


async def test_a_correction_of_what_is_not_there_finds_nothing(clerk: Clerk) -> None:
    wanted = [correction("name", "New")]
    reply = await clerk.ask("rectify", ("email", "nobody@example.org"), corrections=wanted)
    assert reply.body.outcome == "nothing_held"
    assert (await correct(clerk, correction("name", "New", record_id="conv-000003-1"))).body.outcome == "nothing_held"


async def test_a_correction_outside_the_scope_is_none(clerk: Clerk) -> None:
    for wanted in ([], [correction("name", "New")]):
        assert (await correct(clerk, *wanted, **only(NOTES))).code == "corrections_missing"
    assert SOMEONE.name in str((await clerk.ask("access", EMAIL)).data(CONVERSATIONS))


async def test_what_is_right_already_counts_the_same(clerk: Clerk) -> None:
    wanted = correction("name", "Somebody Else", old=SOMEONE.name)
    first, second = await correct(clerk, wanted), await correct(clerk, wanted)
    assert first.did[(CONVERSATIONS, "rectified")] == len(WROTE)
    assert first.did == second.did


async def test_restricted_conversations_rest_until_they_are_unrestricted(clerk: Clerk) -> None:
    assert (await use(SOMEONE.email)).done
    request = uuid4()
    reply = await clerk.ask("restrict", EMAIL, request_id=request, **only(CONVERSATIONS))
    assert reply.did == {(CONVERSATIONS, "restricted"): len(WROTE), (CONVERSATIONS, "recipients_notified"): 1}
    for purpose, why in (
        ("answering", "restricted"),
        ("technical_notices", "restricted"),
        ("improving_the_service", None),
    ):
        used = await use(SOMEONE.email, purpose)
        assert (used.purpose, used.done, used.why) == (purpose, why is None, why)
    lifted = await clerk.ask("unrestrict", EMAIL, request_id=request, attempt=2, **only(CONVERSATIONS))
    assert lifted.did == {(CONVERSATIONS, "unrestricted"): len(WROTE), (CONVERSATIONS, "recipients_notified"): 1}
    assert (await use(SOMEONE.email)).done


async def test_one_request_does_not_lift_another_s_restriction(clerk: Clerk) -> None:
    first, second = uuid4(), uuid4()
    for request in (first, second):
        reply = await clerk.ask("restrict", EMAIL, request_id=request)
        assert reply.did[(CONVERSATIONS, "restricted")] == len(WROTE)
    half = await clerk.ask("unrestrict", EMAIL, request_id=first)
    assert (half.body.outcome, half.did) == ("completed", {})
    assert (await use(SOMEONE.email)).why == "restricted"
    whole = await clerk.ask("unrestrict", EMAIL, request_id=second)
    assert whole.did[(CONVERSATIONS, "unrestricted")] == len(WROTE)
    assert (await use(SOMEONE.email)).done


async def test_half_a_lifted_restriction_is_a_restriction(clerk: Clerk) -> None:
    request = uuid4()
    await clerk.ask("restrict", EMAIL, request_id=request, **only(CONVERSATIONS))
    await clerk.ask("unrestrict", EMAIL, request_id=request, **only(CONVERSATIONS, "technical_notices"))
    assert (await use(SOMEONE.email, "technical_notices")).why == "restricted"


async def test_nothing_to_lift_is_not_nothing_held(clerk: Clerk) -> None:
    reply = await clerk.ask("unrestrict", EMAIL)
    assert (reply.body.outcome, reply.did) == ("completed", {})
    assert (await clerk.ask("unrestrict", ("email", "nobody@example.org"))).body.outcome == "nothing_held"


@pytest.mark.parametrize(("right", "why"), [("objection", "objected"), ("consent_withdrawal", "withdrawn")])
async def test_who_objects_gets_replies_without_the_notes(clerk: Clerk, right: str, why: str) -> None:
    async def suggested() -> str | None:
        async with opened() as file:
            return suggest_reply(file.connection, SOMEONE.email).text

    note = WROTE[0].product_note or ""
    with_note = max(WROTE, key=lambda conversation: conversation.messages[0].at) == WROTE[0]
    assert (note in (await suggested() or "")) == with_note
    reply = await clerk.ask("object", EMAIL, right=right, **only(NOTES))
    assert reply.did == {(NOTES, "stopped"): 1}
    assert note not in (await suggested() or "")
    used = await use(SOMEONE.email)
    assert used.done
    assert (used.what == "reply_suggestion_without_product_notes") == with_note
    assert (await use(SOMEONE.email, "improving_the_service")).why == why


async def test_an_objection_is_overridden_and_a_withdrawal_is_not(clerk: Clerk) -> None:
    for right, why in (("objection", None), ("consent_withdrawal", "withdrawn")):
        request = uuid4()
        await clerk.ask("object", EMAIL, request_id=request, right=right, **only(NOTES))
        await clerk.ask("unrestrict", EMAIL, request_id=request, attempt=2, right=right, **only(NOTES))
        assert (await use(SOMEONE.email, "improving_the_service")).why == why


async def test_an_objection_stops_its_own_purposes_alone(clerk: Clerk) -> None:
    await clerk.ask("object", EMAIL, **only(CONVERSATIONS, "technical_notices"))
    assert (await use(SOMEONE.email, "technical_notices")).why == "objected"
    assert (await use(SOMEONE.email)).done


async def test_a_purpose_that_support_does_not_have_cannot_be_stopped(clerk: Clerk) -> None:
    item = scope_of("support", NOTES)[0].model_copy(update={"purposes": ("improving_the_service", "trends")})
    reply = await clerk.ask("object", EMAIL, scope=(item,))
    assert (reply.body.outcome, reply.code) == ("needs_input", "purpose_unknown")
    assert (await use(SOMEONE.email, "improving_the_service")).done


async def test_locate_hands_out_identifiers_alone(clerk: Clerk) -> None:
    reply = await clerk.ask("locate", EMAIL, ("email", "nobody@example.org"))
    assert (reply.identities, reply.did, reply.personal.records) == ([EMAIL], {}, ())
    assert (await clerk.ask("locate", ("email", "nobody@example.org"))).body.outcome == "nothing_held"


async def test_an_objection_binds_before_there_is_a_note(clerk: Clerk) -> None:
    wrote = sample.conversations(2)
    assert not any(conversation.product_note for conversation in wrote)
    email = sample.person(2).email
    assert (await use(email, "improving_the_service")).done
    assert (await clerk.ask("object", ("email", email), **only(NOTES))).did == {(NOTES, "stopped"): len(wrote)}
    assert (await use(email, "improving_the_service")).why == "objected"


async def test_limits_follow_a_corrected_address(clerk: Clerk) -> None:
    await clerk.ask("object", EMAIL, **only(NOTES))
    await correct(clerk, correction("email", "new@example.org"))
    assert (await use("new@example.org", "improving_the_service")).why == "objected"
    assert (await use(SOMEONE.email, "improving_the_service")).why == "not_held"


async def test_a_restriction_ends_although_the_address_was_corrected(clerk: Clerk) -> None:
    request = uuid4()
    await clerk.ask("restrict", EMAIL, request_id=request)
    await correct(clerk, correction("email", "new@example.org"))
    assert (await use("new@example.org")).why == "restricted"
    lifted = await clerk.ask("unrestrict", EMAIL, request_id=request, attempt=2)
    assert lifted.did[(CONVERSATIONS, "unrestricted")] == len(WROTE)
    assert (await use("new@example.org")).done


async def test_limits_go_with_the_last_that_was_held(clerk: Clerk, folder: Path) -> None:
    await clerk.ask("restrict", EMAIL)
    await clerk.ask("erase", EMAIL, **only(NOTES))
    assert (await use(SOMEONE.email)).why == "restricted"
    await clerk.ask("erase", EMAIL)
    assert occurrences(folder, SOMEONE.email) == {}


@pytest.mark.parametrize("action", ["restrict", "unrestrict", "object", "hold"])
async def test_who_is_not_held_leaves_no_trace(clerk: Clerk, folder: Path, action: str) -> None:
    reply = await clerk.ask(action, ("email", "nobody@example.net"))
    assert reply.body.outcome == "nothing_held"
    assert occurrences(folder, "nobody@example.net") == {}


@pytest.mark.parametrize("action", ["rectify", "erase", "restrict", "object", "hold"])
async def test_a_new_attempt_answers_the_same(clerk: Clerk, folder: Path, action: str) -> None:
    request, wanted = uuid4(), [correction("name", "Somebody Else")] if action == "rectify" else []

    async def attempt(number: int) -> Reply:
        return await clerk.ask(action, EMAIL, request_id=request, attempt=number, corrections=wanted)

    first, told = await attempt(1), notices(folder) if action in {"rectify", "erase", "restrict"} else None
    await clerk.start()
    again = await attempt(2)
    assert first.did
    assert (again.did, again.body.outcome) == (first.did, first.body.outcome)
    assert told is None or notices(folder) == told


@pytest.mark.parametrize("action", ["restrict", "object", "hold"])
async def test_what_is_so_already_counts_the_same_for_another_request(clerk: Clerk, action: str) -> None:
    first, second = await clerk.ask(action, EMAIL), await clerk.ask(action, EMAIL)
    assert first.did
    assert first.did == second.did


async def test_recipients_are_told_which_records_and_nothing_of_the_person(clerk: Clerk, folder: Path) -> None:
    await correct(clerk, correction("email", "new@example.org"), **only(CONVERSATIONS))
    (notice,) = notices(folder)
    assert (notice["action"], notice["category"]) == ("rectify", CONVERSATIONS)
    assert notice["records"] == sorted(conversation.id for conversation in WROTE)
    assert occurrences(folder / "recipients", "@example.org") == {}


async def test_a_notice_is_handed_over_until_it_has_been(
    clerk: Clerk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = folder / "recipients"
    blocked.write_text("in the way")
    with pytest.raises(Exception, match="store is away"):
        await clerk.ask("restrict", EMAIL, **only(NOTES))
    blocked.unlink()
    await clerk.start()
    assert [notice["category"] for notice in notices(folder)] == [NOTES]
    written: list[sqlite3.Row] = []
    async with opened() as file:
        await recipients.hand_over(file.connection)
        written = file.connection.execute("select * from recipient_notices where handed_over_at is null").fetchall()
    assert written == []
    assert len(notices(folder)) == 1


async def test_old_conversations_go_with_their_notes_and_from_the_file(clerk: Clerk, folder: Path) -> None:
    assert await retention.run(dt.date(2026, 6, 1)) == {}
    deleted = await retention.run(LATER)
    everything = [
        conversation for number in range(1, sample.PEOPLE + 1) for conversation in sample.conversations(number)
    ]
    assert deleted == {
        CONVERSATIONS: len(everything),
        NOTES: sum(bool(conversation.product_note) for conversation in everything),
    }
    assert occurrences(folder, "@example.org") == {}
    assert await retention.run(LATER) == {}


async def test_the_last_message_counts(clerk: Clerk) -> None:
    last = max(message.at for message in WROTE[0].messages).date()
    day = last.replace(year=last.year + retention.YEARS)
    await retention.run(day)
    assert WROTE[0].id in await held(clerk)
    await retention.run(day + dt.timedelta(days=1))
    assert WROTE[0].id not in await held(clerk)


async def test_a_hold_keeps_until_it_is_due(clerk: Clerk) -> None:
    due = dt.datetime.combine(LATER, dt.time(12), dt.UTC)
    reply = await clerk.ask("hold", EMAIL, due_at=due)
    kept = {item.category: (item.did, item.count, item.ground, item.until) for item in reply.body.summary}
    assert kept == {
        CONVERSATIONS: ("retained", len(WROTE), "held_for_request", LATER),
        NOTES: ("retained", 1, "held_for_request", LATER),
    }
    everything = await held(clerk)
    await retention.run(LATER)
    assert await held(clerk) == everything
    assert (await use(SOMEONE.email)).done
    await retention.run(LATER + dt.timedelta(days=1))
    assert await held(clerk) == []


async def test_a_hold_covers_its_scope_alone(clerk: Clerk) -> None:
    due = dt.datetime.combine(LATER, dt.time(12), dt.UTC)
    await clerk.ask("hold", EMAIL, due_at=due, **only(NOTES))
    await retention.run(LATER)
    assert await held(clerk) == [f"note-{WROTE[0].id}"]


async def test_the_hold_s_own_request_ends_it_and_another_s_does_not(clerk: Clerk) -> None:
    request, due = uuid4(), dt.datetime.combine(LATER, dt.time(12), dt.UTC)
    await clerk.ask("hold", EMAIL, request_id=request, due_at=due)
    await clerk.ask("erase", EMAIL, **only(NOTES))
    await retention.run(LATER)
    assert await held(clerk) == [conversation.id for conversation in WROTE]
    erased = await clerk.ask("erase", EMAIL, request_id=request, attempt=2, **only(NOTES))
    assert erased.body.outcome == "nothing_held"
    await retention.run(LATER)
    assert await held(clerk) == []


async def test_a_hold_that_is_cancelled_is_over(clerk: Clerk) -> None:
    due = dt.datetime.combine(LATER, dt.time(12), dt.UTC)
    reply = await clerk.ask("hold", EMAIL, due_at=due, **only(CONVERSATIONS))
    await clerk.ask("hold", EMAIL, due_at=due, **only(NOTES))
    for _ in range(2):
        await clerk.cancel(reply)
    await retention.run(LATER)
    assert await held(clerk) == [f"note-{WROTE[0].id}"]


async def test_restricted_records_are_stored_and_not_deleted(clerk: Clerk) -> None:
    request = uuid4()
    await clerk.ask("restrict", EMAIL, request_id=request)
    everything = await held(clerk)
    await retention.run(LATER)
    assert await held(clerk) == everything
    await clerk.ask("unrestrict", EMAIL, request_id=request)
    await retention.run(LATER)
    assert await held(clerk) == []


@pytest.mark.parametrize("of", [SHARED, JOINED])
async def test_a_conversation_is_kept_whole_for_any_of_its_people(clerk: Clerk, of: sample.Person) -> None:
    before = await clerk.ask("access", ("email", SHARED.email), **only(CONVERSATIONS))
    await clerk.ask("restrict", ("email", of.email))
    await retention.run(LATER)
    after = await clerk.ask("access", ("email", SHARED.email), **only(CONVERSATIONS))
    whole = next(record for record in before.personal.records if record.id == "conv-000003-1")
    assert whole in after.personal.records


async def test_a_use_names_a_purpose_of_the_team(clerk: Clerk) -> None:
    with pytest.raises(ValueError, match="name one of these"):
        await use(SOMEONE.email, "marketing_messages")
    assert (await use("nobody@example.org")).why == "not_held"
