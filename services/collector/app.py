"""The collector: opened requests, plans, results and deliveries in; statuses, notices and answers out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from pydantic import Field

from habeas.contracts.result import TaskFinished, TaskProgressed
from habeas.contracts.topics import PROGRESS, REQUESTS, results
from services.collector.assembler import Assembler
from services.collector.handlers import Handlers
from shared.events import NoticeDelivered, PlanMade, RequestOpened, SubmissionRefused
from shared.messaging.consumer import Consumer, Route
from shared.messaging.service import Context, Parts, run
from shared.objects import open_store
from shared.settings import ServiceSettings

_log = structlog.get_logger(__name__)

_EXPIRE_EVERY = 60.0


class CollectorSettings(ServiceSettings):
    store_url: str = Field(description="where answers lie: file:///folder, s3://bucket, gs://…, az://…")


def assemble(context: Context[CollectorSettings]) -> Parts:
    assembler = Assembler(context.registry, open_store(context.settings.store_url))
    handlers = Handlers(context.registry, context.clock, assembler.wake)
    systems = tuple(results(system) for system in context.registry.systems)

    @asynccontextmanager
    async def beside(consumer: Consumer) -> AsyncIterator[None]:
        expiring = asyncio.create_task(_expire(consumer, handlers), name="orphans")
        try:
            async with assembler.running(consumer):
                yield
        finally:
            expiring.cancel()
            await asyncio.gather(expiring, return_exceptions=True)

    return Parts(
        routes=(
            Route((REQUESTS,), RequestOpened, handlers.opened),
            Route((REQUESTS,), SubmissionRefused, handlers.refused),
            Route((PROGRESS,), PlanMade, handlers.planned),
            Route((PROGRESS,), NoticeDelivered, handlers.delivered),
            Route(systems, TaskProgressed, handlers.progressed),
            Route(systems, TaskFinished, handlers.finished),
        ),
        settle=handlers.settle,
        repair=handlers.repair,
        beside=beside,
    )


async def _expire(consumer: Consumer, handlers: Handlers) -> None:
    while True:
        try:
            await consumer.transact(handlers.expire_orphans)
        except Exception as error:  # the rows wait for the next round
            _log.error("expiring_failed", exc_info=error)
        await asyncio.sleep(_EXPIRE_EVERY)


def main() -> None:
    run("collector", assemble, CollectorSettings)
