"""What was committed is said: at once, or by the sweeper of whoever comes after; and the newest word stands last."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, NotEnoughReplicasError
from aiokafka.protocol.produce import ProduceRequest
from stand import Stand
from structlog.testing import capture_logs

import shared.messaging
from habeas import closing
from habeas.contracts import CloudEvent, ContractError, Reason
from habeas.contracts.topics import DEAD_LETTERS
from shared.database import Connection, Pool
from shared.messaging.consumer import Consumer
from shared.messaging.outbox import Outbox, Outgoing, _unpacked
from tests.core.conftest import Watching, said_numbers
from tests.core.fixtures import MakeOutbox
from tests.core.notes import Noted, Notes, noted, waiting
from tests.core.plans import explain, indexes, scanned
from tests.core.workbench import NOW, PrivateOutbox, as_raw, event
from tests.stack_database import Database

AT_ONCE = timedelta(milliseconds=1)


class Crashed(PrivateOutbox):
    """A process that dies between commit and send."""

    async def publish(self, records: Sequence[Outgoing]) -> None:
        pass


class CrashedAfterSending(PrivateOutbox):
    """A process that dies between send and delete."""

    async def publish(self, records: Sequence[Outgoing]) -> None:
        await self._send(records)


def outgoing(topic: str, number: int, request_id: UUID | None = None) -> Outgoing:
    return Outgoing.of(topic, event(Noted(request_id=request_id or uuid4(), number=number)))


async def write(outbox: Outbox, pool: Pool, records: Sequence[Outgoing]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await outbox.write(connection, records)


async def only(count: int, pool: Pool) -> None:
    """Until so many wait: a row goes a moment after its record has come."""
    async with asyncio.timeout(20):
        while await waiting(pool) != count:  # noqa: ASYNC110 - PostgreSQL announces nothing
            await asyncio.sleep(0.01)


async def sweep(outbox: Outbox) -> int:
    """Once rows have become older than a send timeout of next to nothing."""
    async with asyncio.timeout(20):
        while True:
            swept = await outbox.sweep()
            if swept:
                return swept


async def test_a_crash_between_commit_and_send_is_made_good(
    consumer: Consumer, notes: Notes, pool: Pool, make_outbox: MakeOutbox, watching: Watching
) -> None:
    watch = await watching(notes.written)
    consumer.outbox = await make_outbox(pool, everything=False, kind=Crashed)
    batch = notes.records(range(30))
    await consumer.handle(batch)
    assert await waiting(pool) == 30
    assert said_numbers(watch) == []
    # The offsets were not committed either: the next process gets the batch again, and has nothing to say about it.
    successor = await make_outbox(pool, everything=False, send_timeout=timedelta(hours=1))
    consumer.outbox = successor
    await consumer.handle(batch)
    assert await waiting(pool) == 30
    assert await successor.sweep() == 0  # not yet: they may still be in the hands of whoever wrote them
    assert await successor.stale() == 0
    successor._send_timeout = AT_ONCE
    assert await successor.stale() == 30
    # What the sweeper sends must not take longer than its own patience.
    successor._send_timeout = timedelta(seconds=5)
    await pool.execute("UPDATE outbox SET created_at = created_at - interval '6 s'")
    assert await successor.sweep() == 30
    assert await waiting(pool) == 0
    await watch.first(lambda _: len(watch.records) == 30)
    assert sorted(said_numbers(watch)) == list(range(30))
    assert await noted(pool) == list(range(30))


async def aged(pool: Pool) -> None:
    """As if the send timeout had passed."""
    await pool.execute("UPDATE outbox SET created_at = created_at - interval '1 minute'")


async def test_a_crash_between_send_and_delete_is_said_twice_and_read_once(
    consumer: Consumer,
    notes: Notes,
    pool: Pool,
    make_outbox: MakeOutbox,
    watching: Watching,
    database: Database,
) -> None:
    watch = await watching(notes.written)
    consumer.outbox = await make_outbox(pool, everything=False, kind=CrashedAfterSending)
    await consumer.handle(notes.records(range(10)))
    assert await waiting(pool) == 10
    successor = await make_outbox(pool, everything=False)
    await aged(pool)
    assert await successor.sweep() == 10
    await watch.first(lambda _: len(watch.records) == 20)
    assert sorted(said_numbers(watch)) == sorted([*range(10), *range(10)])
    identities = [dict(record.headers)["ce_id"] for record in watch.records]
    assert len(set(identities)) == 10  # the same events, to be recognised by their ids
    assert await waiting(pool) == 0


async def test_the_sweeper_runs_by_itself(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    watch = await watching(topics[1])
    outbox = await make_outbox(pool, everything=False)
    await write(outbox, pool, [outgoing(topics[1], 7)])
    await aged(pool)
    await watch.first(lambda record: Notes.number_of(record.value) == 7)


async def test_two_sweepers_share_the_work(pool: Pool, make_outbox: MakeOutbox, topics: tuple[str, str]) -> None:
    one, other = await make_outbox(pool, everything=False), await make_outbox(pool, everything=False)
    for number in range(60):
        await write(one, pool, [outgoing(topics[1], number)])
    await aged(pool)
    swept = await asyncio.gather(one.sweep(), other.sweep())
    assert sum(swept) == 60
    assert max(swept) < 60
    assert await waiting(pool) == 0


async def test_what_a_sweeper_sent_before_its_author_is_repaired(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    """A process is away after its commit; another sends its rows; then it comes back and sends them late."""
    repaired: list[list[int]] = []
    newest = outgoing(topics[1], 99)

    async def repair(_connection: Connection, sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
        repaired.append([Notes.number_of(record.value or b"") for record in sent])
        return [newest] if len(repaired) == 2 else ()

    zombie = await make_outbox(pool, repair, everything=False)
    sweeper = await make_outbox(pool, repair, everything=False)
    records = [outgoing(topics[1], number) for number in range(3)]
    await write(zombie, pool, records)
    await aged(pool)
    assert await sweeper.sweep() == 3
    assert repaired == [[0, 1, 2]]
    await zombie.publish(records)
    # What is said again goes the same way as everything: into the table, out to Kafka, and looked at once more.
    assert repaired == [[0, 1, 2], [0, 1, 2], [99]]
    assert await waiting(pool, zombie) == 0
    watch = await watching(topics[1])
    await watch.first(lambda record: Notes.number_of(record.value) == 99)
    assert sorted(said_numbers(watch))[:6] == [0, 0, 1, 1, 2, 2]


async def test_what_was_overtaken_is_followed_by_the_newest(
    consumer: Consumer, pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    """However short the moment between commit and send was, somebody may have said something newer in it."""
    watch = await watching(topics[1])
    request_id = uuid4()
    newest = outgoing(topics[1], 2, request_id)

    async def repair(_connection: Connection, sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
        return [newest] if any(Notes.number_of(record.value or b"") < 2 for record in sent) else ()

    overtaken = consumer.outbox = await make_outbox(pool, repair, everything=False)

    async def say(work: Any) -> None:
        work.send(topics[1], Noted(request_id=request_id, number=1), subject=request_id)

    await consumer.transact(say)
    await watch.first(lambda record: Notes.number_of(record.value) == 2)
    assert said_numbers(watch) == [1, 2]
    assert await waiting(pool, overtaken) == 0


async def test_one_who_dies_while_repairing_leaves_the_repair_to_the_sweeper(
    pool: Pool, make_outbox: MakeOutbox, topics: tuple[str, str]
) -> None:
    async def die(_connection: Connection, _sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
        raise ConnectionResetError

    outbox = await make_outbox(pool, die, everything=False)
    records = [outgoing(topics[1], 1)]
    await write(outbox, pool, records)
    with pytest.raises(ConnectionResetError):
        await outbox.publish(records)
    assert await waiting(pool) == 1


async def test_what_is_sent_beside_leaves_in_order_and_before_the_stop(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    """A batch does not wait for Kafka, but the batch after the next one does; and nothing is left behind at the end."""
    watch = await watching(topics[1])
    let_go = asyncio.Event()

    class Slow(PrivateOutbox):
        async def _send(self, records: Sequence[Outgoing]) -> list[Outgoing]:
            await let_go.wait()
            return await super()._send(records)

    outbox = await make_outbox(pool, everything=False, kind=Slow)
    batches = [[outgoing(topics[1], number)] for number in range(3)]
    for batch in batches:
        await write(outbox, pool, batch)
    await asyncio.wait_for(outbox.publish_beside(batches[0]), 5)
    others = [asyncio.create_task(outbox.publish_beside(batch)) for batch in batches[1:]]
    done, _ = await asyncio.wait(others, timeout=0.2)
    assert not done, "more than one batch waits in memory"
    let_go.set()
    await asyncio.wait_for(asyncio.gather(*others), 5)
    await outbox.stop()
    assert await waiting(pool) == 0
    await watch.first(lambda record: Notes.number_of(record.value) == 2)
    assert said_numbers(watch) == [0, 1, 2]


async def test_a_repair_that_fails_beside_is_left_to_the_sweeper(
    pool: Pool, make_outbox: MakeOutbox, topics: tuple[str, str]
) -> None:
    async def die(_connection: Connection, _sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
        raise ConnectionResetError

    outbox = await make_outbox(pool, die, everything=False)
    records = [outgoing(topics[1], 1)]
    await write(outbox, pool, records)
    with capture_logs() as logs:
        await outbox.publish_beside(records)
        await outbox.stop()
    assert [each["event"] for each in logs] == ["outbox_publish_failed"]
    assert await waiting(pool) == 1


async def test_what_is_about_to_be_sent_is_not_said_again(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    """The next batch holds a newer word on the same request: it follows anyway."""
    watch = await watching(topics[1])
    request_id = uuid4()
    older, newer = outgoing(topics[1], 1, request_id), outgoing(topics[1], 2, request_id)
    waits = asyncio.Event()

    async def repair(_connection: Connection, sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
        await waits.wait()
        return [newer] if older.id in {record.id for record in sent} else ()

    outbox = await make_outbox(pool, repair, everything=False)
    for record in (older, newer):
        await write(outbox, pool, [record])
    await outbox.publish_beside([older])
    later = asyncio.create_task(outbox.publish_beside([newer]))
    await asyncio.sleep(0)  # it stands in line now
    waits.set()
    await later
    await outbox.stop()
    await watch.first(lambda record: Notes.number_of(record.value) == 2)
    assert said_numbers(watch) == [1, 2]
    assert await waiting(pool) == 0


async def test_a_topic_that_is_missing_holds_up_no_other(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    outbox = await make_outbox(pool, everything=False, send_timeout=timedelta(seconds=4))
    watch = await watching(topics[1])
    records = [
        outgoing("dsr.nowhere.v1", 1),
        outgoing(topics[1], 2),
        outgoing("dsr.nowhere.v1", 3),
        outgoing(topics[1], 4),
    ]
    await write(outbox, pool, records)
    await outbox.publish(records)
    await watch.first(lambda _: len(watch.records) == 2)
    assert sorted(said_numbers(watch)) == [2, 4]
    await outbox.tidy()
    rows = await pool.fetch("SELECT topic, count FROM outbox")
    assert [tuple(row) for row in rows] == [("dsr.nowhere.v1", 2)]
    # The sweeper meets the same trouble, and what comes behind it still goes out.
    await write(outbox, pool, [outgoing(topics[1], 5)])
    await aged(pool)
    assert await sweep(outbox) == 1
    await watch.first(lambda record: Notes.number_of(record.value) == 5)


async def test_rows_that_kafka_refuses_starve_no_others(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    """More than a sweep takes at a time, and older; and the producer is not to blame for them."""
    outbox = await make_outbox(pool, everything=False)
    producer = outbox._producer
    for number in range(70):
        await write(outbox, pool, [outgoing("dsr.nowhere.v1", number)])
    await pool.execute("UPDATE outbox SET created_at = created_at - interval '1 hour'")
    await write(outbox, pool, [outgoing(topics[1], 7)])
    watch = await watching(topics[1])
    await aged(pool)
    await watch.first(lambda record: Notes.number_of(record.value) == 7)
    await only(70, pool)
    assert outbox._producer is producer


async def test_a_topic_that_fails_starves_no_others(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, new_topics: Any
) -> None:
    """Its sends are not refused but fail, as without enough replicas."""
    bad, good = await new_topics("bad", "good")
    outbox = await make_outbox(pool, everything=False, kind=FailsFor)
    FailsFor.topic = bad
    for number in range(70):
        await write(outbox, pool, [outgoing(bad, number)])
    await pool.execute("UPDATE outbox SET created_at = created_at - interval '1 hour'")
    await write(outbox, pool, [outgoing(good, 7)])
    watch = await watching(good)
    await aged(pool)
    await watch.first(lambda record: Notes.number_of(record.value) == 7)
    await only(70, pool)


class HalfDeaf(PrivateOutbox):
    """Its producers cannot reach one partition of any topic."""

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = await super()._new_producer()
        send = producer.send_batch

        async def fail(batch: Any, topic: str, *, partition: int) -> Any:
            if partition == 0:
                raise NotEnoughReplicasError
            return await send(batch, topic, partition=partition)

        producer.send_batch = fail
        return producer


async def test_of_a_row_that_was_sent_in_part_only_the_rest_is_sent_again(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    watch = await watching(topics[1])
    outbox = await make_outbox(pool, everything=False, kind=HalfDeaf)
    await write(outbox, pool, [outgoing(topics[1], number) for number in range(40)])
    await aged(pool)
    sent = await outbox.sweep()
    assert 0 < sent < 40
    assert await waiting(pool) == 40 - sent
    successor = await make_outbox(pool, everything=False)
    assert await successor.sweep() == 0, "what is left has been tried just now"
    await aged(pool)
    assert await successor.sweep() == 40 - sent
    await watch.first(lambda _: len(watch.records) >= 40)
    assert sorted(said_numbers(watch)) == list(range(40))
    assert await waiting(pool) == 0


class FailsFor(PrivateOutbox):
    """Its producers cannot reach one topic."""

    topic = ""

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = await super()._new_producer()
        send = producer.send_batch

        async def fail(batch: Any, topic: str, *, partition: int) -> Any:
            if topic == self.topic:
                raise NotEnoughReplicasError
            return await send(batch, topic, partition=partition)

        producer.send_batch = fail
        return producer


async def test_a_topic_that_is_denied_holds_up_nobody_twice(stand: Stand, pool: Pool, topics: tuple[str, str]) -> None:
    outbox = Outbox(pool, stand.kafka("web"))
    await outbox.start()
    try:
        producer = outbox._producer
        for number in range(2):
            records = [outgoing(topics[1], number)]
            await write(outbox, pool, records)
            with capture_logs() as logs:
                await outbox.publish(records)
            # The second is left for later at once, without asking.
            assert [entry.get("error") for entry in logs] == ["TopicAuthorizationFailedError"][number:]
        assert await waiting(pool) == 2
        assert outbox._producer is producer
    finally:
        await outbox.stop()


async def test_a_send_that_kafka_refuses_stays_for_the_sweeper(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    """A broken producer is replaced: the next send succeeds."""
    outbox = await make_outbox(pool, everything=False)
    broken = outbox._producer
    assert broken is not None
    real = broken.send_batch

    async def refuse(*_: Any, **__: Any) -> Any:
        raise KafkaConnectionError

    broken.send_batch = refuse
    records = [outgoing(topics[1], 1)]
    await write(outbox, pool, records)
    await outbox.publish(records)
    assert await waiting(pool) == 1
    assert outbox._producer is not broken
    broken.send_batch = real
    await aged(pool)
    watch = await watching(topics[1])
    await watch.first(lambda record: Notes.number_of(record.value) == 1)


class Silent:
    """What producers send waits until Kafka speaks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.speaks, self.asked = asyncio.Event(), asyncio.Event()
        send = AIOKafkaClient.send

        async def wait(client: AIOKafkaClient, node: Any, request: Any, **named: Any) -> Any:
            if isinstance(request, ProduceRequest):
                self.asked.set()
                await self.speaks.wait()
            return await send(client, node, request, **named)

        monkeypatch.setattr(AIOKafkaClient, "send", wait)
        monkeypatch.setattr(closing, "CLOSING", 0.3)


