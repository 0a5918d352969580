"""The collector: opened requests, plans, results and deliveries in; statuses, notices and answers out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

from pydantic import Field

from habeas.contracts.result import TaskFinished, TaskProgressed
from habeas.contracts.topics import COMMANDS, PROGRESS, REQUESTS, results
from services.collector.assembler import Assembler
from services.collector.commands import Command, Commands
from services.collector.handlers import Handlers
from shared.events import (
    CollectionAwaited,
    NoticeDelivered,
    PlanMade,
    RequestOpened,
    SubmissionRefused,
    WithdrawalReceived,
)
from shared.messaging.consumer import Consumer, Route
from shared.messaging.service import Context, Parts, run
from shared.messaging.timer import every
from shared.objects import open_store
from shared.settings import ServiceSettings

_EXPIRE_EVERY = 60.0


class CollectorSettings(ServiceSettings):
    store_url: str = Field(description="where answers lie: file:///folder, s3://bucket, gs://…, az://…")


def assemble(context: Context[CollectorSettings]) -> Parts:
    assembler = Assembler(context.registry, open_store(context.settings.store_url))
    handlers = Handlers(context.registry, context.clock, assembler.wake)
    commands = Commands(handlers.marketing)
    systems = tuple(results(system) for system in context.registry.systems)

    @asynccontextmanager
    async def beside(consumer: Consumer) -> AsyncIterator[None]:
        async with every(_EXPIRE_EVERY, consumer, handlers.expire_orphans), assembler.running(consumer):
            yield

    return Parts(
        routes=(
            Route((REQUESTS,), RequestOpened, handlers.opened, opened=False),
            Route((REQUESTS,), SubmissionRefused, handlers.refused),
            Route((REQUESTS,), WithdrawalReceived, handlers.withdrawn),
            Route((PROGRESS,), PlanMade, handlers.planned),
            Route((PROGRESS,), CollectionAwaited, handlers.awaited),
            Route((PROGRESS,), NoticeDelivered, handlers.delivered),
            Route(systems, TaskProgressed, handlers.progressed),
            Route(systems, TaskFinished, handlers.finished),
            *(Route((COMMANDS,), command, commands.ordered) for command in get_args(Command)),
        ),
        # What may end a request comes before what begins one: in a flood all is known when it is decided about.
        first=((PROGRESS,), systems),
        settle=handlers.settle,
        repair=handlers.repair,
        beside=beside,
    )


def main() -> None:
    run("collector", assemble, CollectorSettings)
