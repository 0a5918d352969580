"""Two replicas work on the same requests at the same time, as they may during a rebalance."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from stand import Stand

from habeas.contracts.result import TaskFinished
from habeas.contracts.status import StatusChanged
from habeas.contracts.topics import PROGRESS, REQUESTS, results, status
from services.collector.handlers import Handlers
from shared.events import PlanMade, RequestOpened
from shared.messaging.consumer import Consumer, Route
from shared.messaging.outbox import Outgoing
from tests.collector.samples import finished_record, opened_record
from tests.collector.test_collector_handlers import planned_record
from tests.core.workbench import REGISTRY, Clock, Keys, PrivateOutbox
from tests.stack_database import Database

REQUESTED = 100


class HeldUp(PrivateOutbox):
    """Stands still between commit and send until it is let go."""

    held: asyncio.Event | None = None
    committed: asyncio.Event

    async def _send(self, records: Sequence[Outgoing]) -> list[Outgoing]:
        if self.held is not None:
            self.committed.set()
            await self.held.wait()
        return await super()._send(records)


async def test_the_newest_status_stands_last_though_an_older_one_was_held_up(
    database: Database,
    stand: Stand,
    kafka: dict[str, Any],
    new_topics: Callable[..., Awaitable[list[str]]],
    letters_topic: str,
    keys: Keys,
    clock: Clock,
) -> None:
    (topic,) = await new_topics("statuses", partitions=1)
    replicas = []
    for kind in (HeldUp, PrivateOutbox):
        pool = await database.pool("collector")
        handlers = Handlers(REGISTRY, clock, lambda: None)
        routes = (
            Route((REQUESTS,), RequestOpened, handlers.opened),
            Route((PROGRESS,), PlanMade, handlers.planned),
            Route(tuple(map(results, REGISTRY.systems)), TaskFinished, handlers.finished),
        )
        outbox = kind(
            pool, kafka, lambda name: topic if name in (status("web"), topic) else letters_topic, handlers.repair
        )
        await outbox.start()
        replicas.append((Consumer("collector", routes, pool, outbox, keys.file, clock, handlers.settle), outbox))
    (slow, held_up), (quick, _) = replicas
    ids = [uuid4() for _ in range(REQUESTED)]
    try:
        async with stand.watching("operators", topic) as watch:
            await slow.handle([opened_record(keys, each, notify_by="portal") for each in ids])
            await slow.handle([planned_record(each, billing="asked", support="asked") for each in ids])
            assert isinstance(held_up, HeldUp)
            held_up.held, held_up.committed = asyncio.Event(), asyncio.Event()
            late = asyncio.create_task(slow.handle([finished_record(keys, each, "billing") for each in ids]))
            await held_up.committed.wait()
            await quick.handle([finished_record(keys, each, "support") for each in ids])
            held_up.held.set()
            await late
            said: dict[UUID, list[int]] = defaultdict(list)

            def closed_last(record: Any) -> bool:
                if dict(record.headers)["ce_type"] == StatusChanged.TYPE.encode():
                    body = json.loads(record.value)
                    said[UUID(body["request_id"])].append(body["version"])
                return len(said) == REQUESTED and all(versions[-1] == 4 and 3 in versions for versions in said.values())

            await watch.first(closed_last)
            assert any(versions != sorted(versions) for versions in said.values()), "nothing was overtaken"
    finally:
        for _, outbox in replicas:
            await outbox.stop()
