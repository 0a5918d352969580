"""The sending loop on real PostgreSQL: each mail once, each outcome told, nothing lost to trouble or to a stop."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
import pytest
import structlog

from services.notifier import store
from services.notifier.desk import Desk
from services.notifier.domain import (
    GIVE_UP_AFTER,
    Accepted,
    AddressError,
    Answered,
    Deferred,
    Key,
    Letter,
    Mail,
    Outcome,
)
from services.notifier.store import Claimed, NewNotice
from services.notifier.worker import Worker
from shared.database import Connection, Pool
from shared.messaging.outbox import Outgoing
from tests.notices.posting import Post, Posting
from tests.notices.samples import NOW, notice, personal


class Outbox:
    """Writes what it is told where the real one does, and says when it was published."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self.written: list[Outgoing] = []
        self.seen = asyncio.Event()

    async def write(self, connection: Connection, records: Sequence[Outgoing]) -> None:
        assert connection.is_in_transaction()
        self.written.extend(records)

    async def publish(self, records: Sequence[Outgoing]) -> None:
        self.published.extend(orjson.loads(record.value or b"") for record in records)
        self.seen.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.published) < count:
                self.seen.clear()
                await self.seen.wait()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def opened(claimed: Claimed) -> Mail:
    body = notice(claimed.key.notice, request_id=claimed.key.request_id)
    return Mail(body, personal(), None)


async def record(pool: Pool, count: int, start: int = 1) -> None:
    keys = [Key(UUID(int=number), "acknowledged", "requester", 1) for number in range(start, start + count)]
    async with pool.acquire() as connection:
        await store.record(connection, [NewNotice(key, b"{}") for key in keys], NOW)


async def accept(given: Mail, at: datetime) -> Outcome:
    return Accepted(250)


def worker(
    pool: Pool,
    post: Post,
    outbox: Outbox,
    clock: Clock | None = None,
    open_mail: Callable[[Claimed], Mail] = opened,
    **options: Any,
) -> Worker:
    posting = Posting(open_mail, post)
    return Worker(
        pool=pool,
        write=posting.write,
        deliver=posting.deliver,
        outbox=outbox,
        clock=clock or Clock(),
        **options,
    )


async def rows(pool: Pool) -> list[tuple[str, int]]:
    found = await pool.fetch("SELECT state, attempts FROM notices ORDER BY request_id")
    return [(row["state"], row["attempts"]) for row in found]


async def test_each_mail_goes_out_once_and_is_told(pool: Pool) -> None:
    sent: list[UUID] = []

    async def post(given: Mail, at: datetime) -> Outcome:
        sent.append(given.notice.request_id)
        return Accepted(250)

    outbox = Outbox()
    await record(pool, 40)
    async with worker(pool, post, outbox).running():
        await outbox.until(40)
    assert sorted(sent) == [UUID(int=number) for number in range(1, 41)]
    assert await rows(pool) == [("accepted", 1)] * 40
    assert {(item["notice"], item["recipient"], item["ordinal"], item["result"]) for item in outbox.published} == {
        ("acknowledged", "requester", 1, "accepted")
    }
    assert {record.topic for record in outbox.written} == {"dsr.progress.v1"}
    assert all(record.key == UUID(orjson.loads(record.value or b"")["request_id"]) for record in outbox.written)


async def test_two_workers_share_the_work(pool: Pool) -> None:
    sent: list[UUID] = []

    async def post(given: Mail, at: datetime) -> Outcome:
        sent.append(given.notice.request_id)
        await asyncio.sleep(0)
        return Accepted(250)

    outbox = Outbox()
    await record(pool, 60)
    async with worker(pool, post, outbox).running(), worker(pool, post, outbox).running():
        await outbox.until(60)
    assert len(sent) == len(set(sent)) == 60


async def test_a_wake_is_enough_and_no_more_are_in_flight_than_allowed(pool: Pool) -> None:
    busy, most = 0, 0

    async def post(given: Mail, at: datetime) -> Outcome:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1
        return Accepted(250)

    outbox = Outbox()
    async with worker(pool, post, outbox, conversations=3, desk=Desk(3)).running() as running:
        for start in (1, 11):
            await record(pool, 10, start)
            running.wake()
            await outbox.until(start + 9)
    assert 1 < most <= 3


async def test_a_slow_mail_does_not_hold_up_what_was_answered_before_it(pool: Pool) -> None:
    release = asyncio.Event()

    async def post(given: Mail, at: datetime) -> Outcome:
        if given.notice.request_id == UUID(int=1):
            await release.wait()
        return Accepted(250)

    outbox = Outbox()
    await record(pool, 5)
    async with worker(pool, post, outbox, conversations=2, desk=Desk(2)).running():
        await outbox.until(4)
        assert await rows(pool) == [("sending", 1), *[("accepted", 1)] * 4]
        release.set()
        await outbox.until(5)


