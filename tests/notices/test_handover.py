"""From a batch of Kafka's to the worker in one transaction: nothing is sent before its row is committed, nothing twice,
and nothing that was claimed is forgotten."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
import pytest

from habeas.contracts import KeyFile, Keyring
from services.notifier import store
from services.notifier.desk import BEGIN_WITHIN, LEASE, Desk
from services.notifier.domain import Accepted, Key, Mail, Outcome
from services.notifier.handlers import Handlers
from services.notifier.letters import Reader
from services.notifier.store import Claimed, NewNotice
from services.notifier.worker import Worker
from shared.database import Connection, Pool
from shared.events import NoticePersonal, NoticeRequested
from shared.messaging.outbox import Outgoing
from shared.messaging.work import Work
from tests.notices.posting import Posting
from tests.notices.samples import ANSWER, NOW, notice, personal, sealed_event

URL = "https://privacy.ale.example"


async def until(holds: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(10):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Event:
    data: bytes


@dataclass(frozen=True)
class Asked:
    """As the consumer hands it to the handler."""

    event: Event
    body: NoticeRequested
    personal: NoticePersonal


@dataclass
class House:
    pool: Pool
    keys: KeyFile
    desk: Desk
    sent: list[Mail]
    told: asyncio.Semaphore
    claims: list[Claimed]

    async def write(self, connection: Connection, records: Sequence[Outgoing]) -> None:
        assert connection.is_in_transaction()

    async def publish(self, records: Sequence[Outgoing]) -> None:
        for _ in records:
            self.told.release()

    async def until_told(self, count: int) -> None:
        async with asyncio.timeout(30):
            for _ in range(count):
                await self.told.acquire()

    def worker(self) -> Worker:
        reader = Reader(self.keys, URL)

        def open_mail(claimed: Claimed) -> Mail:
            self.claims.append(claimed)
            return reader.mail(claimed)

        async def post(given: Mail, at: datetime) -> Outcome:
            self.sent.append(given)
            return Accepted(250)

        posting = Posting(open_mail, post)
        return Worker(
            pool=self.pool,
            write=posting.write,
            deliver=posting.deliver,
            outbox=self,
            clock=lambda: NOW,
            desk=self.desk,
        )

    async def staffed(self) -> None:
        async def is_staffed() -> bool:
            return self.desk.is_staffed

        await until(is_staffed)

    async def hand_over(self, batch: Sequence[Any], *, fail: bool = False, forget: bool = False) -> None:
        """As the consumer does: a transaction, then what comes after the commit. `fail` rolls it back, `forget` loses
        the commit's answer."""
        async with self.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            work = Work("notifier", connection, self.keys.keyring(), NOW)
            await Handlers(self.desk).requested(batch, work)
            await (transaction.rollback() if fail else transaction.commit())
        if not (fail or forget):
            for told in work.after_commit:
                told()

    async def states(self) -> list[tuple[str, int]]:
        found = await self.pool.fetch("SELECT state, attempts FROM notices ORDER BY request_id")
        return [(row["state"], row["attempts"]) for row in found]


@pytest.fixture
def house(pool: Pool, tmp_path: Path, jwk: dict[str, Any]) -> House:
    path = tmp_path / "keys.json"
    path.write_bytes(orjson.dumps({"keys": [jwk]}))
    return House(pool, KeyFile(path), Desk(8), [], asyncio.Semaphore(0), [])


def asked(keyring: Keyring, number: int, **person: Any) -> Asked:
    body, opened = notice("completed", request_id=UUID(int=number)), personal(**person)
    return Asked(Event(sealed_event(keyring, body, opened)), body, opened)


async def test_what_has_room_is_sent_as_it_came_and_the_rest_waits_in_the_table(house: House, keyring: Keyring) -> None:
    async with house.worker().running():
        await house.staffed()
        await house.hand_over([asked(keyring, number) for number in range(1, 31)])
        await house.until_told(30)
    assert {mail.notice.request_id.int for mail in house.sent} == set(range(1, 31))
    assert len(house.sent) == 30
    assert await house.states() == [("accepted", 1)] * 30
    assert sum(claimed.opened is not None for claimed in house.claims) == 6


