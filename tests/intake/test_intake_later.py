"""What portals say about a request beside submitting it: through the consumer, with real PostgreSQL and Kafka."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from habeas.contracts import Place, Reason
from habeas.contracts.catalogue import read_personal
from habeas.contracts.command import CommandClassify, CommandDecided
from habeas.contracts.submission import (
    Details,
    IdentityConfirmed,
    RequestAmended,
    Requester,
    RequestSubmitted,
    RequestWithdrawn,
)
from habeas.contracts.topics import REQUESTS
from services.intake import store
from services.intake.later import EARLY_PATIENCE, Later
from shared.database import Pool
from shared.events import IdentitiesAdded, OpenedPersonal, RequestOpened, SubmissionRefused, WithdrawalReceived
from shared.messaging.consumer import Consumer, Handler
from shared.messaging.outbox import Outgoing
from shared.messaging.received import Reading, receive_all
from shared.messaging.work import Work
from tests.core.fixtures import MakeOutbox
from tests.core.plans import explain, indexes, scanned
from tests.core.workbench import NOW, REGISTRY, Clock, Keys, PrivateOutbox, Raw
from tests.intake.samples import (
    PROVEN,
    amended,
    classify,
    confirmed,
    identity,
    person,
    proof,
    submitted,
    withdrawn,
)

SELF = Requester(name="Ana", email="ana@example.org")
AGENT = Requester(relationship="agent", email="bo@example.org")
SHOWN = identity(shown=proof())
ACCOUNT = identity("acc-1", "account_id", proof())
UNPROVEN_AGENT = person(identity(), requester=AGENT)
PROVEN_AGENT = person(SHOWN, requester=AGENT)


def openings(outbox: PrivateOutbox) -> list[tuple[int, str, str | None]]:
    bodies = [each.body for each in outbox.said(RequestOpened)]
    return [(body.version, str(body.decision), body.reason and body.reason.code) for body in bodies]


def refusals(outbox: PrivateOutbox) -> list[tuple[str, UUID, str, str]]:
    bodies = [each.body for each in outbox.said(SubmissionRefused)]
    return [(body.portal, body.ce_id, body.errors[0].code, body.errors[0].pointer) for body in bodies]


async def copies(pool: Pool) -> int:
    """How many sealed copies of what people said the tables hold."""
    return int(
        await pool.fetchval(
            "SELECT (SELECT count(*) FROM requests WHERE num_nonnulls(submission, personal) > 0)"
            " + (SELECT count(*) FROM messages WHERE personal IS NOT NULL)"
        )
    )


async def state(pool: Pool, request_id: UUID) -> str:
    return str(await pool.fetchval("SELECT decision FROM requests WHERE request_id = $1", request_id))


async def states(pool: Pool) -> dict[UUID, str]:
    rows = await pool.fetch("SELECT request_id, decision FROM requests")
    return {row["request_id"]: row["decision"] for row in rows}


async def test_what_is_in_triage_is_amended_into_acceptance(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, clock: Clock, pool: Pool
) -> None:
    request_id, first, case = uuid4(), uuid4(), uuid4()
    await intake.handle(
        [submitted(keys, UNPROVEN_AGENT, request_id=request_id, right="erasure", after=(first,), case_id=case)]
    )
    assert await copies(pool) == 1
    clock.advance(timedelta(days=3))
    await intake.handle([confirmed(keys, request_id, SHOWN)])
    assert await copies(pool) == 1
    amendment = amended(keys, request_id, ACCOUNT, requester=SELF, details=Details(categories=("invoices",)))
    await intake.handle([amendment])
    assert openings(outbox) == [
        (1, "triage", "acts_for_another"),
        (2, "triage", "acts_for_another"),
        (3, "accepted", None),
    ]
    opened = [each.body for each in outbox.said(RequestOpened)]
    final = opened[-1]
    assert (final.right, final.after, final.case_id, final.jurisdiction) == ("erasure", (first,), case, "DE-BE")
    assert final.received_at == opened[0].received_at
    assert (final.opened_at, final.reference, final.portal) == (NOW, opened[0].reference, "web")
    assert final.due is not None
    assert final.due.on.isoformat() == "2026-04-02"  # from the receipt, not from the amendment
    personal = keys.open(outbox.said(RequestOpened)[-1])
    assert personal.subject.identities == (SHOWN, ACCOUNT)
    assert (personal.requester, personal.details.categories) == (SELF, ("invoices",))
    assert await copies(pool) == 0
    assert all(each.topic == REQUESTS for each in outbox.sent)


async def test_what_makes_no_difference_is_not_told(intake: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, PROVEN_AGENT, request_id=request_id)])
    outbox.take()
    await intake.handle([amended(keys, request_id, SHOWN, requester=AGENT), amended(keys, request_id)])
    assert outbox.sent == []


async def test_what_is_added_is_told_before_anybody_vouches_for_it(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, PROVEN_AGENT, request_id=request_id)])
    await intake.handle([amended(keys, request_id, identity("later@example.org"))])
    await intake.handle([classify(request_id, authorised=True)])
    (decided,) = (each.body for each in outbox.said(CommandDecided))
    assert (decided.accepted, decided.reason.code) == (False, "amended_since")
    outbox.take()
    await intake.handle([classify(request_id, authorised=True, revision=2)])
    (said,) = outbox.said(RequestOpened)
    assert [each.identity_value for each in keys.open(said).subject.identities] == [
        "ana@example.org",
        "later@example.org",
    ]


@pytest.mark.parametrize("say", [amended, confirmed])
async def test_further_identities_of_what_is_accepted_are_passed_on(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, say: Callable[..., Raw]
) -> None:
    request_id, ce_id = uuid4(), uuid4()
    await intake.handle([submitted(keys, request_id=request_id)])
    record = say(keys, request_id, ACCOUNT, identity("unproven@example.org"), ce_id=ce_id)
    await intake.handle([record, record])
    await intake.handle([record.again()])
    (said,) = outbox.said(IdentitiesAdded)
    assert (said.topic, said.body.request_id, said.body.amendment_id) == (REQUESTS, request_id, ce_id)
    assert keys.open(said).identities == (ACCOUNT,)
    assert len(openings(outbox)) == 1
    await intake.handle([say(keys, request_id, identity("unproven@example.org"))])
    assert len(outbox.said(IdentitiesAdded)) == 1
    assert outbox.dead_letters() == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [({"requester": SELF}, "/personal/requester"), ({"details": Details(statement="more")}, "/personal/details")],
)
async def test_other_changes_of_what_is_accepted_are_too_late(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, changes: dict[str, Any], pointer: str
) -> None:
    request_id, ce_id = uuid4(), uuid4()
    record = amended(keys, request_id, ACCOUNT, ce_id=ce_id, **changes)
    await intake.handle([submitted(keys, request_id=request_id)])
    await intake.handle([record])
    assert refusals(outbox) == [("web", ce_id, "too_late", pointer)]
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.TOO_LATE]
    assert outbox.said(IdentitiesAdded) == []


async def test_an_amendment_that_was_taken_is_not_too_late_when_it_comes_again(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    record = amended(keys, request_id, requester=SELF)
    await intake.handle([submitted(keys, PROVEN_AGENT, request_id=request_id)])
    await intake.handle([record])
    await intake.handle([record.again(), record])
    assert openings(outbox) == [(1, "triage", "acts_for_another"), (2, "accepted", None)]
    assert outbox.dead_letters() == []


@pytest.mark.parametrize("personal", [PROVEN, PROVEN_AGENT], ids=["accepted", "triage"])
async def test_another_portal_has_no_say(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool, personal: Any
) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, personal, request_id=request_id)])
    ids = [uuid4() for _ in range(3)]
    await intake.handle(
        [
            confirmed(keys, request_id, ACCOUNT, portal="helpdesk", ce_id=ids[0]),
            amended(keys, request_id, ACCOUNT, requester=SELF, portal="helpdesk", ce_id=ids[1]),
            withdrawn(keys, request_id, portal="helpdesk", ce_id=ids[2]),
        ]
    )
    assert refusals(outbox) == [("helpdesk", ce_id, "foreign_request", "/request_id") for ce_id in ids]
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.FOREIGN_REQUEST] * 3
    assert len(openings(outbox)) == 1
    assert await state(pool, request_id) == ("triage" if personal is PROVEN_AGENT else "accepted")


async def test_a_withdrawal_ends_triage_for_good(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    request_id = uuid4()
    await intake.handle([submitted(keys, PROVEN_AGENT, request_id=request_id)])
    await intake.handle([withdrawn(keys, request_id, reason="changed_mind")])
    (said,) = outbox.said(WithdrawalReceived)
    assert (said.topic, said.body.reason, said.body.received_at) == (REQUESTS, "changed_mind", NOW)
    assert (await state(pool, request_id), await copies(pool)) == ("withdrawn", 0)
    await intake.handle([withdrawn(keys, request_id), classify(request_id, authorised=True)])
    await intake.handle([amended(keys, request_id, requester=SELF)])
    assert [(code, pointer) for _, _, code, pointer in refusals(outbox)] == [("too_late", "")]
    assert len(openings(outbox)) == len(outbox.said(WithdrawalReceived)) == 1
    (decided,) = outbox.said(CommandDecided)
    assert decided.body.reason.code == "not_in_triage"


async def test_a_withdrawal_of_what_is_accepted_is_passed_on_once(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    request_id = uuid4()
    record = withdrawn(keys, request_id)
    await intake.handle([submitted(keys, request_id=request_id), record])
    await intake.handle([record, record.again(), withdrawn(keys, request_id)])
    assert len(outbox.said(WithdrawalReceived)) == 1
    assert await state(pool, request_id) == "accepted"
    assert outbox.dead_letters() == []


async def test_a_withdrawal_of_what_was_refused_is_too_late(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id, ce_id = uuid4(), uuid4()
    await intake.handle([submitted(keys, person(identity()), request_id=request_id)])
    await intake.handle([withdrawn(keys, request_id, ce_id=ce_id)])
    assert refusals(outbox) == [("web", ce_id, "too_late", "")]
    assert outbox.said(WithdrawalReceived) == []


async def test_what_is_said_early_counts_when_the_submission_comes(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    request_id = uuid4()
    early = [
        amended(keys, request_id, requester=AGENT, answers=uuid4()),
        confirmed(keys, request_id, SHOWN),
        amended(keys, request_id, requester=SELF),
    ]
    for record in early:
        await intake.handle([record, record])
    await intake.handle([record.again() for record in early])
    assert outbox.sent == []
    assert await copies(pool) == 3
    submission = submitted(keys, UNPROVEN_AGENT, request_id=request_id)
    await intake.handle([submission])
    assert openings(outbox) == [(1, "accepted", None)]
    personal = keys.open(outbox.said(RequestOpened)[0])
    assert (personal.requester, personal.subject.identities) == (SELF, (SHOWN,))
    assert await copies(pool) == 0
    await intake.handle([submission, *early, submission.again()])
    assert len(outbox.sent) == 1  # what the portal submitted is still the same, though more was said of it


async def test_the_order_in_which_a_portal_spoke_counts_within_a_batch_too(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    """Early messages are stored by their ids, which stand in any order."""
    for order in itertools.permutations(range(3)):
        request_id, drawn = uuid4(), sorted(uuid4() for _ in range(3))
        ids = [drawn[place] for place in order]
        words = ("first", "second", "third")
        batch = [
            amended(keys, request_id, details=Details(statement=word), ce_id=ce_id)
            for word, ce_id in zip(words, ids, strict=True)
        ]
        await intake.handle(batch)
        await intake.handle([submitted(keys, request_id=request_id)])
        assert keys.open(outbox.said(RequestOpened)[-1]).details.statement == "third"


async def test_an_early_withdrawal_opens_and_ends_the_request(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool, clock: Clock
) -> None:
    accepted, triage, refused = uuid4(), uuid4(), uuid4()
    ce_id = uuid4()
    await intake.handle([withdrawn(keys, each, reason="changed_mind") for each in (accepted, triage)])
    await intake.handle([withdrawn(keys, refused, ce_id=ce_id)])
    clock.advance(timedelta(minutes=1))
    await intake.handle(
        [
            submitted(keys, request_id=accepted),
            submitted(keys, PROVEN_AGENT, request_id=triage),
            submitted(keys, person(identity()), request_id=refused),
        ]
    )
    told = [type_of(record) for record in outbox.sent if record.key == triage]
    assert told == [RequestOpened.TYPE, WithdrawalReceived.TYPE]
    withdrawals = {each.body.request_id: each.body for each in outbox.said(WithdrawalReceived)}
    assert withdrawals.keys() == {accepted, triage}
    assert (withdrawals[triage].reason, withdrawals[triage].received_at) == ("changed_mind", NOW)
    assert [await state(pool, each) for each in (accepted, triage, refused)] == ["accepted", "withdrawn", "refused"]
    assert refusals(outbox) == [("web", ce_id, "too_late", "")]
    assert await copies(pool) == 0


def type_of(record: Outgoing) -> str:
    return dict(record.headers)["ce_type"].decode()


async def test_what_another_portal_said_early_is_refused_when_the_submission_comes(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    request_id, ids = uuid4(), [uuid4(), uuid4()]
    await intake.handle(
        [
            amended(keys, request_id, ACCOUNT, requester=SELF, portal="helpdesk", ce_id=ids[0]),
            withdrawn(keys, request_id, portal="helpdesk", ce_id=ids[1]),
        ]
    )
    await intake.handle([submitted(keys, PROVEN_AGENT, request_id=request_id)])
    assert openings(outbox) == [(1, "triage", "acts_for_another")]
    assert outbox.said(WithdrawalReceived) == []
    assert sorted(refusals(outbox)) == sorted(("helpdesk", each, "foreign_request", "/request_id") for each in ids)
    assert await pool.fetchval("SELECT count(*) FROM messages WHERE early") == 0


async def test_a_ce_id_is_for_one_request(intake: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    one, other, ce_id = uuid4(), uuid4(), uuid4()
    await intake.handle([submitted(keys, request_id=one), submitted(keys, request_id=other)])
    await intake.handle([withdrawn(keys, one, ce_id=ce_id), withdrawn(keys, other, ce_id=ce_id)])
    assert [each.body.request_id for each in outbox.said(WithdrawalReceived)] == [one]
    assert refusals(outbox) == [("web", ce_id, "conflict", "ce_id")]
    # Another portal's ids are its own.
    await intake.handle([submitted(keys, portal="helpdesk", request_id=(third := uuid4()))])
    await intake.handle([withdrawn(keys, third, portal="helpdesk", ce_id=ce_id)])
    assert [each.body.request_id for each in outbox.said(WithdrawalReceived)] == [one, third]


@dataclass
class Story:
    """One request, and all that is ever said of it."""

    request_id: UUID
    records: Sequence[Raw]

    @classmethod
    def new(cls, keys: Keys) -> "Story":
        of = uuid4()
        return cls(
            of,
            [
                submitted(keys, UNPROVEN_AGENT, request_id=of),
                amended(keys, of, requester=SELF),
                confirmed(keys, of, SHOWN),
                withdrawn(keys, of),
                classify(of, authorised=True),
            ],
        )


def told_of(outbox: PrivateOutbox, model: Any, request_id: UUID) -> list[Any]:
    return [each.body for each in outbox.said(model) if each.body.request_id == request_id]


async def test_in_whatever_order_all_of_it_comes(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    """Every order, record by record: it always ends, told once, without a copy; and again it changes nothing."""
    stories = []
    for order in itertools.permutations(range(5)):
        story = Story.new(keys)
        stories.append(story)
        for index in order:
            await intake.handle([story.records[index]])
    ended = await states(pool)
    endings = set()
    for story in stories:
        of = story.request_id
        opened = told_of(outbox, RequestOpened, of)
        versions = [body.version for body in opened]
        assert versions == list(range(1, len(versions) + 1))
        withdrawals = told_of(outbox, WithdrawalReceived, of)
        refused = told_of(outbox, SubmissionRefused, of)
        (decided,) = told_of(outbox, CommandDecided, of)
        assert decided.accepted is (opened[-1].decision == "accepted" and not _amended_to_self(opened[-1], keys))
        assert len(withdrawals) == (ended[of] != "refused")
        assert opened[-1].decision == ("triage" if ended[of] == "withdrawn" else ended[of])
        assert bool(refused) or ended[of] != "refused"
        endings.add(ended[of])
    assert endings == {"accepted", "refused", "withdrawn"}
    assert await copies(pool) == 0
    assert await pool.fetchval("SELECT count(*) FROM messages WHERE early") == 0

    outbox.take()
    await intake.handle([record for story in stories for record in story.records])
    assert {type_of(record) for record in outbox.sent} == {
        CommandDecided.TYPE,
        SubmissionRefused.TYPE,
        "dsr.dead-letter.v1",
    }
    assert await states(pool) == ended


def _amended_to_self(opened: RequestOpened, keys: Keys) -> bool:
    place = Place("services", RequestOpened.TYPE, opened.request_id)
    return read_personal(keys.file.keyring(), place, opened.personal, OpenedPersonal).requester == SELF


async def test_all_of_it_in_one_batch_and_in_several_processes_at_once(
    new_intake: Callable[[], Consumer], outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    """A rebalance hands a batch to a second process while the first still works on it."""
    stories = [Story.new(keys) for _ in range(30)]
    batch = [record for story in stories for record in story.records]
    await asyncio.gather(*(new_intake().handle(records) for records in (batch, batch[::-1], batch)))
    for story in stories:
        assert [body.version for body in told_of(outbox, RequestOpened, story.request_id)] == [1, 2, 3]
        assert len(told_of(outbox, WithdrawalReceived, story.request_id)) == 1
        decided = {body.accepted for body in told_of(outbox, CommandDecided, story.request_id)}
        assert len(decided) == 1
    assert await copies(pool) == 0
    assert outbox.dead_letters() == []


class Stumbling(PrivateOutbox):
    """Loses its connection once, after everything else of the transaction was done."""

    stumbles = False

    async def write(self, connection: Any, records: Any) -> None:
        await super().write(connection, records)
        if self.stumbles:
            self.stumbles = False
            raise asyncpg.ConnectionDoesNotExistError("gone")


@pytest.fixture
async def outbox(pool: Pool, make_outbox: MakeOutbox) -> PrivateOutbox:
    return await make_outbox(pool, kind=Stumbling)


async def test_what_was_rolled_back_happens_once(intake: Consumer, outbox: Stumbling, keys: Keys, pool: Pool) -> None:
    story = Story.new(keys)
    for record in (story.records[index] for index in (2, 0, 1, 3)):  # confirmed, submitted, amended, withdrawn
        outbox.stumbles = True
        await intake.handle([record])
        assert outbox.stumbles is False
    assert openings(outbox) == [(1, "triage", "acts_for_another"), (2, "accepted", None)]
    assert len(outbox.said(WithdrawalReceived)) == 1
    assert await copies(pool) == 0


async def test_what_was_overtaken_is_taken_up(
    new_intake: Callable[[], Consumer], outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    """Neither of two processes sees what the other has in hand, so that a message can be filed as early for nothing."""
    request_id, foreign = uuid4(), uuid4()
    filed, opened_meanwhile = asyncio.Event(), asyncio.Event()
    one, other = new_intake(), new_intake()
    records = [
        amended(keys, request_id, SHOWN, requester=SELF),
        amended(keys, request_id, requester=SELF, portal="helpdesk", ce_id=foreign),
    ]

    async def work_on(work: Work) -> None:
        await handler(one, RequestAmended)(received(records, RequestAmended, keys), work)
        filed.set()
        await opened_meanwhile.wait()

    filing = asyncio.create_task(one.transact(work_on))
    await filed.wait()
    await other.handle([submitted(keys, UNPROVEN_AGENT, request_id=request_id)])
    opened_meanwhile.set()
    await filing
    assert openings(outbox) == [(1, "triage", "acts_for_another")]
    await asyncio.gather(one.transact(Later(REGISTRY).tidy), other.transact(Later(REGISTRY).tidy))
    assert openings(outbox) == [(1, "triage", "acts_for_another"), (2, "accepted", None)]
    assert refusals(outbox) == [("helpdesk", foreign, "foreign_request", "/request_id")]
    assert await copies(pool) == 0


async def test_what_never_finds_its_request_is_forgotten_after_a_month(
    intake: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool, clock: Clock
) -> None:
    lonely, known = uuid4(), uuid4()
    await intake.handle([submitted(keys, request_id=known), withdrawn(keys, known)])
    await intake.handle([amended(keys, lonely, SHOWN), withdrawn(keys, lonely)])
    later = Later(REGISTRY)
    clock.advance(EARLY_PATIENCE)
    await intake.transact(later.tidy)
    assert await copies(pool) == 1
    clock.advance(timedelta(seconds=1))
    await intake.transact(later.tidy)
    assert await copies(pool) == 0
    assert await pool.fetchval("SELECT count(*) FROM messages") == 1  # that the other was heard is not forgotten


def received(records: Sequence[Raw], model: Any, keys: Keys) -> list[Any]:
    reading = {model.TYPE: Reading(model)}
    return receive_all(records, {record.topic: reading for record in records}, keys.file.keyring())


async def statements(intake: Consumer, records: Sequence[Raw], model: Any, keys: Keys) -> list[str]:
    """What a batch asks of the database, by name."""
    names = {statement: name for name, statement in store._SQL.items()}
    found: list[str] = []

    async def work_on(work: Work) -> None:
        work.connection.add_query_logger(lambda query: found.append(query.query))
        await handler(intake, model)(received(records, model, keys), work)

    await intake.transact(work_on)
    return [names[query] for query in found if query in names]


def handler(intake: Consumer, model: Any) -> Handler:
    return next(route.handle for route in intake.routes if route.model is model)


@pytest.mark.parametrize("count", [1, 60])
async def test_a_plain_submission_costs_four_statements_a_batch(intake: Consumer, keys: Keys, count: int) -> None:
    """Is it known, references, was anything said early, insert."""
    records = [submitted(keys) for _ in range(count)]
    found = await statements(intake, records, RequestSubmitted, keys)
    assert found == ["known", "reference_numbers", "early", "insert"]


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("personal", [PROVEN, UNPROVEN_AGENT], ids=["accepted", "triage"])
async def test_no_message_costs_a_statement_of_its_own(intake: Consumer, keys: Keys, count: int, personal: Any) -> None:
    ids = [uuid4() for _ in range(count)]
    await intake.handle([submitted(keys, personal, request_id=each) for each in ids])
    for model, records in (
        (IdentityConfirmed, [confirmed(keys, each, ACCOUNT) for each in ids]),
        (RequestAmended, [amended(keys, each, identity("b@example.org", shown=proof())) for each in ids]),
        (RequestWithdrawn, [withdrawn(keys, each) for each in ids]),
        (RequestWithdrawn, [withdrawn(keys, uuid4()) for _ in ids]),
        (CommandClassify, [classify(each) for each in ids]),
    ):
        found = await statements(intake, records, model, keys)
        assert len(found) == len(set(found)) >= 3


async def test_the_look_ups_use_their_indexes(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await connection.execute(
            """
            INSERT INTO messages
            SELECT 'web', gen_random_uuid(), gen_random_uuid(), 'withdrawal', n,
                   now() - n * interval '1 minute', n % 50 = 0
            FROM generate_series(1, 50000) AS n
            """
        )
        await connection.execute("ANALYZE messages")
        ids = [uuid4() for _ in range(20)]
        nodes = await explain(connection, store._SQL["early"], ids)
        assert (scanned(nodes), indexes(nodes)) == (set(), {"messages_early"})
        nodes = await explain(connection, store._SQL["heard"], ["web"] * 20, ids)
        assert (scanned(nodes), indexes(nodes)) == (set(), {"messages_pkey"})
        nodes = await explain(connection, store._SQL["forget_early"], NOW - timedelta(days=30000))
        assert (scanned(nodes), indexes(nodes)) == (set(), {"messages_early_since"})
