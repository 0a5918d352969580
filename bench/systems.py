"""Four systems that answer at once, from memory: `python -m bench.systems`.

They open each task as any system must and seal each answer; what they hold is the same for everybody. One process with
one consumer and one producer, like the yardstick's.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

from bench.batches import Ready, send_batches
from bench.pipe import SYSTEMS, producer
from habeas.contracts import KeyFile, Keyring, Place
from habeas.contracts.result import TaskFinished
from habeas.contracts.task import TaskAssigned
from habeas.contracts.topics import results, tasks
from operations.connection import client_options, local_variables
from operations.topology import OPERATORS

RECORDS: Final = 10
"""Of each system, in the answer to an access request."""

DID: Final = {"access": "disclosed", "erase": "deleted"}

_LINGER: Final = 0.01
"""Seconds from one batch to the next: what fan-out says at once comes on eight partitions, one after the other."""

_ASSIGNED: Final = TaskAssigned.TYPE.encode()


class System:
    """One system. What all its answers to a kind of task have in common is encoded once."""

    def __init__(self, name: str, keyring: Keyring) -> None:
        self._name = name
        self._keyring = keyring
        self._common = cache(self._encode)

    def answer(self, task: bytes) -> bytes:
        """The body of the answer to a task's, its personal part sealed. Raises ValueError for a task about nobody."""
        return self.answers([task])[0]

    def answers(self, tasks: Sequence[bytes]) -> list[bytes]:
        """As `answer`, each step for all of them before the next: so its code stays in the processor's caches."""
        bodies = [orjson.loads(task) for task in tasks]
        ids = [(_request(body["request_id"]), UUID(body["task_id"])) for body in bodies]
        for body, of in zip(bodies, ids, strict=True):
            asked = self._keyring.open(Place(self._name, TaskAssigned.TYPE, *of), body["personal"])
            if not orjson.loads(asked)["subject"]["identities"]:
                raise ValueError("a task without an identity")
        common = [self._common(body["action"], *[item["category"] for item in body["scope"]]) for body in bodies]
        sealed = [
            self._keyring.seal(Place(self._name, TaskFinished.TYPE, *of), personal)
            for of, (_, personal) in zip(ids, common, strict=True)
        ]
        return [
            f'{{"task_id":"{body["task_id"]}","request_id":"{body["request_id"]}","personal":"{token}",'.encode() + tail
            for body, token, (tail, _) in zip(bodies, sealed, common, strict=True)
        ]

    def headers(self, now: datetime) -> Callable[[bytes], list[tuple[str, bytes]]]:
        """Makes the headers of what is answered at `now`, each from the request's id."""
        time = ("ce_time", now.isoformat().encode())
        version, content = ("ce_specversion", b"1.0"), ("content-type", b"application/json")
        source, kind = ("ce_source", self._name.encode()), ("ce_type", TaskFinished.TYPE.encode())

        def of(subject: bytes) -> list[tuple[str, bytes]]:
            return [version, ("ce_id", next(_ids)), source, kind, time, ("ce_subject", subject), content]

        return of

    def _encode(self, action: str, *categories: str) -> tuple[bytes, bytes]:
        """The members of an answer that are the same for everybody, and its personal part."""
        each = RECORDS // len(categories)
        members = {
            "system": self._name,
            "outcome": "completed",
            "summary": [{"category": category, "did": DID[action], "count": each} for category in categories],
        }
        held = _records(categories) if action == "access" else []
        return orjson.dumps(members)[1:], orjson.dumps({"records": held})


_request = lru_cache(maxsize=4096)(UUID)
"""A request's four tasks come close to each other."""


def _random_ids() -> Iterator[bytes]:
    """UUIDs of version 4 as text: `uuid4` takes six times as long."""
    while True:
        digits = os.urandom(16 * 1024).hex()
        for start in range(0, len(digits), 32):
            one = digits[start : start + 32]
            yield f"{one[:8]}-{one[8:12]}-4{one[13:16]}-8{one[17:20]}-{one[20:]}".encode()


_ids = _random_ids()


def _records(categories: Iterable[str]) -> list[dict[str, Any]]:
    """What a system holds about anybody, over its categories in turn."""
    return [
        {"id": f"r-{number}", "category": category, "origin": "provided", "data": {"a": number, "b": "x" * 150}}
        for number, category in zip(range(RECORDS), cycle(categories), strict=False)
    ]


async def serve(stack: Path) -> None:
    """Answer until SIGTERM, as the principal `operators`, who may write everywhere."""
    keys = {name: KeyFile(Path(local_variables(name, stack)["HABEAS_KEYS"])) for name in SYSTEMS}
    systems = {tasks(name): (System(name, keys[name].keyring()), results(name)) for name in SYSTEMS}
    client = client_options(local_variables(OPERATORS, stack))
    consumer = AIOKafkaConsumer(
        *systems,
        **client,
        group_id="bench.systems",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    out = producer(client)
    await consumer.start()
    await out.start()
    try:
        while True:
            await asyncio.sleep(_LINGER)
            found = await consumer.getmany(timeout_ms=200, max_records=1000)
            now = datetime.now(UTC)
            answers = {}
            for (topic, partition), records in found.items():
                system, answered_on = systems[topic]
                headers = system.headers(now)
                asked = [record for record in records if ("ce_type", _ASSIGNED) in record.headers]
                # A request has the same partition on every topic.
                answers[answered_on, partition] = [
                    Ready(record.key, answer, headers(record.key))
                    for record, answer in zip(asked, system.answers([record.value for record in asked]), strict=True)
                ]
            if answers:
                await send_batches(out, answers)
                await consumer.commit()
    finally:
        await consumer.stop()
        await out.stop()


async def _until_told(stack: Path) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await serve(stack)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", type=Path, required=True, help="the folder of a running local stack")
    uvloop.run(_until_told(parser.parse_args().stack))