async def test_a_mail_handed_over_is_the_one_that_the_table_holds(house: House, keyring: Keyring) -> None:
    async with house.worker().running():
        await house.staffed()
        await house.hand_over([asked(keyring, 1, answer=ANSWER)])
        await house.until_told(1)
    (claimed,) = house.claims
    row = await house.pool.fetchrow("SELECT event, answer_token_sealed FROM notices")
    assert row is not None
    read = Reader(house.keys, URL).mail(
        Claimed(claimed.key, row["event"], NOW, 1, claimed.lease, row["answer_token_sealed"])
    )
    (sent,) = house.sent
    assert (sent.link, sent.personal) == (read.link, read.personal)
    assert sent.notice.model_copy(update={"personal": read.notice.personal}) == read.notice


async def test_nobody_at_the_desk_means_that_all_waits_in_the_table(house: House, keyring: Keyring) -> None:
    await house.hand_over([asked(keyring, number) for number in (1, 2)])
    assert await house.states() == [("queued", 0)] * 2
    async with house.worker().running():
        await house.until_told(2)


async def test_what_waits_in_the_table_has_its_turn_in_a_flood(house: House, keyring: Keyring) -> None:
    """The consumer leaves a part of the desk to the worker, however fast it fills the rest."""
    house.desk.is_staffed = True
    house.desk.put([Claimed(Key(UUID(int=9), "completed", "requester", 1), b"", NOW, 1, UUID(int=9))] * 6, monotonic())
    await house.hand_over([asked(keyring, 1)])
    assert await house.states() == [("queued", 0)]
    assert house.desk.room == house.desk.size // 4
    assert house.desk.more


async def test_a_worker_that_stops_is_handed_nothing_more(house: House, keyring: Keyring) -> None:
    worker = house.worker()
    async with worker.running():
        await house.staffed()
        worker.stop()
        await house.hand_over([asked(keyring, 1)])
    assert await house.states() == [("queued", 0)]


async def test_a_transaction_that_fails_sends_nothing_and_its_repetition_sends_once(
    house: House, keyring: Keyring
) -> None:
    async with house.worker().running():
        await house.staffed()
        await house.hand_over([asked(keyring, 1)], fail=True)
        assert await house.states() == []
        await house.hand_over([asked(keyring, 1)])
        await house.until_told(1)
    assert len(house.sent) == 1


async def test_asked_for_twice_is_sent_once(house: House, keyring: Keyring) -> None:
    """In one batch, and again in another, and with a token of its own each time."""
    async with house.worker().running():
        await house.staffed()
        twice = asked(keyring, 1, answer=ANSWER)
        await house.hand_over([twice, twice, asked(keyring, 2)])
        await house.hand_over([twice])
        await house.until_told(2)
    assert sorted(mail.notice.request_id.int for mail in house.sent) == [1, 2]
    assert house.desk.under_way == 0


