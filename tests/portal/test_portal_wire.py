"""A portal on real Kafka: what it publishes, what it hears, and what it says when it may not or cannot."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber, UnknownProducerId
from aiokafka.protocol.produce import ProduceRequest
from portal_counter import NOW, Counter, rejection, status
from stand import Stand

from habeas import closing
from habeas.contracts import CloudEvent, KeyUnknownError, topics
from habeas.contracts.canonical import canonical
from habeas.contracts.catalogue import write
from habeas.contracts.cloudevents import encode
from habeas.contracts.sealing import new_key
from habeas.contracts.status import StatusChanged
from habeas.contracts.submission import IdentityConfirmed, RequestAmended, RequestSubmitted, RequestWithdrawn
from habeas.portal import (
    ClosedError,
    DeniedError,
    Details,
    KeyFileError,
    News,
    NotConfirmedError,
    Portal,
    PortalError,
    Purged,
    Rejected,
    Requester,
    RequestPurgedError,
    Sent,
    SettingsError,
    SubmissionRejected,
    UnreachableError,
    proven,
)

ADA = proven("email", "ada@example.org", at=NOW)
PATIENCE = 45.0


@asynccontextmanager
async def within(seconds: float = PATIENCE) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


async def versions(following: AsyncGenerator[StatusChanged, None]) -> list[int]:
    async with within():
        return [each.version async for each in following]


def environment(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)


# What it publishes


async def test_everything_a_portal_says_arrives_sealed_and_under_its_request(counter: Counter) -> None:
    async with counter.portal() as portal, within():
        sent = await portal.submit("access", identities=[ADA], jurisdiction="DE-BE")
        others = [
            await portal.amend(sent.request_id, details=Details(statement="Only this year."), requester=Requester()),
            await portal.confirm(sent.request_id, [ADA]),
            await portal.withdraw(sent.request_id, "changed_mind"),
        ]
    said = await counter.submissions(4)
    assert [event.type for event, _, _ in said] == [
        RequestSubmitted.TYPE,
        RequestAmended.TYPE,
        IdentityConfirmed.TYPE,
        RequestWithdrawn.TYPE,
    ]
    assert {event.subject for event, _, _ in said} == {sent.request_id}
    assert [event.id for event, _, _ in said] == [sent.ce_id, *(each.ce_id for each in others)]
    assert said[0][2].subject.identities == (ADA,)
    assert said[1][2].details.statement == "Only this year."
    assert said[2][2].identities == (ADA,)
    assert said[3][1].reason == "changed_mind"  # type: ignore[attr-defined]


async def test_the_same_call_again_is_the_same_request(counter: Counter) -> None:
    request_id = uuid4()
    async with counter.portal() as portal, within():
        for _ in range(2):
            await portal.submit("erasure", identities=[ADA], request_id=request_id, received_at=NOW)
    (first, *first_content), (second, *second_content) = await counter.submissions(2)
    assert canonical(*first_content) == canonical(*second_content)
    assert first.id != second.id
    assert first.data != second.data


async def test_many_at_once_all_arrive(counter: Counter) -> None:
    async with counter.portal() as portal, within():
        sent = await asyncio.gather(*(portal.submit("access", identities=[ADA]) for _ in range(200)))
    said = await counter.submissions(200)
    assert {event.id for event, _, _ in said} == {each.ce_id for each in sent}


async def test_settings_come_from_the_environment(counter: Counter, stand: Stand, monkeypatch: Any) -> None:
    environment(monkeypatch, {**stand.env("operators"), "HABEAS_KEYS": str(counter.keys)})
    async with Portal(counter.name) as portal, within():
        sent = await portal.submit("access", identities=[ADA])
    assert [event.id for event, _, _ in await counter.submissions(1)] == [sent.ce_id]


# Trouble while publishing


def spoil(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> list[AIOKafkaProducer]:
    """The client raises these for the first sends, in turn; None sends and then loses the answer."""
    used: list[AIOKafkaProducer] = []
    send = AIOKafkaProducer.send_and_wait
    left = list(errors)

    async def spoilt(self: AIOKafkaProducer, *arguments: Any, **named: Any) -> Any:
        used.append(self)
        if not left:
            return await send(self, *arguments, **named)
        error = left.pop(0)
        await asyncio.sleep(0)  # as an answer takes its time, others are under way as well
        if error is not None:
            raise error
        await send(self, *arguments, **named)
        await asyncio.Event().wait()

    monkeypatch.setattr(AIOKafkaProducer, "send_and_wait", spoilt)
    return used


@pytest.mark.parametrize("error", [OutOfOrderSequenceNumber(), UnknownProducerId(), KafkaError(), ConnectionError()])
async def test_a_producer_in_trouble_is_replaced_and_the_message_keeps_its_id(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    used = spoil(monkeypatch, error, error)
    async with counter.portal() as portal, within():
        sent = await portal.submit("access", identities=[ADA])
    assert len(set(used)) == 3
    assert [event.id for event, _, _ in await counter.submissions(1)] == [sent.ce_id]


async def test_an_answer_that_is_lost_means_the_same_message_twice(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, None)
    async with counter.portal(patience=6) as portal, within():
        sent = await portal.submit("access", identities=[ADA])
    (first, *_), (second, *_) = await counter.submissions(2)
    assert first == second
    assert first.id == sent.ce_id


async def test_what_is_not_confirmed_in_time_is_told_and_can_be_said_again(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = uuid4()
    used = spoil(monkeypatch, *[KafkaError()] * 50)
    async with counter.portal(patience=1.0) as portal, within():
        with pytest.raises(NotConfirmedError) as caught:
            await portal.submit("access", identities=[ADA], request_id=request_id, received_at=NOW)
        assert caught.value.request_id == request_id
        assert str(caught.value).startswith(
            f"Kafka has not confirmed the message about {request_id} within 1 s (KafkaError): it may have arrived"
        )
        assert "ada" not in f"{caught.value!r} {caught.value.event!r}"
        assert len(used) > 1
        monkeypatch.undo()
        sent = await portal.publish(caught.value.event)
        await portal.submit("access", identities=[ADA], request_id=request_id, received_at=NOW)
    (first, *first_content), (_, *second_content) = await counter.submissions(2)
    assert first == caught.value.event
    assert sent == Sent(request_id, first.id)
    assert canonical(*first_content) == canonical(*second_content)


async def test_many_calls_share_the_replaced_producer(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    used = spoil(monkeypatch, *[UnknownProducerId()] * 20)
    async with counter.portal() as portal, within():
        await asyncio.gather(*(portal.submit("access", identities=[ADA]) for _ in range(20)))
    assert len(set(used)) == 2
    assert len({event.id for event, _, _ in await counter.submissions(20)}) == 20


async def test_a_call_that_is_cancelled_leaves_the_others_alone(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, None)
    async with counter.portal() as portal, within():
        hangs = asyncio.create_task(portal.submit("access", identities=[ADA]))
        await asyncio.sleep(0)
        sent = await portal.submit("erasure", identities=[ADA])
        hangs.cancel()
        await asyncio.gather(hangs, return_exceptions=True)
        assert hangs.cancelled()
        again = await portal.submit("erasure", identities=[ADA])
    assert {sent.ce_id, again.ce_id} <= {event.id for event, _, _ in await counter.submissions(3)}


async def test_a_kafka_that_falls_silent_leaves_nothing_running(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = AIOKafkaConnection.send

    def silent(self: AIOKafkaConnection, request: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(request, ProduceRequest):
            return asyncio.get_running_loop().create_future()
        return send(self, request, *arguments, **named)

    monkeypatch.setattr(closing, "CLOSING", 0.3)
    before = asyncio.all_tasks()
    async with counter.portal(patience=1.0) as portal, within():
        await portal.submit("access", identities=[ADA])
        monkeypatch.setattr(AIOKafkaConnection, "send", silent)
        with pytest.raises(NotConfirmedError, match="TimeoutError"):
            await portal.submit("access", identities=[ADA])
    left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]
    assert {name for name in left if name.startswith(("Sender.", "MessageAccumulator.", "stopped"))} == set()


async def test_a_kafka_that_is_not_there_is_told(counter: Counter) -> None:
    kafka = {**counter.kafka, "bootstrap_servers": "127.0.0.1:1"}
    with pytest.raises(UnreachableError, match="HABEAS_KAFKA_BOOTSTRAP_SERVERS"):
        async with counter.portal(kafka=kafka, patience=0.5):
            pass


async def test_a_kafka_that_accepts_and_says_nothing_is_told(counter: Counter) -> None:
    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    kafka = {**counter.kafka, "bootstrap_servers": f"127.0.0.1:{port}"}
    try:
        async with within(20):
            with pytest.raises(UnreachableError, match="no answer"):
                async with counter.portal(kafka=kafka, patience=0.5):
                    pass
        assert accepted
    finally:
        for writer in accepted:
            writer.close()
        server.close()


async def test_a_wrong_password_is_told_and_not_shown(stand: Stand) -> None:
    kafka = {**stand.kafka("web"), "sasl_plain_password": "not-the-password"}
    keys = Path(stand.env("web")["HABEAS_KEYS"])
    with pytest.raises(UnreachableError, match="_SASL_PASSWORD are right") as caught:
        async with Portal("web", kafka=kafka, keys=keys, patience=1):
            pass
    assert "not-the-password" not in str(caught.value)


# Who may do what


async def test_a_portal_cannot_speak_for_another(stand: Stand) -> None:
    keys = Path(stand.env("helpdesk")["HABEAS_KEYS"])
    async with Portal("helpdesk", kafka=stand.kafka("web"), keys=keys) as portal, within():
        with pytest.raises(DeniedError) as caught:
            await portal.submit("access", identities=[ADA])
        assert str(caught.value).startswith(
            "Kafka's ACLs do not let this principal write to dsr.portal.helpdesk.submissions.v1: use the credentials "
            "of helpdesk"
        )
        with pytest.raises(DeniedError, match=r"read dsr\.portal\.helpdesk\.status\.v1"):
            await versions(portal.follow(uuid4()))
        with pytest.raises(DeniedError, match=r"read dsr\.portal\.helpdesk\.status\.v1"):
            await anext(portal.statuses())


async def test_a_portal_may_follow_and_keep_a_table_with_its_own_credentials(stand: Stand) -> None:
    request_id = uuid4()
    event = write(status(request_id, 1, "closed"), subject=request_id, source="habeas/collector", now=NOW)
    key, value, headers = encode(event)
    async with stand.producer("collector") as collector:
        await collector.send_and_wait(topics.status("web"), value, key=key, headers=headers)
    keys = Path(stand.env("web")["HABEAS_KEYS"])
    async with Portal("web", kafka=stand.kafka("web"), keys=keys) as portal, within():
        assert await versions(portal.follow(request_id)) == [1]
        news = portal.statuses(f"table-{uuid4()}")
        assert request_id in {each.request_id async for each in until(news, request_id)}


async def until(news: AsyncGenerator[News, None], request_id: UUID) -> AsyncIterator[News]:
    async for each in news:
        yield each
        if each.request_id == request_id:
            break
    await news.aclose()


async def test_another_portals_key_file_is_refused_at_the_start(counter: Counter, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"keys": [new_key("helpdesk")]}))
    with pytest.raises(KeyFileError, match=f"no usable key of {counter.name}"):
        async with counter.portal(keys=other):
            pass


@pytest.mark.parametrize(("content", "told"), [(None, "cannot read the key file"), ("{}", "is not a JWK Set")])
async def test_a_key_file_that_is_none_is_named(
    counter: Counter, tmp_path: Path, content: str | None, told: str
) -> None:
    file = tmp_path / "web-keys.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(KeyFileError, match=told) as caught:
        async with counter.portal(keys=file):
            pass
    assert "web-keys.json" in str(caught.value)


async def test_a_rotated_key_is_taken_up_without_a_restart(counter: Counter) -> None:
    async with counter.portal() as portal, within():
        await portal.submit("access", identities=[ADA])
        old = json.loads(counter.keys.read_text())["keys"]
        replacement = counter.keys.with_suffix(".new")
        replacement.write_text(json.dumps({"keys": [new_key(counter.name, 2)]}))
        replacement.rename(counter.keys)
        await portal.submit("access", identities=[ADA])
    with pytest.raises(KeyUnknownError):
        await counter.submissions(2)  # the first is sealed under the old one
    counter.keys.write_text(json.dumps({"keys": [*old, *json.loads(counter.keys.read_text())["keys"]]}))
    assert len(await counter.submissions(2)) == 2


async def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, counter: Counter) -> None:
    monkeypatch.delenv("HABEAS_KEYS", raising=False)
    monkeypatch.delenv("HABEAS_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    with pytest.raises(SettingsError, match="set HABEAS_KAFKA_BOOTSTRAP_SERVERS"):
        async with Portal("web"):
            pass
    with pytest.raises(SettingsError, match="set HABEAS_KEYS"):
        async with counter.portal(keys=None):
            pass


def test_a_name_that_cannot_be_one_is_told() -> None:
    with pytest.raises(PortalError, match="starts with a letter"):
        Portal("Web Portal")


# Following


async def test_a_submission_is_followed_to_its_end(counter: Counter) -> None:
    async with counter.portal() as portal, within():
        sent = await portal.submit("access", identities=[ADA])
        following = portal.follow(sent)
        first = asyncio.ensure_future(anext(following))
        await counter.say(status(sent.request_id, 2, "received"))
        assert (await first).version == 2
        await counter.say(*(status(sent.request_id, version) for version in (1, 4, 3)))
        await counter.say(status(uuid4(), 9, "closed"), status(sent.request_id, 5, "closed", outcome="completed"))
        assert await versions(following) == [4, 5]


async def test_the_history_is_read_once_for_all_who_follow(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[AIOKafkaConsumer] = []
    start = AIOKafkaConsumer.start

    async def counted(self: AIOKafkaConsumer) -> None:
        begun.append(self)
        await start(self)

    monkeypatch.setattr(AIOKafkaConsumer, "start", counted)
    ids = [uuid4() for _ in range(40)]
    await asyncio.gather(*(counter.say(status(each, 1)) for each in ids))
    async with counter.portal() as portal, within():
        followers = [asyncio.create_task(versions(portal.follow(each))) for each in ids * 5]
        assert (await anext(portal.follow(ids[0]))).version == 1
        await asyncio.gather(*(counter.say(status(each, 2, "closed")) for each in ids))
        heard = await asyncio.gather(*followers)
        assert await versions(portal.follow(ids[1])) == [2]
    assert {tuple(each) for each in heard} <= {(1, 2), (2,)}
    assert len(begun) == 1


@pytest.mark.parametrize("by", ["sent", "request_id", "ce_id"])
async def test_a_refusal_is_raised_to_who_follows(counter: Counter, by: str) -> None:
    async with counter.portal() as portal, within():
        sent = await portal.submit("access", identities=[ADA])
        await counter.say(rejection(sent.ce_id, "received_in_future", "/received_at"))
        following = {
            "sent": lambda: portal.follow(sent),
            "request_id": lambda: portal.follow(sent.request_id),
            "ce_id": lambda: portal.follow(sent.request_id, ce_id=sent.ce_id),
        }[by]()
        with pytest.raises(Rejected, match="received_in_future /received_at"):
            await versions(following)


async def test_a_corrected_submission_is_followed_past_the_refusal_of_the_first(counter: Counter) -> None:
    async with counter.portal() as portal, within():
        first = await portal.submit("access", identities=[ADA])
        await counter.say(rejection(first.ce_id))
        await portal.submit("access", identities=[ADA], request_id=first.request_id, received_at=NOW)
        await counter.say(status(first.request_id, 1, "closed"))
        assert await versions(portal.follow(first.request_id)) == [1]


async def test_a_withdrawal_that_came_too_late_is_told_to_who_follows_it(counter: Counter) -> None:
    request_id = uuid4()
    async with counter.portal() as portal, within():
        await counter.say(status(request_id, 1))
        sent = await portal.withdraw(request_id)
        await counter.say(rejection(sent.ce_id, "too_late", "/request_id"))
        with pytest.raises(Rejected, match="too_late"):
            await versions(portal.follow(sent))


async def test_a_purged_request_is_told_to_who_follows(counter: Counter) -> None:
    request_id = uuid4()
    async with counter.portal() as portal, within():
        await counter.say(status(request_id, 1))
        await counter.purge(request_id)
        following = portal.follow(request_id)
        with pytest.raises(RequestPurgedError):
            await versions(following)


async def test_a_record_that_cannot_be_read_stops_nobody(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    request_id = uuid4()
    key = str(request_id).encode()
    await counter.raw(key, b'{"name": "Ada"}')
    await counter.raw(b"ada@example.org", None)
    await counter.raw(None, b"", [("ce_type", None)])
    unknown = CloudEvent(uuid4(), "habeas/collector", "dsr.request.pondered.v1", NOW, request_id, b"{}")
    await counter.put(unknown)
    await counter.say(status(request_id, 1, "closed"))
    async with counter.portal() as portal, within():
        assert await versions(portal.follow(request_id)) == [1]
    said = capsys.readouterr().out
    assert "record_unreadable" in said
    assert "example.org" not in said


async def test_who_follows_hears_when_the_portal_is_closed(counter: Counter) -> None:
    async with counter.portal() as portal, within():
        followers = [asyncio.create_task(versions(portal.follow(uuid4()))) for _ in range(3)]
        await counter.say(status(uuid4(), 1))
        waiting = portal.statuses()
        await anext(waiting)
        readers = [
            asyncio.create_task(taken(news, 1)) for news in (waiting, portal.statuses(), portal.statuses("table"))
        ]
        await asyncio.sleep(0)
    results = await asyncio.gather(*followers, *readers, return_exceptions=True)
    assert [type(each) for each in results] == [ClosedError] * 6
    for call in (portal.submit("access"), anext(portal.follow(uuid4())), anext(portal.statuses())):
        with pytest.raises(ClosedError):
            await call


async def test_a_follower_that_is_cancelled_leaves_the_others(counter: Counter) -> None:
    request_id = uuid4()
    async with counter.portal() as portal, within():
        gone, stays = (asyncio.create_task(versions(portal.follow(request_id))) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await counter.say(status(request_id, 1, "closed"))
        assert await stays == [1]
        assert gone.cancelled()


async def test_a_consumer_that_fails_is_replaced(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = uuid4()
    getmany = AIOKafkaConsumer.getmany
    failed: list[AIOKafkaConsumer] = []

    async def once(self: AIOKafkaConsumer, **named: Any) -> Any:
        if not failed:
            failed.append(self)
            raise KafkaError
        return await getmany(self, **named)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", once)
    await counter.say(status(request_id, 1, "closed"))
    async with counter.portal() as portal, within():
        assert await versions(portal.follow(request_id)) == [1]
    assert failed


# Everything, for a table of its own


async def taken(news: AsyncGenerator[News, None], count: int) -> list[News]:
    async with within():
        found = []
        async for each in news:
            found.append(each)
            if len(found) == count:
                break
        await news.aclose()
        return found


def ids(news: list[News]) -> set[UUID]:
    return {each.ce_id if isinstance(each, SubmissionRejected) else each.request_id for each in news}


async def test_everything_on_the_topic_is_handed_over_each_time(counter: Counter) -> None:
    changed, refused, purged = status(uuid4(), 1), rejection(uuid4()), uuid4()
    await counter.say(changed, refused)
    await counter.purge(purged)
    async with counter.portal() as portal:
        for _ in range(2):
            found = await taken(portal.statuses(), 3)
            assert changed in found
            assert refused in found
            assert Purged(purged) in found


async def test_a_group_goes_on_after_what_its_caller_was_done_with(counter: Counter) -> None:
    """The one in hand when it stopped comes again: whoever stopped there may not have been done with it."""
    all_ids = [uuid4() for _ in range(6)]
    await counter.say(*(status(each, 1) for each in all_ids))
    async with counter.portal() as portal:
        first = await taken(portal.statuses("table"), 4)
    async with counter.portal() as portal:
        later = await taken(portal.statuses("table"), 3)
    assert len(ids(first) & ids(later)) == 1
    assert first[-1] in later
    assert ids(first) | ids(later) == set(all_ids)


async def test_a_group_whose_caller_failed_gets_the_same_again(counter: Counter) -> None:
    await counter.say(status(uuid4(), 1))

    async def fails(portal: Portal) -> None:
        async for _ in portal.statuses("table"):
            raise LookupError

    async with counter.portal() as portal, within():
        for _ in range(2):
            with pytest.raises(LookupError):
                await fails(portal)


async def test_what_was_done_is_kept_when_the_portal_is_closed_under_it(counter: Counter) -> None:
    await counter.say(*(status(uuid4(), 1) for _ in range(3)))
    async with counter.portal() as portal, within():
        news = portal.statuses("table")
        done = [await anext(news), await anext(news)]
    with pytest.raises(ClosedError):
        await anext(news)
    async with counter.portal() as portal:
        rest = await taken(portal.statuses("table"), 2)
    assert done[0] not in rest
    assert done[1] in rest
