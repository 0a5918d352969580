"""A batch of records to committed effects: once, whatever happens to the batch, its records or PostgreSQL."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from habeas.contracts import Reason
from habeas.contracts.sealing import new_key
from shared.database import Pool
from shared.messaging.consumer import Consumer, ExhaustedError, Patience, is_transient
from shared.telemetry import REGISTRY as METRICS
from tests.core.conftest import Watching, said_numbers
from tests.core.notes import Noted, Notes, noted, waiting
from tests.core.workbench import Keys, PrivateOutbox, Raw, buried, event, raw
from tests.stack_database import Database


def metric(name: str, **labels: str) -> float:
    return METRICS.get_sample_value(name, labels) or 0.0


async def test_a_batch_takes_effect_once_however_often_it_comes(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox, watching: Watching
) -> None:
    watch = await watching(notes.written)
    batch = notes.records(range(50))
    await consumer.handle(batch)
    await consumer.handle(batch)
    await consumer.handle([record.again() for record in reversed(batch)])
    await consumer.handle([*batch, *batch])
    assert await noted(pool) == list(range(50))
    last = notes.record(99)
    await consumer.handle([last])
    await watch.first(lambda record: Notes.number_of(record.value) == 99)
    assert sorted(said_numbers(watch)) == [*range(50), 99]
    assert await waiting(pool, consumer.outbox) == 0


async def test_what_is_said_of_a_request_is_said_in_order(
    consumer: Consumer, outbox: PrivateOutbox, notes: Notes, pool: Pool, watching: Watching
) -> None:
    """One key, one partition: a reader sees the order in which it was decided."""
    watch = await watching(notes.written)
    request_id = uuid4()

    async def say(work: Any) -> None:
        for number in range(300):
            work.send(notes.written, Noted(request_id=request_id, number=number), subject=request_id)

    await consumer.transact(say)
    await watch.first(lambda record: Notes.number_of(record.value) == 299)
    assert said_numbers(watch) == list(range(300))
    assert {record.key for record in watch.records} == {str(request_id).encode()}


async def test_two_processes_with_the_same_batch(consumer: Consumer, notes: Notes, pool: Pool, keys: Keys) -> None:
    batch = notes.records(range(100))
    await asyncio.gather(*(consumer.handle(order) for order in (batch, batch, batch[50:] + batch[:50])))
    assert await noted(pool) == list(range(100))


async def test_batches_that_cross_each_other_both_take_effect(
    consumer: Consumer, notes: Notes, pool: Pool, keys: Keys
) -> None:
    """Opposite orders in one statement may deadlock; PostgreSQL ends one of them, which is tried again."""
    batch = notes.records(range(200))
    consumer.patience = Patience(transient=20.0)
    await asyncio.gather(*(consumer.handle(batch[:: 1 - 2 * (turn % 2)]) for turn in range(4)))
    assert await noted(pool) == list(range(200))


@pytest.mark.parametrize("at", [0, 24, 49])
async def test_one_record_that_no_attempt_can_handle_is_buried_and_the_others_count(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox, keys: Keys, at: int
) -> None:
    async def fail(numbers: Sequence[int]) -> None:
        if at in numbers:
            raise ZeroDivisionError

    notes.before = fail
    before = metric("habeas_handler_failures_total")
    batch = notes.records(range(50))
    await consumer.handle(batch)
    assert await noted(pool) == [number for number in range(50) if number != at]
    (letter,) = outbox.dead_letters()
    assert (letter.reason, letter.detail, letter.offset) == (
        Reason.HANDLER_FAILED,
        "ZeroDivisionError",
        batch[at].offset,
    )
    assert buried(keys, letter).restored() == (batch[at].key, batch[at].value, list(batch[at].headers))
    assert len(notes.batches) <= 14  # halved, not one by one
    assert metric("habeas_handler_failures_total") == before + 1


async def test_several_bad_ones_among_many(consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox) -> None:
    bad = {3, 4, 31, 49}

    async def fail(numbers: Sequence[int]) -> None:
        if bad & set(numbers):
            raise KeyError

    notes.before = fail
    await consumer.handle(notes.records(range(50)))
    assert await noted(pool) == sorted(set(range(50)) - bad)
    assert len(outbox.dead_letters()) == 4


async def test_a_value_the_driver_refuses_is_the_records_fault(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox
) -> None:
    """asyncpg calls it an interface error, as it does a lost connection; waiting would stop the partition for ever."""
    await consumer.handle([notes.record(1), notes.record(2**40), notes.record(2)])
    assert await noted(pool) == [1, 2]
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.HANDLER_FAILED]


async def test_a_message_over_the_limit_is_the_records_fault(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox
) -> None:
    huge = Raw(notes.read, b"k", b"{" + b" " * 1_048_576, ())
    await consumer.handle([notes.record(1), huge, notes.record(2)])
    assert await noted(pool) == [1, 2]
    assert [(letter.reason, letter.bytes) for letter in outbox.dead_letters()] == [(Reason.TOO_LARGE, 1_048_577)]
    assert await waiting(pool, consumer.outbox) == 0


async def test_one_requests_bad_records_stop_nobody(consumer: Consumer, notes: Notes, outbox: PrivateOutbox) -> None:
    async def fail(_numbers: Sequence[int]) -> None:
        raise ZeroDivisionError

    notes.before = fail
    consumer.patience = Patience(consecutive_failures=3)
    (record,) = notes.records([0])
    await consumer.handle([record, *(record.again() for _ in range(9))])
    assert len(outbox.dead_letters()) == 10


async def test_records_in_a_row_that_fail_are_our_fault(
    consumer: Consumer, notes: Notes, outbox: PrivateOutbox
) -> None:
    async def fail(_numbers: Sequence[int]) -> None:
        raise ZeroDivisionError

    notes.before = fail
    consumer.patience = Patience(consecutive_failures=3)
    with pytest.raises(ExhaustedError, match="records of 4 requests in a row"):
        await consumer.handle(notes.records(range(10)))
    assert len(outbox.dead_letters()) == 3


async def test_a_success_in_between_ends_the_row(consumer: Consumer, notes: Notes, outbox: PrivateOutbox) -> None:
    async def fail(numbers: Sequence[int]) -> None:
        if any(number % 2 for number in numbers):
            raise ZeroDivisionError

    notes.before = fail
    consumer.patience = Patience(consecutive_failures=3)
    await consumer.handle(notes.records(range(16)))
    assert len(outbox.dead_letters()) == 8


async def test_a_connection_cut_within_a_batch_is_tried_again(
    consumer: Consumer, notes: Notes, pool: Pool, database: Database, outbox: PrivateOutbox
) -> None:
    cut: list[int] = []

    async def cut_once(_numbers: Sequence[int]) -> None:
        if not cut:
            cut.append(await database.cut_connections())

    notes.before = cut_once
    before = metric("habeas_batch_retries_total")
    await consumer.handle(notes.records(range(50)))
    assert cut[0] >= 1
    assert metric("habeas_batch_retries_total") == before + 1
    assert await noted(pool) == list(range(50))
    assert len(outbox.said(Noted)) == 50
    assert outbox.dead_letters() == []


async def test_connections_cut_between_commit_and_delete_lose_nothing(
    consumer: Consumer, notes: Notes, pool: Pool, database: Database, outbox: PrivateOutbox, watching: Watching
) -> None:
    """Rows whose deletion was cut off are said once more, by the sweeper: the same events, under the same ids."""
    watch = await watching(notes.written)
    send = outbox._send
    cut: list[int] = []

    async def send_then_cut(records: Any) -> Any:
        sent = await send(records)
        if not cut:
            cut.append(await database.cut_connections())
        return sent

    outbox._send = send_then_cut  # type: ignore[method-assign]
    await consumer.handle(notes.records(range(20)))
    assert cut[0] >= 1
    await consumer.handle([notes.record(20)])  # meets the cut connections with the rows that it was to take away
    assert await noted(pool) == list(range(21))
    await pool.execute("UPDATE outbox SET created_at = created_at - interval '1 minute'")
    await outbox.sweep()
    assert await waiting(pool, consumer.outbox) == 0
    await watch.first(lambda _: len(watch.records) >= 21)
    assert set(said_numbers(watch)) == set(range(21))
    assert len({dict(record.headers)["ce_id"] for record in watch.records}) == 21


async def test_trouble_that_does_not_end_exhausts_patience_and_changes_nothing(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox
) -> None:
    async def away(_numbers: Sequence[int]) -> None:
        raise asyncpg.CannotConnectNowError("the database system is starting up")

    notes.before = away
    consumer.patience = Patience(transient=0.3)
    with pytest.raises(ExhaustedError, match="CannotConnectNowError"):
        await consumer.handle(notes.records(range(50)))
    assert len(notes.batches) > 1
    assert await noted(pool) == []
    assert outbox.sent == []
    assert await waiting(pool, consumer.outbox) == 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (asyncpg.DeadlockDetectedError(), True),
        (asyncpg.SerializationError(), True),
        (asyncpg.AdminShutdownError(), True),
        (asyncpg.TooManyConnectionsError(), True),
        (asyncpg.QueryCanceledError(), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.exceptions._base.DataError("value out of int32 range"), False),
        (asyncpg.UniqueViolationError(), False),
        (asyncpg.CharacterNotInRepertoireError(), False),
        (asyncpg.UndefinedTableError(), False),
        (KeyError(), False),
        (ValueError(), False),
    ],
)
def test_what_time_heals(error: Exception, expected: bool) -> None:
    assert is_transient(error) is expected


async def test_a_dead_letter_that_still_waits_is_not_in_the_way_of_the_same_batch(
    consumer: Consumer, notes: Notes, pool: Pool, outbox: PrivateOutbox
) -> None:
    """A crash between commit and send leaves the dead letter in the outbox, under the id of its record."""
    bad = Raw(notes.read, b"x", b"{", ())

    async def lose(_records: Any) -> list[Any]:
        return []

    send = outbox._send
    outbox._send = lose  # type: ignore[assignment, method-assign]
    await consumer.handle([notes.record(1), bad])
    assert await waiting(pool) == 2
    outbox._send = send  # type: ignore[method-assign]
    await consumer.handle([bad, notes.record(2)])
    assert await noted(pool) == [1, 2]
    assert await waiting(pool, consumer.outbox) == 2  # the first batch's, for the sweeper: said twice, read once


async def test_a_key_that_stays_unknown_is_waited_for_once(
    consumer: Consumer, notes: Notes, outbox: PrivateOutbox, keys: Keys, tmp_path: Any
) -> None:
    strange = Keys.new(tmp_path, ["services"])
    strange.add(new_key("services", 900))
    consumer.patience = Patience(unknown_key=0.6)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await consumer.handle([notes.secret(strange, "a") for _ in range(20)])
    assert 0.5 < loop.time() - started < 5
    assert {letter.reason for letter in outbox.dead_letters()} == {Reason.KEY_UNKNOWN}
    assert len(outbox.dead_letters()) == 20
    assert notes.secrets == []


async def test_unknown_keys_that_keep_coming_do_not_put_off_the_next_wait(
    consumer: Consumer, notes: Notes, keys: Keys, tmp_path: Any
) -> None:
    strange = Keys.new(tmp_path, ["services"])
    strange.add(new_key("services", 901))
    consumer.patience = Patience(unknown_key=0.0, unknown_key_memory=1000.0)
    await consumer.handle([notes.secret(strange, "a")])
    remembered = dict(consumer._unknown_kids)
    await consumer.handle([notes.secret(strange, "b")])
    assert consumer._unknown_kids == remembered


async def test_a_key_that_comes_meanwhile_opens(
    consumer: Consumer, notes: Notes, outbox: PrivateOutbox, tmp_path: Any
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    rotated = new_key("services", 2)
    ours, theirs = Keys.new(tmp_path / "ours"), Keys.new(tmp_path / "theirs", ["services"])
    theirs.add(rotated)
    consumer.keys = ours.file
    consumer.patience = Patience(unknown_key=30.0)
    distribution = threading.Timer(0.3, ours.add, [rotated])
    distribution.start()
    await consumer.handle([notes.secret(theirs, "hello")])
    distribution.join()
    assert notes.secrets == ["hello"]
    assert outbox.dead_letters() == []


async def test_logs_and_dead_letters_carry_no_values(
    consumer: Consumer, notes: Notes, outbox: PrivateOutbox, keys: Keys
) -> None:
    async def fail(_numbers: Sequence[int]) -> None:
        raise RuntimeError("zq7-secret")

    notes.before = fail
    with capture_logs() as logs:
        await consumer.handle([notes.record(1)])
    assert [entry["event"] for entry in logs] == ["record_failed", "record_refused"]
    letter = outbox.dead_letters()[0]
    assert "zq7-secret" not in letter.model_dump_json()


async def test_records_of_a_type_for_other_services_are_passed_over(
    consumer: Consumer, notes: Notes, outbox: PrivateOutbox, pool: Pool
) -> None:
    other = raw(notes.read, event(Noted(request_id=uuid4(), number=1)))
    strange = [(name, b"com.example.other" if name == "ce_type" else value) for name, value in other.headers]
    await consumer.handle([other, Raw(notes.read, other.key, other.value, strange), notes.record(2)])
    assert await noted(pool) == [2]
    assert [letter.reason for letter in outbox.dead_letters()] == [Reason.TYPE_UNKNOWN]