async def test_what_was_given_up_is_not_sent_after_what_is_newer(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = await make_outbox(pool, everything=False, send_timeout=timedelta(seconds=0.3))
    watch = await watching(topics[1])
    given_up, request_id = outbox._producer, uuid4()
    old, new = (outgoing(topics[1], number, request_id) for number in (1, 2))
    await write(outbox, pool, [old])
    await pool.execute("UPDATE outbox SET created_at = created_at + interval '1 hour'")  # the sweeper leaves it alone
    kafka = Silent(monkeypatch)
    await outbox.publish([old])
    assert outbox._producer not in {given_up, None}
    assert given_up is not None
    assert given_up._sender.sender_task.done()
    kafka.speaks.set()
    outbox._send_timeout = timedelta(seconds=10)
    await write(outbox, pool, [new])
    await outbox.publish([new])
    await watch.first(lambda record: Notes.number_of(record.value) == 2)
    assert said_numbers(watch) == [2]
    await outbox.tidy()
    assert [row["id"] for row in await pool.fetch("SELECT id FROM outbox")] == [old.row]


async def test_it_stops_while_kafka_is_silent(
    pool: Pool, make_outbox: MakeOutbox, topics: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = await make_outbox(pool, everything=False, send_timeout=timedelta(seconds=2))
    records = [outgoing(topics[1], 1)]
    await write(outbox, pool, records)
    kafka = Silent(monkeypatch)
    publishing = asyncio.create_task(outbox.publish(records))
    async with asyncio.timeout(20):
        await kafka.asked.wait()
        await outbox.stop()
        await publishing
    assert outbox._producer is None
    assert await waiting(pool) == 1


async def test_a_write_belongs_to_its_transaction(pool: Pool, outbox: PrivateOutbox, topics: tuple[str, str]) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await outbox.write(connection, [outgoing(topics[1], 1)])
        await transaction.rollback()
    assert await waiting(pool, outbox) == 0


async def test_key_value_and_headers_survive_the_table(
    pool: Pool, make_outbox: MakeOutbox, watching: Watching, topics: tuple[str, str]
) -> None:
    outbox = await make_outbox(pool, everything=False)
    record = outgoing(topics[1], 5)
    tombstone = Outgoing(topics[1], uuid4(), record.key, None, (("ce_source", "ünïcode".encode()),))
    await write(outbox, pool, [record, tombstone])
    await aged(pool)
    watch = await watching(topics[1])
    await watch.first(lambda _: len(watch.records) == 2)
    arrived = {found.value: found for found in watch.records}
    first, second = arrived[record.value], arrived[None]
    assert (first.key, tuple(first.headers)) == (as_raw(record).key, record.headers)
    assert (second.key, tuple(second.headers)) == (str(record.key).encode(), tombstone.headers)


@pytest.mark.parametrize(
    ("topic", "size", "fits"),
    [
        ("dsr.requests.v1", 1_000_000, True),
        ("dsr.requests.v1", 1_048_576, False),
        (DEAD_LETTERS, 2_000_000, True),
        (DEAD_LETTERS, 2_097_152, False),
    ],
)
def test_what_no_broker_takes_is_refused_before_it_is_written(topic: str, size: int, fits: bool) -> None:
    made = CloudEvent(id=uuid4(), source="tests", type="dsr.test.v1", time=NOW, subject=uuid4(), data=b" " * size)
    if fits:
        assert Outgoing.of(topic, made).topic == topic
        return
    with pytest.raises(ContractError, match="artifact") as refused:
        Outgoing.of(topic, made)
    assert refused.value.reason is Reason.TOO_LARGE


async def test_the_largest_dead_letter_goes_through(
    pool: Pool, outbox: PrivateOutbox, watching: Watching, letters_topic: str
) -> None:
    made = CloudEvent(id=uuid4(), source="tests", type="dsr.test.v1", time=NOW, subject=uuid4(), data=b" " * 2_096_000)
    record = Outgoing.of(DEAD_LETTERS, made)
    await write(outbox, pool, [record])
    await outbox.publish([record])
    assert await waiting(pool, outbox) == 0


async def test_stopping_twice_is_stopping_once(pool: Pool, make_outbox: MakeOutbox, topics: tuple[str, str]) -> None:
    outbox = await make_outbox(pool, everything=False)
    await outbox.stop()
    await outbox.stop()
    records = [outgoing(topics[1], 1)]
    await write(outbox, pool, records)
    await outbox.publish(records)  # a batch that outlived its outbox leaves its rows to the next process
    assert await waiting(pool) == 1


async def test_sweeping_uses_the_index(pool: Pool) -> None:
    from shared.messaging.outbox import _SQL

    async with pool.acquire() as connection:
        await connection.execute(
            """
            INSERT INTO outbox
            SELECT gen_random_uuid(), 'dsr.x', now() - n * interval '1 ms', 1, ''
            FROM generate_series(1, 50000) AS n
            """
        )
        await connection.execute("ANALYZE outbox")
        stale = await explain(connection, _SQL["claim_stale"], timedelta(seconds=45), 500, [])
        delete = await explain(connection, _SQL["delete"], [uuid4() for _ in range(500)])
    assert (scanned(stale), indexes(stale)) == (set(), {"outbox_created_at"})
    assert (scanned(delete), indexes(delete)) == (set(), {"outbox_pkey"})


async def test_rows_of_one_record_are_carried_over(pool: Pool) -> None:
    """As they stood before a row held several."""
    migrations = Path(shared.messaging.__file__).with_name("migrations")
    one, other = outgoing("dsr.x", 1), outgoing("dsr.x", 2)
    other.value = None
    async with pool.acquire() as connection:
        created = (migrations / "0001_outbox.sql").read_text()
        await connection.execute(created.replace("CREATE TABLE", "CREATE TEMP TABLE"))
        for record in (one, other):
            headers = orjson.dumps([(name, value.decode()) for name, value in record.headers])
            await connection.execute(
                "INSERT INTO outbox (id, topic, key, value, headers) VALUES ($1, $2, $3, $4, $5)",
                record.id,
                record.topic,
                record.key,
                record.value,
                headers,
            )
        await connection.execute((migrations / "0003_outbox_rows.sql").read_text())
        rows = await connection.fetch("SELECT id, topic, records FROM outbox")
        await connection.execute("DROP TABLE pg_temp.outbox")
    found = {record.id: record for row in rows for record in _unpacked(row["id"], row["topic"], row["records"])}
    assert found == {each.id: replace(each, row=each.id) for each in (one, other)}
