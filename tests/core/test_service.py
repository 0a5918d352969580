"""A service whole, with real FastStream on real Kafka: what it takes, what it commits, how it stops, what it tells."""

import io
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
import structlog
from stand import Stand

from habeas.contracts import Reason
from shared.database import Pool
from shared.messaging.consumer import Patience
from shared.telemetry import configure_logging
from tests.core.conftest import Watching, said_numbers
from tests.core.notes import Gate, Notes, noted, waiting
from tests.core.running import until
from tests.core.workbench import Keys, Raw
from tests.stack_database import Database


async def test_records_of_every_badness_lose_nothing(
    start: Any, produce: Any, behind: Any, notes: Notes, name: str, pool: Pool, watching: Watching, keys: Keys
) -> None:
    """One batch: FastStream's own parser would lose it whole over a header that is null or not UTF-8."""
    watch = await watching(notes.written)
    good = notes.records(range(60))
    model = good[0]
    spoiled: list[list[tuple[str, bytes | None]]] = [
        [("ce_type", None)],
        [(entry, None) for entry, _ in model.headers],
        [*model.headers, ("traceparent", b"\xff\xfe")],
        [*[entry for entry in model.headers if entry[0] != "ce_id"], ("ce_id", b"\xff")],
        [*model.headers, *model.headers],
        [],
    ]
    # What only looks bad: headers that nobody reads.
    fine = [
        Raw(each.topic, each.key, each.value, [*each.headers, ("x", None), ("x", b"\xff"), ("reply_to", b"dsr.x")])
        for each in notes.records([100, 101])
    ]
    bad = [
        *(Raw(model.topic, model.key, model.value, headers) for headers in spoiled),
        Raw(model.topic, None, model.value, model.headers),
        Raw(model.topic, b"not a uuid", model.value, model.headers),
        Raw(model.topic, b"\xff", model.value, model.headers),
        Raw(model.topic, model.key, None, ()),
        Raw(model.topic, b"", None, ()),
        Raw(model.topic, model.key, b"{", model.headers),
        Raw(model.topic, model.key, b"\xff", model.headers),
        Raw(model.topic, model.key, b" " * 1_048_577, model.headers),
    ]
    await produce([*good[:20], *bad, *fine, *good[20:]])
    running = start(name)
    await watch.first(lambda _: len(watch.records) == 62)
    await running.leave()
    assert await running.stopped() == 0
    assert await noted(pool) == [*range(60), 100, 101]
    reasons = sorted(letter.reason for letter in running.outbox.dead_letters())
    assert reasons == sorted(
        [
            *[Reason.HEADER_INVALID] * 4,
            Reason.HEADER_REPEATED,
            Reason.HEADER_MISSING,
            Reason.KEY_MISSING,
            Reason.KEY_INVALID,
            Reason.KEY_INVALID,
            Reason.TOMBSTONE,
            Reason.TOMBSTONE,
            Reason.NOT_JSON,
            Reason.NOT_JSON,
            Reason.TOO_LARGE,
        ]
    )
    assert await behind() == 0
    assert await waiting(pool) == 0


async def test_a_stop_finishes_the_batch_in_hand_and_commits_it(
    start: Any, produce: Any, behind: Any, notes: Notes, name: str, pool: Pool
) -> None:
    gate = Gate()
    notes.before = gate
    running = start(name)
    await produce(notes.records(range(40)))
    await gate.reached.wait()
    taken = len(notes.batches[0])
    await running.leave()
    await until(lambda: running.service._leaving)
    assert not running.task.done()
    assert await noted(pool) == []
    gate.open.set()
    assert await running.stopped() == 0
    assert len(await noted(pool)) >= taken
    assert await behind() == 40 - len(await noted(pool))
    # What was left behind, the next process takes; nothing is taken twice.
    successor = start(name)
    await until(lambda: len({number for batch in notes.batches for number in batch}) == 40)
    await successor.leave()
    assert await successor.stopped() == 0
    assert await noted(pool) == list(range(40))
    assert sorted(number for batch in notes.batches for number in batch) == list(range(40))
    assert await behind() == 0


async def test_trouble_that_outlasts_patience_ends_the_process_with_its_offsets_where_they_were(
    start: Any, produce: Any, behind: Any, notes: Notes, name: str, pool: Pool, watching: Watching
) -> None:
    async def away(_numbers: Sequence[int]) -> None:
        raise asyncpg.CannotConnectNowError("starting up")

    notes.before = away
    await produce(notes.records(range(40)))
    running = start(name)
    assert await running.stopped() == 1
    assert await behind() == 40
    assert await noted(pool) == []

    async def back(_numbers: Sequence[int]) -> None:
        pass

    notes.before = back
    watch = await watching(notes.written)
    successor = start(name)
    await watch.first(lambda _: len(watch.records) == 40)
    await successor.leave()
    assert await successor.stopped() == 0
    assert await noted(pool) == list(range(40))
    assert await behind() == 0