async def test_a_deferred_mail_is_tried_again_later_until_it_is_given_up(pool: Pool) -> None:
    clock, outbox, attempts = Clock(), Outbox(), asyncio.Queue[datetime]()

    async def post(given: Mail, at: datetime) -> Outcome:
        attempts.put_nowait(at)
        return Deferred(451)

    await record(pool, 1)
    async with asyncio.timeout(20), worker(pool, post, outbox, clock).running() as running:
        assert await attempts.get() == NOW
        clock.now += timedelta(minutes=2)
        running.wake()
        assert await attempts.get() == clock.now
        assert outbox.published == []
        clock.now = NOW + GIVE_UP_AFTER + timedelta(hours=1)
        running.wake()
        await outbox.until(1)
    assert outbox.published[0]["result"] == "bounced"
    assert await rows(pool) == [("bounced", 3)]


@pytest.mark.parametrize(
    ("trouble", "state", "told"),
    [
        (AddressError("is none"), "bounced", 1),
        (ZeroDivisionError("ana@example.com"), "deferred", 0),
    ],
)
async def test_a_mail_that_cannot_be_made_does_not_stop_the_others(
    pool: Pool, trouble: Exception, state: str, told: int
) -> None:
    def open_mail(claimed: Claimed) -> Mail:
        if claimed.key.request_id == UUID(int=1):
            raise trouble
        return opened(claimed)

    outbox = Outbox()
    await record(pool, 3)
    with structlog.testing.capture_logs() as logged:
        async with worker(pool, accept, outbox, open_mail=open_mail).running():
            await outbox.until(2 + told)
    assert await rows(pool) == [(state, 1), ("accepted", 1), ("accepted", 1)]
    assert all("ana@" not in str({**entry, "exc_info": None}) for entry in logged)


async def test_what_was_being_sent_when_sending_failed_is_tried_again(pool: Pool) -> None:
    """A fault of ours between the letters and the mail server: none of them may stay claimed and forgotten."""
    outbox, letters = Outbox(), Posting(opened, accept)

    async def deliver(given: Iterator[Letter], answered: Answered) -> None:
        first, second, _third = islice(given, 3)
        answered(second, Accepted(250))
        raise ZeroDivisionError(first.recipient)

    await record(pool, 3)
    given = Worker(pool=pool, write=letters.write, deliver=deliver, outbox=outbox, clock=Clock(), conversations=1)
    with structlog.testing.capture_logs() as logged:
        async with given.running():
            await outbox.until(1)
    assert sorted(await rows(pool)) == [("accepted", 1), ("deferred", 1), ("deferred", 1)]
    assert [entry["event"] for entry in logged].count("notice_failed") == 2
    assert all("ana@" not in str({**entry, "exc_info": None}) for entry in logged)


async def test_a_stop_waits_for_mails_under_way_and_takes_no_new_ones(pool: Pool) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def post(given: Mail, at: datetime) -> Outcome:
        begun.set()
        await release.wait()
        return Accepted(250)

    outbox = Outbox()
    await record(pool, 3)
    running = worker(pool, post, outbox, conversations=1, desk=Desk(1))
    task = asyncio.create_task(running.run())
    await begun.wait()
    running.stop()
    running.stop()
    assert not task.done()
    release.set()
    async with asyncio.timeout(5):
        await task
    assert sorted(await rows(pool)) == [("accepted", 1), ("queued", 0), ("queued", 0)]
    assert len(outbox.published) == 1


async def test_an_outcome_is_told_in_the_transaction_that_writes_it(pool: Pool) -> None:
    """A failed write of the event undoes the outcome; it is committed with the next try."""
    failures = 1

    class Failing(Outbox):
        async def write(self, connection: Connection, records: Sequence[Outgoing]) -> None:
            nonlocal failures
            if records and failures:
                failures -= 1
                raise OSError("no space")
            await super().write(connection, records)

    outbox = Failing()
    await record(pool, 1)
    async with worker(pool, accept, outbox).running():
        await outbox.until(1)
    assert failures == 0
    assert await rows(pool) == [("accepted", 1)]


async def test_the_database_going_away_is_waited_out(pool: Pool) -> None:
    class Gone:
        """A pool that has lost its server for the first two takes."""

        losses = 2

        @asynccontextmanager
        async def acquire(self) -> Any:
            if self.losses:
                self.losses -= 1
                raise ConnectionRefusedError
            async with pool.acquire() as connection:
                yield connection

    outbox = Outbox()
    await record(pool, 1)
    async with worker(Gone(), accept, outbox).running():  # type: ignore[arg-type]
        await outbox.until(1)
    assert await rows(pool) == [("accepted", 1)]
