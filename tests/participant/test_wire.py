"""The library on real Kafka: restarts, redelivery, keys that come late, trouble, health."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.produce import ProduceRequest
from stand import Stand

from habeas import closing
from habeas.contracts import topics
from habeas.contracts.sealing import JsonWebKey, Keyring, new_key
from habeas.participant.errors import PublishError, TaskStoppedError
from habeas.participant.publisher import Publisher
from tests.participant.office import kafka_settings
from tests.participant.tasks import task_for
from tests.participant.test_same_answer import raises
from tests.participant.toys import QUICK, Toy, cancellation, sqlite_kit
from tests.participant.wire import Wire

ADA, BEA = ("email", "ada"), ("email", "bea")


@pytest.fixture
async def wire(stand: Stand, tmp_path: Path) -> AsyncIterator[Wire]:
    async with Wire.laid(stand.env("operators"), tmp_path) as wire:
        yield wire


async def test_what_is_read_again_is_answered_byte_for_byte_the_same(wire: Wire, tmp_path: Path) -> None:
    """As after a crash between publishing and committing the offset."""
    toy = Toy(sqlite_kit(tmp_path), name=wire.name)
    task = wire.office.assigned("erase", ADA)
    async with wire.running(toy.participant()):
        await wire.office.send(task)
        first = await wire.office.answer(task.task_id)
    await wire.rewind()
    async with wire.running(toy.participant()):
        second = await wire.office.answer(task.task_id)
    assert (second.record.key, second.record.value, second.record.headers) == (
        first.record.key,
        first.record.value,
        first.record.headers,
    )
    assert first.body.outcome == "completed"
    assert toy.runs == [task.task_id]


async def test_killed_after_the_effect_it_answers_as_if_nothing_had_happened(wire: Wire) -> None:
    task = wire.office.assigned("erase", ADA)
    await wire.office.send(task)
    killed = await wire.process("kill")
    assert await asyncio.wait_for(killed.wait(), 45) == -signal.SIGKILL
    restarted = await wire.process()
    answer = await wire.office.answer(task.task_id)
    assert answer.body.outcome == "completed"
    assert [found.identity_value for found in answer.personal.identities] == ["acc-ada"]
    restarted.terminate()
    assert await asyncio.wait_for(restarted.wait(), 20) == 0


async def test_a_failing_task_ends_the_process_until_it_is_given_up_and_no_log_quotes_it(wire: Wire) -> None:
    task, other = wire.office.assigned("erase", ADA), wire.office.assigned("access", BEA)
    await wire.office.send(task, other)
    logs = b""
    for _ in range(QUICK.deliveries - 1):
        process = await wire.process("raise")
        _, said = await asyncio.wait_for(process.communicate(), 45)
        logs += said
        assert process.returncode == 1
    assert (await wire.office.answer(other.task_id)).body.outcome == "completed"
    process = await wire.process("raise")
    answer = await wire.office.answer(task.task_id)
    assert answer.body.error is not None
    assert (answer.body.outcome, answer.body.error.code) == ("failed", "handler_failed")
    process.terminate()
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    logs += said
    assert b"ada@example.org" not in logs
    events = [json.loads(line)["event"] for line in logs.splitlines()]
    assert events.count("task_failed") == QUICK.deliveries
    assert events.count("task_given_up") == 1


async def test_a_stopped_task_leaves_its_record_for_the_next_start(wire: Wire, tmp_path: Path) -> None:
    toy = Toy(sqlite_kit(tmp_path), name=wire.name, before=raises(ValueError()))
    task = wire.office.assigned("access", ADA)
    await wire.office.send(task)
    with pytest.raises(TaskStoppedError, match="ValueError"):
        async with wire.running(toy.participant()) as serving:
            await asyncio.wait([serving])
    toy.before = lambda _: None
    async with wire.running(toy.participant()):
        assert (await wire.office.answer(task.task_id)).body.outcome == "completed"


async def test_a_key_that_comes_late_opens_what_was_sealed_under_it(wire: Wire, tmp_path: Path) -> None:
    new = [new_key(wire.name, 1), new_key(wire.name, 2)]
    keyring = Keyring(JsonWebKey(**key) for key in new)
    task = task_for(wire.name, keyring, "access", ADA)
    patient = replace(QUICK, key_pauses=(0.1,) * 200)
    async with wire.running(Toy(sqlite_kit(tmp_path), name=wire.name, tuning=patient).participant()):
        await wire.office.send(task)
        old = json.loads(wire.keys.read_text())["keys"]
        fresh = wire.keys.with_suffix(".new")
        fresh.write_text(json.dumps({"keys": [*old, new[1]]}))
        fresh.replace(wire.keys)
        answer = await wire.office.answer(task.task_id)
    assert answer.body.outcome == "completed"


async def test_a_cancellation_overtakes_its_task(wire: Wire, tmp_path: Path) -> None:
    task = wire.office.assigned("erase", ADA)
    await wire.office.send(cancellation(task), task)
    async with wire.running(Toy(sqlite_kit(tmp_path), name=wire.name).participant()):
        assert (await wire.office.answer(task.task_id)).body.outcome == "cancelled"


async def test_health_and_metrics(wire: Wire, tmp_path: Path) -> None:
    task = wire.office.assigned("access", ADA)
    async with wire.running(Toy(sqlite_kit(tmp_path), name=wire.name).participant()):
        await wire.office.send(task)
        _, offset = await wire.office.send_raw(b"?", b"?", [])
        await wire.office.answer(task.task_id)
        await wire.office.dead_letter(offset)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{wire.port}") as http:
            assert (await http.get("/health/live")).status_code == 200
            assert (await http.get("/health/ready")).status_code == 200
            assert (await http.get("/elsewhere")).status_code == 404
            assert (await http.post("/metrics")).status_code == 405
            metrics = (await http.get("/metrics")).text
    assert f'habeas_participant_ready{{system="{wire.name}"}} 1' in metrics
    assert "# TYPE habeas_participant_tasks_total counter" in metrics


async def test_a_kafka_that_falls_silent_leaves_nothing_running(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    send = AIOKafkaConnection.send

    def silent(self: AIOKafkaConnection, request: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(request, ProduceRequest):
            return asyncio.get_running_loop().create_future()
        return send(self, request, *arguments, **named)

    monkeypatch.setattr(closing, "CLOSING", 0.3)
    message = (topics.tasks(wire.name), wire.office.event(wire.office.assigned("access", ADA)))
    before = asyncio.all_tasks()
    publisher = Publisher(kafka_settings(wire.operators).client_options(), replace(QUICK, send_timeout=0.3))
    await publisher.start()
    await publisher.publish([message])
    monkeypatch.setattr(AIOKafkaConnection, "send", silent)
    with pytest.raises(PublishError, match="TimeoutError"):
        await publisher.publish([message])
    monkeypatch.setattr(AIOKafkaConnection, "send", send)
    await publisher.publish([message])
    await publisher.stop()
    left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]
    assert {name for name in left if name.startswith(("Sender.", "MessageAccumulator."))} == set()


async def test_a_missing_setting_is_named() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "systems.support", env={"PATH": os.environ["PATH"]}, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert json.loads(said)["advice"] == "set HABEAS_KAFKA_BOOTSTRAP_SERVERS"