async def test_a_claim_whose_commit_was_not_heard_of_is_found_again(
    house: House, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch comes again, and its rows are there: leased to this very process, which does not know of them."""
    monkeypatch.setattr("services.notifier.worker._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("services.notifier.worker._FRESH", timedelta(0))
    house.desk.is_staffed = True
    await house.hand_over([asked(keyring, 1)], forget=True)
    await house.hand_over([asked(keyring, 1)])
    assert await house.states() == [("sending", 1)]
    async with house.worker().running():
        await house.until_told(1)
    assert await house.states() == [("accepted", 2)]


async def test_only_leases_that_nobody_uses_are_ended(pool: Pool) -> None:
    desk = Desk()
    known, fresh, lost, foreign = desk.lease(), desk.lease(), desk.lease(), Desk().lease()
    async with pool.acquire() as connection:
        for number, lease in enumerate((known, fresh, lost, foreign), 1):
            new = NewNotice(Key(UUID(int=number), "completed", "requester", 1), b"{}")
            await store.record(connection, [new], NOW, lease, 1)
        await connection.execute(
            "UPDATE notices SET lease_until = lease_until - interval '11 s' WHERE lease = $1", lost.id
        )
        left = LEASE - timedelta(seconds=10)
        assert await store.end_lost_leases(connection, desk.holder, [known.id], left) == 1
        assert await store.end_lost_leases(connection, desk.holder, [known.id], left) == 0
        (claimed,) = await store.claim(connection, 10, NOW, desk.lease())
    assert claimed.key.request_id.int == 3


async def test_whose_session_alone_has_ended_keeps_its_leases(house: House) -> None:
    """PostgreSQL was restarted, say: it comes back and goes on with the mails that it is sending."""
    desk, worker = Desk(), house.worker()
    async with house.pool.acquire() as connection:
        new = NewNotice(Key(UUID(int=1), "completed", "requester", 1), b"{}")
        await store.record(connection, [new], NOW, desk.lease(), 1)
        await worker._look(connection)
        async with house.pool.acquire() as back:
            await store.be_present(back, desk.holder)
            await worker._look(connection)
        await worker._look(connection)
        assert await store.claim(connection, 10, NOW, house.desk.lease()) == ()
        await worker._look(connection)  # absent twice in a row
        assert len(await store.claim(connection, 10, NOW, house.desk.lease())) == 1


async def test_a_mail_whose_lease_may_end_before_it_is_out_is_not_begun(
    house: House, monkeypatch: pytest.MonkeyPatch, keyring: Keyring
) -> None:
    """A process that was stopped finds its claims old when it goes on; they are claimed anew, by whoever it be."""
    monkeypatch.setattr("services.notifier.worker._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("services.notifier.worker._FRESH", timedelta(0))
    lease = house.desk.lease()
    given = asked(keyring, 1)
    new = NewNotice(Key(UUID(int=1), "completed", "requester", 1), given.event.data)
    async with house.pool.acquire() as connection:
        await store.record(connection, [new], NOW, lease, 1)
    old = monotonic() - BEGIN_WITHIN.total_seconds()
    house.desk.put([Claimed(new.key, new.event, NOW, 1, lease.id)], old)
    async with house.worker().running():
        await house.until_told(1)
    assert len(house.sent) == 1
    assert [claimed.attempts for claimed in house.claims] == [2]
    assert await house.states() == [("accepted", 2)]


async def test_after_the_database_was_away_nothing_is_begun_that_others_may_have_taken(
    house: House, keyring: Keyring
) -> None:
    """Our lock went with our connection: another process has ended our lease and sent the mail."""
    busy, go_on = asyncio.Event(), asyncio.Event()
    posted: list[int] = []

    async def post(given: Mail, at: datetime) -> Outcome:
        posted.append(given.notice.request_id.int)
        busy.set()
        await go_on.wait()
        return Accepted(250)

    posting = Posting(Reader(house.keys, URL).mail, post)
    worker = Worker(
        pool=house.pool,
        write=posting.write,
        deliver=posting.deliver,
        outbox=house,
        clock=lambda: NOW,
        conversations=1,
        desk=house.desk,
    )
    async with worker.running():
        await house.staffed()
        await house.hand_over([asked(keyring, 1), asked(keyring, 2)])
        await busy.wait()
        async with house.pool.acquire() as other:
            await other.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE locktype = 'advisory' AND objid = $1::integer::oid",
                house.desk.holder,
            )
            await until(lambda: store.end_leases_of_the_dead(other, [house.desk.holder]))
            assert len(await store.claim(other, 10, NOW, Desk().lease())) == 2
        go_on.set()

        async def is_clear() -> bool:
            return house.desk.under_way == 0

        await until(is_clear)
    assert len(posted) == 1