async def test_a_crash_between_publish_and_the_commit_of_offsets_has_no_second_effect(
    start: Any, produce: Any, behind: Any, notes: Notes, name: str, pool: Pool, watching: Watching
) -> None:
    watch = await watching(notes.written)
    await produce(notes.records(range(40)))
    running = start(name, Patience(transient=0.0))

    published = running.outbox.publish

    async def publish_then_die(*records: Any) -> None:
        await published(*records)
        raise ConnectionResetError

    running.outbox.publish_beside = publish_then_die
    assert await running.stopped() == 1
    assert await behind() == 40
    done = await noted(pool)
    assert done
    successor = start(name)
    await until(lambda: sum(map(len, notes.batches)) >= 40 + len(done))
    await successor.leave()
    assert await successor.stopped() == 0
    assert await behind() == 0
    assert sorted(said_numbers(watch)) == list(range(40))
    assert await noted(pool) == list(range(40))


async def test_health_and_metrics(
    start: Any, produce: Any, notes: Notes, name: str, watching: Watching, database: Database, stand: Stand
) -> None:
    watch = await watching(notes.written)
    await produce([*notes.records(range(5)), Raw(notes.read, b"", None, ())])
    running = start(name)
    await watch.first(lambda _: len(watch.records) == 5)
    status, text = await running.get("/health/live")
    assert (status, json.loads(text)["ok"]) == (200, True)
    status, text = await running.get("/health/ready")
    assert (status, json.loads(text)) == (
        200,
        {"ok": True, "consuming": True, "database": True, "exhausted": False, "paused": []},
    )
    status, text = await running.get("/metrics")
    assert status == 200
    assert f'habeas_records_total{{topic="{notes.read}",type="dsr.test.note.v1"}} 5.0' in text
    assert 'habeas_dead_letters_total{reason="tombstone"}' in text
    for metric in (
        "habeas_batch_seconds_bucket",
        "habeas_batch_records_sum",
        "habeas_batch_retries_total",
        "habeas_handler_failures_total",
        "habeas_outbox_swept_total",
        "habeas_poll_age_seconds",
    ):
        assert metric in text

    await database.allow_connections(False)
    await database.cut_connections()
    status, text = await running.get("/health/ready")
    assert (status, json.loads(text)["database"]) == (503, False)
    assert (await running.get("/health/live"))[0] == 200  # a restart of ours would not bring the database back
    await database.allow_connections(True)
    assert (await running.get("/health/ready"))[0] == 200

    running.service._polled = float("-inf")
    running.service._subscriber.consumer, consumer = None, running.service._subscriber.consumer
    try:
        assert (await running.get("/health/live"))[0] == 503
        assert (await running.get("/health/ready"))[0] == 503
    finally:
        running.service._subscriber.consumer = consumer


async def test_logs_are_json_without_values(
    start: Any, produce: Any, notes: Notes, name: str, pool: Pool, monkeypatch: pytest.MonkeyPatch, watching: Watching
) -> None:
    """Neither ours nor FastStream's, whatever an error's text quotes: also where the trouble is our own."""
    output = io.StringIO()
    root = logging.getLogger()
    before, level, config = root.handlers[:], root.level, structlog.get_config()
    monkeypatch.setattr(sys, "stderr", output)
    configure_logging(name)
    structlog.configure(cache_logger_on_first_use=False)
    try:

        async def fail(numbers: Sequence[int]) -> None:
            if 1 in numbers:
                raise RuntimeError("zq7-secret of a record")

        notes.before = fail
        watch = await watching(notes.written)
        await produce(notes.records([0, 1, 2]))
        running = start(name)
        await watch.first(lambda _: len(watch.records) == 2)
        await until(running.outbox.dead_letters)

        async def refuse(*_: Any) -> None:
            raise RuntimeError("zq7-secret of our own")

        running.outbox.write = refuse
        await produce(notes.records([3]))
        assert await running.stopped() == 1
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.contextvars.clear_contextvars()
        structlog.reset_defaults()
        structlog.configure(**config)
    # Others may log in this process: what they say is read for secrets alone.
    lines = [line for line in map(json.loads, output.getvalue().splitlines()) if line.get("service") == name]
    events = {line["event"] for line in lines}
    assert {"http_listening", "record_failed", "record_refused", "service_exhausted"} <= events
    assert {line["error"] for line in lines if line["event"] == "record_failed"} == {"RuntimeError"}
    assert all(line["level"] and line["timestamp"] for line in lines)
    assert "zq7-secret" not in output.getvalue()
