"""Submissions in, opened requests and refusals out: through the consumer, with real PostgreSQL and Kafka."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from habeas.contracts import Reason
from habeas.contracts.sealing import new_key
from habeas.contracts.submission import Details, Requester
from habeas.contracts.topics import REQUESTS, submissions
from shared.events import Decision, RequestOpened, SubmissionRefused
from shared.messaging.consumer import Consumer
from tests.core.workbench import NOW, Keys, PrivateOutbox, Raw, buried
from tests.intake.samples import PROVEN, identity, person, proof, submitted


def opened(outbox: PrivateOutbox) -> list[RequestOpened]:
    return [each.body for each in outbox.said(RequestOpened)]


async def test_a_new_request_is_opened_and_told(intake: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, request_id=request_id)])
    (said,) = outbox.said(RequestOpened)
    body = said.body
    assert said.topic == REQUESTS
    assert (body.request_id, body.portal, body.decision) == (request_id, "web", Decision.ACCEPTED)
    assert (body.right, body.regulation, body.opened_at) == ("access", "eu-gdpr", NOW)
    personal = keys.open(said)
    assert personal.subject == PROVEN.subject
    assert personal.requester == PROVEN.requester
    assert len(outbox.sent) == 1


async def test_a_portals_proof_that_is_not_trusted_opens_a_refusal(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    await intake.handle([submitted(keys, person(identity(shown=proof("id_document"))))])
    (body,) = opened(outbox)
    assert (body.decision, body.reason and body.reason.code) == (Decision.REFUSED, "identity_not_established")


async def test_an_unknown_right_opens_in_triage(intake: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    await intake.handle([submitted(keys, right="seance"), submitted(keys, jurisdiction="US-CA")])
    assert {(body.decision, body.right) for body in opened(outbox)} == {
        (Decision.TRIAGE, "seance"),
        (Decision.TRIAGE, "access"),
    }
    assert outbox.dead_letters() == []


async def test_the_same_again_is_nothing(
    intake: Consumer, new_intake: Callable[[], Consumer], outbox: PrivateOutbox, keys: Keys
) -> None:
    """In the same batch, in the next, after a restart; redelivered, published again, sealed anew."""
    request_id = uuid4()
    record = submitted(keys, request_id=request_id)
    resealed = submitted(keys, request_id=request_id)
    assert record.value != resealed.value
    await intake.handle([record, record, record.again(), resealed])
    await intake.handle([record, resealed.again()])
    await new_intake().handle([resealed, record])
    assert len(opened(outbox)) == 1
    assert len(outbox.sent) == 1


async def test_the_same_after_a_rotation_of_the_services_key_is_the_same(
    new_intake: Callable[[], Consumer], outbox: PrivateOutbox, keys: Keys
) -> None:
    """What is known was fingerprinted with the older key, which still tells it apart."""
    request_id = uuid4()
    await new_intake().handle([submitted(keys, request_id=request_id)])
    keys.add(new_key("services", _next_generation(keys)))
    other = submitted(keys, person(identity("other@example.org", shown=proof())), request_id=request_id)
    await new_intake().handle([submitted(keys, request_id=request_id), other])
    assert len(opened(outbox)) == 1
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.CONFLICT]


def _next_generation(keys: Keys) -> int:
    return int(keys.file.keyring().sealing_kid("services").rpartition("/")[2]) + 1


@pytest.mark.parametrize(
    "different",
    [
        {"right": "erasure"},
        {"notify_by": "portal"},
        {"received_at": NOW - timedelta(days=2)},
        {"personal": person(identity("other@example.org", shown=proof()))},
        {"personal": person(*PROVEN.subject.identities, requester=Requester(email="other@example.org"))},
        {"personal": person(*PROVEN.subject.identities, details=Details(statement="and another thing"))},
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
async def test_the_same_id_with_other_content_is_a_conflict(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, different: dict[str, Any], together: bool
) -> None:
    request_id, ce_id = uuid4(), uuid4()
    first = submitted(keys, request_id=request_id)
    other = submitted(keys, request_id=request_id, ce_id=ce_id, **different)
    for batch in [[first, other]] if together else [[first], [other]]:
        await intake.handle(batch)
    assert len(opened(outbox)) == 1
    (letter,) = outbox.dead_letters()
    assert (letter.reason, letter.pointer, letter.offset) == (Reason.CONFLICT, "/request_id", other.offset)
    assert buried(keys, letter).restored() == (other.key, other.value, list(other.headers))
    (refused,) = outbox.said(SubmissionRefused)
    assert (refused.body.portal, refused.body.ce_id, refused.body.request_id) == ("web", ce_id, request_id)
    assert [error.code for error in refused.body.errors] == ["conflict"]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
async def test_another_portals_id_is_foreign(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, together: bool
) -> None:
    """Even with the very same content: who submits is part of what a request is."""
    request_id = uuid4()
    first = submitted(keys, request_id=request_id)
    other = submitted(keys, portal="helpdesk", request_id=request_id)
    for batch in [[first, other]] if together else [[first], [other]]:
        await intake.handle(batch)
    assert [body.portal for body in opened(outbox)] == ["web"]
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.FOREIGN_REQUEST]
    assert [refused.body.portal for refused in outbox.said(SubmissionRefused)] == ["helpdesk"]


async def test_a_date_ahead_is_refused_and_the_right_date_later_is_taken(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    ahead = submitted(keys, request_id=request_id, received_at=NOW + timedelta(minutes=5, seconds=1))
    good = submitted(keys, request_id=request_id, received_at=NOW + timedelta(minutes=5))
    await intake.handle([ahead, good])
    assert [body.received_at for body in opened(outbox)] == [NOW + timedelta(minutes=5)]
    (letter,) = outbox.dead_letters()
    assert (letter.reason, letter.pointer) == (Reason.RECEIVED_IN_FUTURE, "/received_at")
    assert len(outbox.said(SubmissionRefused)) == 1


async def test_bad_records_disturb_nothing_and_are_told_where_they_can_be(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    good = [submitted(keys) for _ in range(6)]
    topic = submissions("web")
    sender = good[0]
    without_id = [(name, value) for name, value in sender.headers if name != "ce_id"]
    ids = [uuid4() for _ in range(3)]
    bad = [
        Raw(topic, None, None, ()),
        Raw(topic, sender.key, b"{", with_id(sender, ids[0])),
        Raw(topic, sender.key, sender.value, without_id),
        Raw(topic, b"\xff", sender.value, with_id(sender, ids[1])),
        submitted(keys, portal="helpdesk"),
    ]
    # What one portal sealed stands on another's topic.
    bad[4] = Raw(topic, bad[4].key, bad[4].value, with_id(bad[4], ids[2]))
    batch = [record for pair in zip(good, [*bad, None], strict=True) for record in pair if record is not None]
    await intake.handle(batch)
    assert len(opened(outbox)) == 6
    assert [(letter.offset, letter.reason) for letter in outbox.dead_letters()] == [
        (bad[0].offset, Reason.TOMBSTONE),
        (bad[1].offset, Reason.NOT_JSON),
        (bad[2].offset, Reason.HEADER_MISSING),
        (bad[3].offset, Reason.KEY_INVALID),
        (bad[4].offset, Reason.KEY_FOREIGN),
    ]
    assert [refused.body.ce_id for refused in outbox.said(SubmissionRefused)] == ids


def with_id(record: Raw, ce_id: UUID) -> list[tuple[str, bytes | None]]:
    return [(name, str(ce_id).encode() if name == "ce_id" else value) for name, value in record.headers]


async def test_two_processes_with_the_same_batch_open_each_request_once(
    new_intake: Callable[[], Consumer], outbox: PrivateOutbox, keys: Keys
) -> None:
    """A rebalance hands a batch to a second process while the first still works on it."""
    batch = [submitted(keys) for _ in range(80)]
    await asyncio.gather(new_intake().handle(batch), new_intake().handle(batch[::-1]), new_intake().handle(batch))
    assert len({body.request_id for body in opened(outbox)}) == len(opened(outbox)) == 80
    assert outbox.dead_letters() == []


async def test_no_personal_data_leaves_in_clear(intake: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    secret = "zq7-secret@example.org"
    requester = Requester(email=secret, name=secret)
    good = submitted(keys, person(identity(secret, shown=proof()), requester=requester))
    conflict = submitted(keys, person(identity("b" + secret, shown=proof())), request_id=UUID(good.key.decode()))  # type: ignore[union-attr]
    await intake.handle([good, conflict])
    assert len(outbox.sent) == 3
    for record in outbox.sent:
        assert b"zq7-secret" not in (record.value or b"") + repr(record.headers).encode()
    assert "zq7-secret" not in repr(outbox.sent)
