"""The yardstick: the messages of a request with nothing behind them.

One submission, four tasks, four results and one closing event a request, through three processes on the same broker
that the workflow uses: no database, no validation, no sealing, no mail. What aiokafka and the broker allow here, and so
the limit of a durable workflow.
"""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

SYSTEMS = ("billing", "support", "analytics", "payments")

PARTITIONS = 2
"""Of each topic, as a local stack has them."""

_AFTER_THE_LAST = 60.0
"""Seconds without a record after which a run has lost some, which must not happen."""

Record = tuple[str, bytes, bytes]
"""Topic, key, value."""


class StalledError(Exception):
    """Records did not come to the end of the pipe."""


async def requests_per_second(client: Mapping[str, Any], requests: int) -> float:
    """Send `requests` through. `client` are aiokafka's options for a principal that may do everything."""
    run = f"pipe-{uuid4().hex[:8]}"
    topics = ["submissions", "results", "done", *(f"tasks-{system}" for system in SYSTEMS)]
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(f"{run}-{topic}", PARTITIONS, 1) for topic in topics])
        try:
            return await _run(client, run, requests)
        finally:
            await admin.delete_topics([f"{run}-{topic}" for topic in topics])
    finally:
        await admin.close()


async def _run(client: Mapping[str, Any], run: str, requests: int) -> float:
    context = multiprocessing.get_context("spawn")
    joined = context.Semaphore(0)
    stages = (("submissions",), tuple(f"tasks-{system}" for system in SYSTEMS), ("results",))
    workers = [
        context.Process(target=_stage_process, args=(dict(client), run, topics, number, requests, joined), daemon=True)
        for number, topics in enumerate(stages)
    ]
    for worker in workers:
        worker.start()
    done = AIOKafkaConsumer(f"{run}-done", **client, group_id=run, auto_offset_reset="earliest")
    out = producer(client)
    await done.start()
    await out.start()
    try:
        for _ in workers:
            if not await asyncio.to_thread(joined.acquire, timeout=_AFTER_THE_LAST):
                raise StalledError("a process of the bare pipe did not start")
        started = time.perf_counter()
        submitting = asyncio.create_task(_submit(out, run, requests))
        closed = 0
        while closed < requests:
            records = await done.getmany(timeout_ms=int(_AFTER_THE_LAST * 1000))
            if not records:
                raise StalledError(f"{requests - closed} of {requests} requests never came to the end of the bare pipe")
            closed += sum(map(len, records.values()))
        elapsed = time.perf_counter() - started
        await submitting
        return requests / elapsed
    finally:
        await done.stop()
        await out.stop()
        for worker in workers:
            worker.join(10)
            worker.kill()


def producer(client: Mapping[str, Any]) -> AIOKafkaProducer:
    return AIOKafkaProducer(**client, enable_idempotence=True, linger_ms=2, max_batch_size=262_144)


async def _submit(out: AIOKafkaProducer, run: str, requests: int) -> None:
    pending = []
    for number in range(requests):
        body = {
            "id": f"{number:032d}",
            "right": "erasure",
            "subject": {"email": f"u{number}@example.com", "name": "x" * 40},
        }
        pending.append(await out.send(f"{run}-submissions", orjson.dumps(body), key=b"%d" % number))
    await asyncio.gather(*pending)


def _stage_process(
    client: dict[str, Any], run: str, topics: Sequence[str], number: int, requests: int, joined: Any
) -> None:
    handle, expected = ((_fan_out, requests), (_answer, 4 * requests), (_Collect(), 4 * requests))[number]
    uvloop.run(_stage(client, run, topics, handle, expected, joined))


async def _stage(
    client: dict[str, Any],
    run: str,
    topics: Sequence[str],
    handle: Callable[[dict[str, Any]], Iterable[Record]],
    expected: int,
    joined: Any,
) -> None:
    consumer = AIOKafkaConsumer(
        *(f"{run}-{topic}" for topic in topics),
        **client,
        group_id=f"{run}-{topics[0]}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    out = producer(client)
    await consumer.start()
    await out.start()
    joined.release()
    seen = 0
    while seen < expected:
        found = await consumer.getmany(timeout_ms=200, max_records=1000)
        batch = [record for records in found.values() for record in records]
        if batch:
            sent = [
                await out.send(f"{run}-{topic}", value, key=key)
                for record in batch
                for topic, key, value in handle(orjson.loads(record.value))
            ]
            await asyncio.gather(*sent)
            await consumer.commit()
            seen += len(batch)
    await consumer.stop()
    await out.stop()


def _fan_out(event: dict[str, Any]) -> Iterable[Record]:
    for system in SYSTEMS:
        yield f"tasks-{system}", event["id"].encode(), orjson.dumps({**event, "system": system})


def _answer(event: dict[str, Any]) -> Iterable[Record]:
    result = {
        "id": event["id"],
        "system": event["system"],
        "outcome": "completed",
        "records": [{"a": 1, "b": "x" * 150}],
    }
    yield "results", event["id"].encode(), orjson.dumps(result)


class _Collect:
    def __init__(self) -> None:
        self._answered: Counter[str] = Counter()

    def __call__(self, event: dict[str, Any]) -> Iterable[Record]:
        self._answered[event["id"]] += 1
        if self._answered[event["id"]] == len(SYSTEMS):
            del self._answered[event["id"]]
            yield "done", event["id"].encode(), orjson.dumps({"id": event["id"], "status": "completed"})
