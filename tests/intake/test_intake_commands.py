"""Commands in, decisions out: through the consumer, with real PostgreSQL and Kafka."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from habeas.contracts import Reason
from habeas.contracts.catalogue import COMMAND_TYPES, read, write
from habeas.contracts.command import Command, CommandDecided, CommandLift, command_type
from habeas.contracts.submission import Details, Requester
from habeas.contracts.topics import COMMANDS, DECISIONS, REQUESTS
from services.intake.commands import Commands
from shared.database import Pool
from shared.events import RequestOpened, WithdrawalReceived
from shared.messaging.consumer import Consumer
from shared.messaging.received import Received
from shared.messaging.work import Work
from tests.core.workbench import NOW, REGISTRY, Clock, Keys, PrivateOutbox, Raw, event, raw
from tests.intake.samples import (
    amended,
    classify,
    identity,
    person,
    proof,
    refuse,
    submitted,
    withdrawn,
)

AGENT = Requester(relationship="agent", email="bo@example.org")
UNPROVEN_AGENT = person(identity(), requester=AGENT)


def decisions(outbox: PrivateOutbox) -> list[tuple[bool, str | None]]:
    bodies = [each.body for each in outbox.said(CommandDecided)]
    return [(body.accepted, body.reason and body.reason.code) for body in bodies]


async def copies(pool: Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM requests WHERE num_nonnulls(submission, personal) > 0"))


async def test_a_classified_request_is_accepted_under_its_own_deadline(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, clock: Clock, pool: Pool
) -> None:
    request_id, command_id = uuid4(), uuid4()
    await intake.handle([submitted(keys, UNPROVEN_AGENT, request_id=request_id, right="forget", jurisdiction="XX")])
    clock.advance(timedelta(days=2))
    command = classify(request_id, "erasure", jurisdiction="FR", authorised=True, command_id=command_id)
    await intake.handle([command])
    first, second = outbox.said(RequestOpened)
    assert (second.topic, second.body.version, second.body.decision) == (REQUESTS, 2, "accepted")
    assert (second.body.right, second.body.regulation, second.body.jurisdiction) == ("erasure", "eu-gdpr", "FR")
    assert second.body.due is not None
    assert second.body.due.on.isoformat() == "2026-04-02"
    assert (second.body.reference, second.body.opened_at) == (first.body.reference, NOW)
    personal = keys.open(second)
    assert personal.subject.identities == (identity(),)
    assert personal.requester == AGENT
    (decided,) = outbox.said(CommandDecided)
    assert (decided.topic, decided.body.request_id, decided.body.command_id) == (DECISIONS, request_id, command_id)
    assert (decided.body.accepted, decided.body.reason, decided.body.decided_at) == (True, None, clock.now)
    assert decided.event.causation_id == dict(command.headers)["ce_id"].decode()  # type: ignore[union-attr]
    assert await copies(pool) == 0


async def test_what_would_not_be_accepted_changes_nothing(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, UNPROVEN_AGENT, request_id=request_id)])
    before = await pool.fetchrow("SELECT * FROM requests")
    await intake.handle(
        [
            classify(request_id),
            classify(request_id, "opt_out", authorised=True),
            classify(request_id, "rectification", authorised=True),
            refuse(request_id, "because"),
        ]
    )
    assert sorted(str(code) for _, code in decisions(outbox)) == [
        "acts_for_another",
        "corrections_missing",
        "ground_unknown",
        "right_not_automated",
    ]
    assert not any(accepted for accepted, _ in decisions(outbox))
    assert len(outbox.said(RequestOpened)) == 1
    assert await pool.fetchrow("SELECT * FROM requests") == before


async def test_a_refusal_is_told_with_its_ground(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, UNPROVEN_AGENT, request_id=request_id)])
    await intake.handle([refuse(request_id, "unfounded_or_excessive")])
    body = outbox.said(RequestOpened)[-1].body
    assert (body.version, body.decision, body.due.on.isoformat()) == (2, "refused", "2026-04-02")
    assert (body.reason.code, body.reason.ground) == ("unfounded_or_excessive", "unfounded_or_excessive")
    assert keys.open(outbox.said(RequestOpened)[-1]).subject.identities == ()
    assert (decisions(outbox), await copies(pool)) == ([(True, None)], 0)


async def test_a_command_that_comes_again_is_told_the_same_again(
    intake: Consumer, new_intake: Callable[[], Consumer], outbox: PrivateOutbox, keys: Keys, clock: Clock
) -> None:
    """Whatever has happened since: in the batch, in the next, after a restart."""
    request_id, unknown = uuid4(), uuid4()
    early, good = classify(unknown), classify(request_id, authorised=True)
    await intake.handle([submitted(keys, UNPROVEN_AGENT, request_id=request_id), good, good.again(), early])
    first = {each.body.command_id: each.body for each in outbox.said(CommandDecided)}
    assert {body.reason and body.reason.code for body in first.values()} == {None, "request_unknown"}
    clock.advance(timedelta(hours=1))
    await intake.handle([submitted(keys, request_id=unknown), withdrawn(keys, request_id)])
    await new_intake().handle([good.again(), early.again()])
    said = [each.body for each in outbox.said(CommandDecided)]
    assert len(said) == 5
    assert all(body == first[body.command_id] for body in said)
    assert [
        body.version for body in (each.body for each in outbox.said(RequestOpened)) if body.request_id == request_id
    ] == [1, 2]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
async def test_the_same_id_with_another_order_is_a_conflict(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, together: bool
) -> None:
    request_id, command_id = uuid4(), uuid4()
    await intake.handle([submitted(keys, UNPROVEN_AGENT, request_id=request_id)])
    one = classify(request_id, command_id=command_id)
    other = classify(request_id, command_id=command_id, authorised=True)
    for batch in [[one, other]] if together else [[one], [other]]:
        await intake.handle(batch)
    assert decisions(outbox) == [(False, "acts_for_another")]
    (letter,) = outbox.dead_letters()
    assert (letter.reason, letter.pointer) == (Reason.CONFLICT, "/command_id")


async def test_the_first_of_two_commands_decides(intake: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, UNPROVEN_AGENT, request_id=request_id)])
    await intake.handle([classify(request_id, authorised=True), classify(request_id, "erasure", authorised=True)])
    await intake.handle([refuse(request_id)])
    assert decisions(outbox) == [(True, None), (False, "not_in_triage"), (False, "not_in_triage")]
    assert [each.body.right for each in outbox.said(RequestOpened)] == ["access", "access"]


async def test_what_a_command_changed_is_amended_no_more(intake: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, UNPROVEN_AGENT, request_id=request_id)])
    await intake.handle([refuse(request_id)])
    await intake.handle([amended(keys, request_id, identity(shown=proof())), withdrawn(keys, request_id)])
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.TOO_LATE] * 2
    assert outbox.said(WithdrawalReceived) == []


async def test_several_processes_decide_once(
    new_intake: Callable[[], Consumer], outbox: PrivateOutbox, keys: Keys
) -> None:
    ids = [uuid4() for _ in range(40)]
    await new_intake().handle([submitted(keys, UNPROVEN_AGENT, request_id=each) for each in ids[:20]])
    batch = [classify(each, authorised=True) for each in ids]
    await asyncio.gather(*(new_intake().handle(some) for some in (batch, batch[::-1], batch)))
    outcomes: dict[UUID, set[Any]] = {}
    for each in outbox.said(CommandDecided):
        outcomes.setdefault(each.body.request_id, set()).add((each.body.accepted, each.body.decided_at))
    assert [len(outcomes[each]) for each in ids] == [1] * 40
    assert [each.body.version for each in outbox.said(RequestOpened)].count(2) == 20
    assert outbox.dead_letters() == []


async def test_a_version_that_is_expected_is_the_collectors_to_know(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, UNPROVEN_AGENT, request_id=request_id)])
    await intake.handle([classify(request_id, authorised=True, expected_version=99)])
    assert decisions(outbox) == [(True, None)]


async def test_the_verbs_of_others_are_left_to_them(intake: Consumer, outbox: PrivateOutbox) -> None:
    lift = CommandLift(command_id=uuid4(), request_id=uuid4(), by="dpo-1", reason="verified")
    await intake.handle([raw(COMMANDS, event(lift))])
    assert outbox.sent == []


def command(verb: str, command_id: UUID) -> tuple[Raw, Received[Command, None]]:
    body = Command(command_id=command_id, request_id=uuid4(), by="dpo-1", reason="curious")
    sent = write(body, subject=body.request_id, source="tests", now=NOW, ce_type=command_type(verb))
    record = raw(COMMANDS, sent)
    return record, Received(record, sent, "services", read(sent, Command), None)


async def test_a_verb_that_nobody_knows_is_answered(intake: Consumer, outbox: PrivateOutbox) -> None:
    command_id = uuid4()
    _, received = command("frobnicate", command_id)

    async def work_on(work: Work) -> None:
        await Commands(REGISTRY).unknown([received, received], work)

    await intake.transact(work_on)
    await intake.transact(work_on)
    assert {each.body.command_id for each in outbox.said(CommandDecided)} == {command_id}
    assert decisions(outbox) == [(False, "verb_unknown")] * 4


@pytest.mark.parametrize("model", [model for model in COMMAND_TYPES if model is not Command])
async def test_and_no_verb_that_somebody_knows(intake: Consumer, outbox: PrivateOutbox, model: Any) -> None:
    _, received = command(model.TYPE.split(".")[2], uuid4())

    async def work_on(work: Work) -> None:
        await Commands(REGISTRY).unknown([received], work)

    await intake.transact(work_on)
    assert outbox.sent == []


async def test_an_unknown_verb_on_the_wire_is_answered(intake: Consumer, outbox: PrivateOutbox) -> None:
    record, _ = command("frobnicate", uuid4())
    await intake.handle([record, classify(uuid4()), record.again()])
    assert sorted(decisions(outbox), key=str) == [
        (False, "request_unknown"),
        (False, "verb_unknown"),
        (False, "verb_unknown"),
    ]


async def test_an_order_that_breaks_its_schema_is_a_dead_letter(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    good = classify(uuid4())
    assert good.value is not None
    bad = Raw(good.topic, good.key, good.value.replace(b'"right"', b'"wrong"'), good.headers)
    await intake.handle([bad, good])
    assert [(letter.reason, letter.pointer) for letter in outbox.dead_letters()] == [(Reason.MEMBER_MISSING, "/right")]
    assert decisions(outbox) == [(False, "request_unknown")]


async def test_details_in_triage_are_told_by_nobody_but_the_sealed_part(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    secret = "zq7-secret"
    hidden = person(
        identity(f"{secret}@example.org"),
        requester=Requester(relationship="agent", name=secret),
        details=Details(statement=secret),
    )
    request_id = uuid4()
    await intake.handle([amended(keys, uuid4(), identity(secret)), submitted(keys, hidden, request_id=request_id)])
    rows = [dict(row) for table in ("requests", "messages") for row in await pool.fetch(f"SELECT * FROM {table}")]
    assert len(rows) == 2
    assert await copies(pool) == 1
    assert secret not in repr(rows)
    await intake.handle([classify(request_id, authorised=True)])
    for record in outbox.sent:
        assert secret.encode() not in (record.value or b"") + repr(record.headers).encode()
