"""The collector through its consumer, on real PostgreSQL and Kafka: facts in any order, one truth out."""

import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from habeas.contracts import Reason
from habeas.contracts.canonical import canonical
from habeas.contracts.command import CommandDecided, CommandLift, CommandRelease, CommandRetry, Order
from habeas.contracts.dead_letter import DeadLetter
from habeas.contracts.result import Artifact, ResultPersonal, TaskFinished, TaskProgressed
from habeas.contracts.sealing import new_key
from habeas.contracts.status import StatusChanged, SubmissionError, SubmissionRejected
from habeas.contracts.submission import Details, Identity, Requester, Subject
from habeas.contracts.topics import COMMANDS, OUTCOMES, PROGRESS, REQUESTS, results, status
from services.collector import store
from services.collector.commands import Command, Commands
from services.collector.handlers import ORPHAN_PATIENCE, Handlers
from shared.database import Pool
from shared.events import (
    Audience,
    CollectionAwaited,
    DeliveryResult,
    LeftOutCategory,
    NoticeDelivered,
    NoticeRequested,
    PlanMade,
    PlannedSystem,
    Recipient,
    RequestCollected,
    RequestOpened,
    RequestStopped,
    RoundOrdered,
    SubmissionRefused,
    SystemsFinished,
    WithdrawalReceived,
)
from shared.messaging.consumer import Consumer, Patience, Route
from shared.messaging.outbox import Outgoing
from tests.collector.samples import PERSONAL, finished_record, item, opened_record, plan, record, task
from tests.core.fixtures import MakeOutbox
from tests.core.workbench import NOW, REGISTRY, Clock, Keys, PrivateOutbox, Raw, buried, event, raw, said
from tests.stack_database import Database

ACCOUNT = Identity(identity_type="account_id", identity_value="acc-1")
FORBIDDEN = Identity(identity_type="visitor_id", identity_value="v-1")  # billing does not provide it


@pytest.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("collector")


@pytest.fixture
async def outbox(pool: Pool, make_outbox: MakeOutbox) -> PrivateOutbox:
    return await make_outbox(pool)


@pytest.fixture
def woken() -> list[int]:
    return []


@pytest.fixture
def handlers(clock: Clock, woken: list[int]) -> Handlers:
    return Handlers(REGISTRY, clock, lambda: woken.append(1))


@pytest.fixture
def collector(pool: Pool, outbox: PrivateOutbox, keys: Keys, clock: Clock, handlers: Handlers) -> Consumer:
    systems = tuple(results(system) for system in REGISTRY.systems)
    commands = Commands(handlers.marketing)
    routes = (
        Route((REQUESTS,), RequestOpened, handlers.opened),
        Route((REQUESTS,), SubmissionRefused, handlers.refused),
        Route((PROGRESS,), PlanMade, handlers.planned),
        Route((PROGRESS,), NoticeDelivered, handlers.delivered),
        Route(systems, TaskProgressed, handlers.progressed),
        Route(systems, TaskFinished, handlers.finished),
        Route((REQUESTS,), WithdrawalReceived, handlers.withdrawn),
        Route((PROGRESS,), CollectionAwaited, handlers.awaited),
        *(Route((COMMANDS,), command, commands.ordered) for command in get_args(Command)),
    )
    return Consumer(
        "collector", routes, pool, outbox, keys.file, clock, handlers.settle, patience=Patience(unknown_key=0.0)
    )


def planned_record(request_id: UUID, version: int = 1, **systems: str) -> Raw:
    return raw(PROGRESS, event(plan(request_id, version, **systems)))


def delivered_record(request_id: UUID, notice: str, result: DeliveryResult = DeliveryResult.ACCEPTED) -> Raw:
    body = NoticeDelivered(
        request_id=request_id, notice=notice, recipient=Recipient.REQUESTER, ordinal=1, result=result, at=NOW
    )
    return raw(PROGRESS, event(body))


