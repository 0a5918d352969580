"""Four systems that answer at once, from memory: `python -m bench.systems`.

They open each task as any system must and seal each answer; what they hold is the same for everybody. One process with
one consumer and one producer, like the yardstick's.
"""

import argparse
import asyncio
import signal
from contextlib import suppress
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

from bench.pipe import SYSTEMS, producer
from habeas.contracts import KeyFile, Keyring, Place
from habeas.contracts.result import TaskFinished
from habeas.contracts.task import TaskAssigned
from habeas.contracts.topics import results, sender, tasks
from operations.connection import client_options, local_variables
from operations.topology import OPERATORS

RECORDS = 10
"""Of each system, in the answer to an access request."""

DID = {"access": "disclosed", "erase": "deleted"}


def records(categories: list[str]) -> list[dict[str, Any]]:
    """What a system holds about anybody, over its categories in turn."""
    return [
        {"id": f"r-{number}", "category": category, "origin": "provided", "data": {"a": number, "b": "x" * 150}}
        for number, category in zip(range(RECORDS), cycle(categories), strict=False)
    ]


def answer(keyring: Keyring, system: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a task, with its personal part sealed."""
    request_id, task_id, action = UUID(body["request_id"]), UUID(body["task_id"]), body["action"]
    asked = orjson.loads(keyring.open(Place(system, TaskAssigned.TYPE, request_id, task_id), body["personal"]))
    if not asked["subject"]["identities"]:
        raise ValueError("a task without an identity")
    categories = [item["category"] for item in body["scope"]]
    held = records(categories) if action == "access" else []
    each = RECORDS // len(categories)
    return {
        "task_id": body["task_id"],
        "request_id": body["request_id"],
        "system": system,
        "outcome": "completed",
        "summary": [{"category": category, "did": DID[action], "count": each} for category in categories],
        "personal": keyring.seal(
            Place(system, TaskFinished.TYPE, request_id, task_id), orjson.dumps({"records": held})
        ),
    }


async def serve(stack: Path) -> None:
    """Answer until SIGTERM, as the principal `operators`, who may write everywhere."""
    keyrings = {name: KeyFile(Path(local_variables(name, stack)["HABEAS_KEYS"])).keyring() for name in SYSTEMS}
    client = client_options(local_variables(OPERATORS, stack))
    consumer = AIOKafkaConsumer(
        *map(tasks, SYSTEMS),
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
            found = await consumer.getmany(timeout_ms=200, max_records=1000)
            sent = []
            for record in (record for batch in found.values() for record in batch):
                headers = dict(record.headers)
                if headers["ce_type"] != TaskAssigned.TYPE.encode():
                    continue
                system = sender(record.topic) or ""
                body = answer(keyrings[system], system, orjson.loads(record.value or b""))
                told = [
                    ("ce_specversion", b"1.0"),
                    ("ce_id", str(uuid4()).encode()),
                    ("ce_source", system.encode()),
                    ("ce_type", TaskFinished.TYPE.encode()),
                    ("ce_time", datetime.now(UTC).isoformat().encode()),
                    ("ce_subject", headers["ce_subject"]),
                    ("content-type", b"application/json"),
                ]
                sent.append(await out.send(results(system), orjson.dumps(body), key=record.key, headers=told))
            if sent:
                await asyncio.gather(*sent)
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
