"""Work that is due by the clock and not by a message: rows claimed in batches, beside the consumer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from shared.messaging.consumer import Consumer
from shared.messaging.work import Work

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def every(seconds: float, consumer: Consumer, work_on: Callable[[Work], Awaitable[None]]) -> AsyncIterator[None]:
    """Has `work_on` done in a transaction of its own every so often, as long as the context lasts.

    Rows that it could not see to wait for the next round: whatever fails is logged, and tried again.
    """

    async def run() -> None:
        while True:
            try:
                await consumer.transact(work_on)
            except Exception as error:
                _log.error("timer_failed", timer=work_on.__name__, exc_info=error)
            await asyncio.sleep(seconds)

    task = asyncio.create_task(run(), name=f"timer-{work_on.__name__}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