def progressed_record(request_id: UUID, system: str) -> Raw:
    body = TaskProgressed(task_id=task(request_id, system), request_id=request_id, state="working")
    return raw(results(system), event(body))


def statuses(outbox: PrivateOutbox, request_id: UUID) -> list[StatusChanged]:
    return [each.body for each in outbox.said(StatusChanged) if each.body.request_id == request_id]


def notices(outbox: PrivateOutbox, request_id: UUID) -> list[str]:
    return [each.body.notice for each in outbox.said(NoticeRequested) if each.body.request_id == request_id]


def a_case(keys: Keys, request_id: UUID, right: str = "erasure") -> list[Raw]:
    return [
        opened_record(keys, request_id, right=right),
        planned_record(request_id, 1, billing="asked", support="asked", payments="waiting"),
        planned_record(request_id, 2, billing="asked", support="asked", payments="excluded"),
        finished_record(keys, request_id, "billing", identities=(ACCOUNT,)),
        finished_record(keys, request_id, "support", "nothing_held"),
    ]


async def test_every_order_of_a_case_ends_alike(collector: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    """All 120 orders at once, each for a request of its own: in every position of a batch there is another fact."""
    orders = list(itertools.permutations(range(5)))
    requests = [uuid4() for _ in orders]
    facts = [a_case(keys, request_id) for request_id in requests]
    for turn in range(5):
        await collector.handle([facts[number][order[turn]] for number, order in enumerate(orders)])
    await collector.handle([delivered_record(request_id, "completed") for request_id in requests])
    told, noticed = defaultdict[UUID, list[StatusChanged]](list), defaultdict[UUID, list[str]](list)
    for each in outbox.said(StatusChanged):
        told[each.body.request_id].append(each.body)
    for each in outbox.said(NoticeRequested):
        noticed[each.body.request_id].append(each.body.notice)
    for request_id in requests:
        last = told[request_id][-1]
        assert [each.version for each in told[request_id]] == list(range(1, last.version + 1))
        assert [each.state for each in told[request_id][-2:]] == ["in_progress", "closed"]
        assert last.outcome == "completed"
        assert [(each.system, each.state, each.outcome) for each in last.systems] == [
            ("billing", "finished", "completed"),
            ("support", "finished", "nothing_held"),
            ("payments", "excluded", None),
        ]
        assert sorted(noticed[request_id]) == ["acknowledged", "completed"]
    assert outbox.dead_letters() == []
    # All of it once more, in one batch: nothing is new.
    outbox.take()
    await collector.handle([record for some in facts for record in some])
    await collector.handle([record.again() for some in facts[:20] for record in reversed(some)])
    assert outbox.sent == []


async def test_one_record_at_a_time_and_all_at_once_end_alike(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    slow, fast = uuid4(), uuid4()
    for each in a_case(keys, slow):
        await collector.handle([each])
    await collector.handle(a_case(keys, fast))
    one, other = (statuses(outbox, request_id)[-1] for request_id in (slow, fast))
    assert one.systems == other.systems
    assert one.version > other.version == 1
    assert notices(outbox, slow) == notices(outbox, fast)


async def test_fan_out_is_told_what_was_found(collector: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    await collector.handle(
        [
            opened_record(keys, request_id),
            planned_record(request_id, billing="asked", payments="waiting"),
            finished_record(keys, request_id, "billing", identities=(ACCOUNT, FORBIDDEN)),
        ]
    )
    (told,) = outbox.said(SystemsFinished)
    assert (told.topic, told.body.systems) == (PROGRESS, ("billing",))
    assert keys.open(told).identities == (ACCOUNT,)  # only of the types that billing is trusted to provide


async def test_a_notice_carries_what_the_mail_needs(collector: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    requester = Requester(name="A. M.", email="typed@example.org", language="de")
    personal = PERSONAL.model_copy(update={"requester": requester})
    await collector.handle([opened_record(keys, request_id, personal), *a_case(keys, request_id)[1:]])
    first, final = sorted(outbox.said(NoticeRequested), key=lambda each: str(each.body.notice))
    assert (first.body.notice, final.body.notice, final.topic) == ("acknowledged", "completed", OUTCOMES)
    assert final.body.outcome == "completed"
    opened = keys.open(final)
    assert (opened.email, opened.name, opened.language) == ("ana@example.org", "A. M.", "de")
    assert [(each.system, each.did) for each in opened.statement] == [("billing", "deleted")]
    assert keys.open(first).statement == ()


async def test_who_reads_is_looked_up_where_intake_has_not_said_so(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    """As in what was opened before it did."""
    request_id = uuid4()
    nobody = PERSONAL.model_copy(update={"subject": Subject(identities=(ACCOUNT,)), "requester": Requester()})
    unsaid = opened_record(keys, request_id, nobody, audience=None, reachable=None)
    await collector.handle([unsaid, *a_case(keys, request_id)[1:]])
    assert statuses(outbox, request_id)[-1].state == "in_review"


async def test_without_an_address_the_dpo_is_told(collector: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    nobody = PERSONAL.model_copy(update={"subject": Subject(identities=(ACCOUNT,)), "requester": Requester()})
    await collector.handle([opened_record(keys, request_id, nobody), *a_case(keys, request_id)[1:]])
    assert statuses(outbox, request_id)[-1].state == "in_review"
    (told,) = outbox.said(NoticeRequested)
    assert (told.body.notice, told.body.recipient, keys.open(told).email) == ("dpo_review", "dpo", None)


async def test_an_access_waits_for_its_answer(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys, woken: list[int], pool: Pool
) -> None:
    request_id = uuid4()
    await collector.handle(a_case(keys, request_id, "access"))
    assert woken == [1]
    assert [row["request_id"] for row in await pool.fetch("SELECT request_id FROM assemblies")] == [request_id]
    assert notices(outbox, request_id) == ["acknowledged"]


async def test_records_that_show_others_are_named_as_withheld(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    result = finished_record(
        keys,
        request_id,
        "support",
        records=(record("support_conversations", third_parties=True), record("support_conversations")),
    )
    await collector.handle([opened_record(keys, request_id), planned_record(request_id, support="asked"), result])
    final = next(each for each in outbox.said(NoticeRequested) if each.body.notice == "partially_completed")
    assert [(each.did, each.count, each.ground) for each in keys.open(final).statement] == [
        ("deleted", 1, None),
        ("withheld", 1, "rights_of_others"),
    ]


async def test_refused_submissions_are_told_to_their_portal(collector: Consumer, outbox: PrivateOutbox) -> None:
    ce_id = uuid4()
    body = SubmissionRefused(
        request_id=None, portal="helpdesk", ce_id=ce_id, errors=(SubmissionError(code="not_json", pointer=""),)
    )
    await collector.handle([raw(REQUESTS, event(body))])
    (told,) = outbox.said(SubmissionRejected)
    assert (told.topic, told.body.ce_id, told.event.subject) == (status("helpdesk"), ce_id, ce_id)


# Results


async def test_the_same_result_again_is_nothing(collector: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    base = [opened_record(keys, request_id), planned_record(request_id, billing="asked", support="asked")]
    first, resealed = (finished_record(keys, request_id, "billing") for _ in range(2))
    assert first.value != resealed.value
    await collector.handle([*base, first, resealed, first])
    before = len(outbox.sent)
    await collector.handle([resealed.again(), first])
    assert len(outbox.sent) == before
    assert outbox.dead_letters() == []


@pytest.mark.parametrize(
    "other",
    [
        {"outcome": "nothing_held", "summary": ()},
        {"summary": (item(count=2),)},
        {"identities": (ACCOUNT,)},
        {"records": (record(),)},
        {"supersedes": uuid4()},
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
async def test_another_answer_to_the_same_task_is_a_conflict(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys, other: dict[str, Any], together: bool
) -> None:
    request_id = uuid4()
    base = [opened_record(keys, request_id), planned_record(request_id, billing="asked", support="asked")]
    first, second = finished_record(keys, request_id, "billing"), finished_record(keys, request_id, "billing", **other)
    for batch in [[*base, first, second]] if together else [[*base, first], [second]]:
        await collector.handle(batch)
    (letter,) = outbox.dead_letters()
    assert (letter.reason, letter.pointer, letter.offset) == (Reason.CONFLICT, "/task_id", second.offset)
    assert buried(keys, letter).restored() == (second.key, second.value, list(second.headers))
    assert statuses(outbox, request_id)[-1].systems[0].outcome == "completed"


async def test_an_answer_from_before_it_was_kept_whole_is_told_by_its_fingerprint(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    request_id, keyring = uuid4(), keys.file.keyring()
    first = finished_record(keys, request_id, "billing")
    await collector.handle([opened_record(keys, request_id), planned_record(request_id, billing="asked"), first])
    body = TaskFinished.model_validate_json(first.value or b"")
    kid = keyring.sealing_kid("services")
    await pool.execute(
        "UPDATE results SET body = NULL, personal = $2, fingerprint = $3, kid = $4 WHERE request_id = $1",
        request_id,
        body.personal,
        keyring.fingerprint(kid, canonical(body, ResultPersonal())),
        kid,
    )
    async with pool.acquire() as connection:
        assert (await store.records(connection, [request_id]))[request_id][0].personal == body.personal
    await collector.handle([finished_record(keys, request_id, "billing")])
    assert outbox.dead_letters() == []
    await collector.handle([finished_record(keys, request_id, "billing", "nothing_held", summary=())])
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.CONFLICT]


async def test_an_answer_whose_key_was_destroyed_is_told_by_its_id(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id, ce_id = uuid4(), uuid4()
    base = [opened_record(keys, request_id), planned_record(request_id, billing="asked")]
    await collector.handle([*base, finished_record(keys, request_id, "billing", ce_id=ce_id)])
    others = [each for each in json.loads(keys.path.read_text())["keys"] if not each["kid"].startswith("billing/")]
    keys.write([*others, new_key("billing", 2)])
    await collector.handle([finished_record(keys, request_id, "billing", ce_id=ce_id)])
    assert outbox.dead_letters() == []
    await collector.handle([finished_record(keys, request_id, "billing")])
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.CONFLICT]


async def test_an_answer_under_review_is_superseded(collector: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id, ce_id = uuid4(), uuid4()
    failed = finished_record(keys, request_id, "billing", "failed", ce_id=ce_id)
    await collector.handle([opened_record(keys, request_id), planned_record(request_id, billing="asked"), failed])
    assert statuses(outbox, request_id)[-1].state == "in_review"
    wrong = finished_record(keys, request_id, "billing", supersedes=uuid4())
    await collector.handle([wrong])
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.CONFLICT]
    right = finished_record(keys, request_id, "billing", supersedes=ce_id)
    await collector.handle([right, right])
    assert statuses(outbox, request_id)[-1].state == "in_progress"
    assert notices(outbox, request_id) == ["acknowledged", "dpo_review", "completed"]
    assert len(outbox.dead_letters()) == 1


@pytest.mark.parametrize("right", ["access", "erasure"])
async def test_an_answer_is_not_superseded_once_the_person_is_told(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys, right: str
) -> None:
    """Else a second letter would call complete what the first, or the copy, went out without."""
    request_id, ce_id = uuid4(), uuid4()
    both = planned_record(request_id, billing="asked", support="asked")
    failed = finished_record(keys, request_id, "billing", "failed", ce_id=ce_id)
    support = finished_record(keys, request_id, "support", records=(record(),))
    await collector.handle([opened_record(keys, request_id, right=right), both, failed, support])
    await collector.handle([command_record(CommandRelease, request_id)])
    await collector.handle([finished_record(keys, request_id, "billing", supersedes=ce_id)])
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.CONFLICT]
    assert "completed" not in notices(outbox, request_id)


async def test_only_the_system_itself_answers(collector: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    """Its topic says who it is: naming another, or answering another's task, is refused."""
    request_id = uuid4()
    await collector.handle(
        [opened_record(keys, request_id), planned_record(request_id, billing="asked", support="asked")]
    )
    pretends = finished_record(keys, request_id, "billing", topic_of="support")
    answers = finished_record(keys, request_id, "support", task_id=task(request_id, "billing"))
    await collector.handle([pretends, answers])
    assert [(letter.offset, letter.reason, letter.pointer) for letter in outbox.dead_letters()] == [
        (pretends.offset, Reason.MEMBER_INVALID, "/system"),
        (answers.offset, Reason.TASK_FOREIGN, "/task_id"),
    ]
    assert [each.state for each in statuses(outbox, request_id)[-1].systems] == ["asked", "asked"]
    await collector.handle([finished_record(keys, request_id, "billing")])
    assert [each.state for each in statuses(outbox, request_id)[-1].systems] == ["finished", "asked"]


async def test_a_stranger_who_answers_before_the_plan_takes_nobodys_place(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys, clock: Clock, handlers: Handlers
) -> None:
    """Support says that billing's task has failed, before anybody can know whose task that is."""
    request_id = uuid4()
    stranger = finished_record(keys, request_id, "support", "failed", task_id=task(request_id, "billing"))
    await collector.handle([stranger])
    await collector.handle([opened_record(keys, request_id), planned_record(request_id, billing="asked")])
    assert [each.state for each in statuses(outbox, request_id)[-1].systems] == ["asked"]
    await collector.handle([finished_record(keys, request_id, "billing")])
    assert [(each.state, each.outcome) for each in statuses(outbox, request_id)[-1].systems] == [
        ("finished", "completed")
    ]
    assert outbox.dead_letters() == []
    clock.advance(ORPHAN_PATIENCE + timedelta(seconds=1))
    await collector.transact(handlers.expire_orphans)
    assert [(letter.offset, letter.reason) for letter in outbox.dead_letters()] == [
        (stranger.offset, Reason.TASK_UNKNOWN)
    ]


async def test_an_answer_with_artifacts_goes_to_a_person(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    """They are not put into answers yet; a copy without them would not be whole."""
    request_id = uuid4()
    artifact = Artifact(
        key=f"billing/{request_id}/1", category="account", sha256="0" * 64, bytes=1, media_type="text/csv"
    )
    await collector.handle(
        [
            opened_record(keys, request_id, right="access"),
            planned_record(request_id, billing="asked"),
            finished_record(keys, request_id, "billing", artifacts=(artifact,)),
        ]
    )
    last = statuses(outbox, request_id)[-1]
    assert (last.state, last.reason and last.reason.code) == ("in_review", "system_failed")


# Results whose task is not known (yet)


async def test_a_result_for_a_task_never_given_is_a_dead_letter_after_a_day(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys, clock: Clock, handlers: Handlers, pool: Pool
) -> None:
    request_id = uuid4()
    orphan = finished_record(keys, request_id, "billing", task_id=uuid4())
    await collector.handle([orphan])
    clock.advance(ORPHAN_PATIENCE)
    await collector.transact(handlers.expire_orphans)
    assert outbox.sent == []
    clock.advance(timedelta(seconds=1))
    await collector.transact(handlers.expire_orphans)
    (letter,) = outbox.said(DeadLetter)
    assert (letter.body.reason, letter.body.pointer) == (Reason.TASK_UNKNOWN, "/task_id")
    assert buried(keys, letter.body).restored() == (orphan.key, orphan.value, list(orphan.headers))
    assert await pool.fetchval("SELECT count(*) FROM results") == 0
    await collector.transact(handlers.expire_orphans)
    assert len(outbox.sent) == 1


async def test_a_result_whose_plan_comes_later_is_kept(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys, clock: Clock, handlers: Handlers, pool: Pool
) -> None:
    request_id = uuid4()
    await collector.handle([finished_record(keys, request_id, "billing")])
    clock.advance(timedelta(hours=23))
    await collector.handle([opened_record(keys, request_id), planned_record(request_id, billing="asked")])
    assert statuses(outbox, request_id)[-1].systems[0].state == "finished"
    clock.advance(timedelta(hours=2))
    await collector.transact(handlers.expire_orphans)
    assert outbox.dead_letters() == []
    assert await pool.fetchval("SELECT count(*) FROM orphans") == 0
    assert await pool.fetchval("SELECT count(*) FROM results") == 1


async def test_progress_shows(collector: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    request_id = uuid4()
    await collector.handle([progressed_record(request_id, "billing"), progressed_record(request_id, "billing")])
    await collector.handle([opened_record(keys, request_id), planned_record(request_id, billing="asked")])
    assert [each.state for each in statuses(outbox, request_id)[-1].systems] == ["working"]


# What was sent late


async def test_repair_says_the_newest_status_again(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys, handlers: Handlers, pool: Pool
) -> None:
    request_id, other = uuid4(), uuid4()
    await collector.handle([opened_record(keys, request_id), opened_record(keys, other)])
    await collector.handle([planned_record(request_id, billing="asked")])
    await collector.handle([finished_record(keys, request_id, "billing")])
    sent = [each for each in outbox.sent if dict(each.headers)["ce_type"] == StatusChanged.TYPE.encode()]
    newest = statuses(outbox, request_id)[-1]

    async def repaired(late: Sequence[Outgoing]) -> list[StatusChanged]:
        async with pool.acquire() as connection:
            again = await handlers.repair(connection, late)
        assert {each.topic for each in again} <= {status("web")}, "what was sent beside it went elsewhere"
        return [said(each, StatusChanged).body for each in again]

    first = next(each for each in sent if each.key == request_id)
    assert await repaired([first]) == [newest]
    beside = [each for each in outbox.sent if each.key == request_id and each.topic != status("web")]
    assert beside
    assert await repaired([first, *beside]) == [newest]
    assert (await repaired(sent[-1:]), sent[-1].key) == ([], request_id)  # it is the newest itself
    assert await repaired([each for each in sent if each.key == other]) == []
    assert await repaired([each for each in outbox.sent if each not in sent]) == []
    assert await repaired([each for each in sent if each.key == request_id]) == []  # the newest went out last


# Orders, withdrawals, and who comes after


def command_record(model: type[Order], request_id: UUID, command_id: UUID | None = None, **arguments: Any) -> Raw:
    body = model(command_id=command_id or uuid4(), request_id=request_id, by="dpo", reason="checked", **arguments)
    return raw(COMMANDS, event(body))


def decisions(outbox: PrivateOutbox) -> list[tuple[bool, str | None]]:
    bodies = [each.body for each in outbox.said(CommandDecided)]
    return [(body.accepted, body.reason.code if body.reason else None) for body in bodies]


async def test_a_withdrawal_before_its_request_is_remembered(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    withdrawal = WithdrawalReceived(request_id=request_id, reason="changed_my_mind", received_at=NOW)
    await collector.handle(
        [raw(REQUESTS, event(withdrawal)), raw(PROGRESS, event(CollectionAwaited(request_id=request_id)))]
    )
    await collector.handle([opened_record(keys, request_id)])
    assert [each.body.finished for each in outbox.said(RequestStopped)] == [()]
    assert notices(outbox, request_id) == ["acknowledged", "withdrawn"]
    await collector.handle([delivered_record(request_id, "withdrawn")])
    assert statuses(outbox, request_id)[-1].outcome == "withdrawn"
    assert len(outbox.said(RequestCollected)) == 1


async def test_a_command_is_decided_once_and_its_decision_said_again(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id, unknown, command_id = uuid4(), uuid4(), uuid4()
    await collector.handle(
        [
            opened_record(keys, request_id),
            planned_record(request_id, billing="asked"),
            finished_record(keys, request_id, "billing", "failed"),
        ]
    )
    retry = command_record(CommandRetry, request_id, command_id, system="billing")
    await collector.handle([retry, retry.again(), command_record(CommandRelease, unknown)])
    await collector.handle([retry.again()])
    await collector.handle([command_record(CommandLift, request_id)])
    assert decisions(outbox) == [
        (True, None),
        (True, None),
        (False, "request_unknown"),
        (True, None),
        (False, "not_restricted"),
    ]
    (ordered,) = outbox.said(RoundOrdered)
    assert (ordered.body.order_id, ordered.body.systems) == (command_id, ("billing",))


async def test_a_command_id_is_of_one_request(collector: Consumer, outbox: PrivateOutbox, keys: Keys) -> None:
    one, two, command_id = uuid4(), uuid4(), uuid4()
    await collector.handle([opened_record(keys, one), opened_record(keys, two)])
    await collector.handle([command_record(CommandLift, each, command_id) for each in (one, two)])
    assert decisions(outbox) == [(False, "not_restricted")]
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.CONFLICT]


async def test_a_system_that_finds_too_much_is_looked_at_by_a_person(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    many = tuple(Identity(identity_type="account_id", identity_value=f"{number}") for number in range(51))
    await collector.handle([opened_record(keys, request_id), planned_record(request_id, billing="asked")])
    await collector.handle([finished_record(keys, request_id, "billing", identities=many)])
    last = statuses(outbox, request_id)[-1]
    assert last.reason is not None
    assert (last.state, last.reason.code) == ("in_review", "system_failed")
    assert [each.outcome for each in last.systems] == ["too_many_identities"]


async def test_whoever_never_came_is_not_waited_for_after_a_release(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id, missing, there = uuid4(), uuid4(), uuid4()
    waiting = PlannedSystem(system="billing", state="waiting", action="erase", reason="predecessor_missing")
    await collector.handle(
        [
            opened_record(keys, there, right="access"),
            opened_record(keys, request_id, after=(missing, there)),
            raw(PROGRESS, event(PlanMade(request_id=request_id, version=1, systems=(waiting,)))),
        ]
    )
    await collector.handle([command_record(CommandRelease, request_id)])
    assert decisions(outbox) == [(True, None)]
    assert [each.body.request_id for each in outbox.said(RequestCollected)] == [missing]


async def test_a_bystander_is_told_nothing_of_what_was_held(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    reporter = Requester(relationship="reporter", name="Rita Reporter", email="rita@example.org")
    personal = PERSONAL.model_copy(update={"requester": reporter, "subject": Subject(name="A Child", minor=True)})
    await collector.handle(
        [
            opened_record(keys, request_id, personal),
            planned_record(request_id, billing="asked"),
            finished_record(keys, request_id, "billing"),
        ]
    )
    for each in outbox.said(NoticeRequested):
        told = keys.open(each)
        assert (told.email, told.audience) == ("rita@example.org", Audience.BYSTANDER)
        assert (told.name, told.statement, told.systems, told.not_covered) == (None, (), (), ())


async def test_what_the_right_does_not_reach_and_what_others_hold_is_told_at_the_end(
    collector: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    details = Details(categories=("invoices", "own_installation"))
    personal = PERSONAL.model_copy(update={"details": details})
    beyond = LeftOutCategory(category="fraud_signals", ground="other_legal_basis")
    payments = PlannedSystem(system="payments", state="excluded", reason="right_does_not_reach", left_out=(beyond,))
    await collector.handle(
        [
            opened_record(keys, request_id, personal, right="objection"),
            raw(PROGRESS, event(PlanMade(request_id=request_id, version=1, systems=(payments,)))),
        ]
    )
    first, last = (keys.open(each) for each in outbox.said(NoticeRequested))
    assert (first.not_covered, first.elsewhere) == ((), ("own_installation",))
    assert [(each.system, each.category, each.ground) for each in last.not_covered] == [
        ("payments", "fraud_signals", "other_legal_basis")
    ]
