"""Intake: submissions and what is said about them in, opened requests out; commands in, decisions out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from habeas.contracts.command import Command, CommandClassify, CommandRefuse
from habeas.contracts.submission import IdentityConfirmed, RequestAmended, RequestSubmitted, RequestWithdrawn
from habeas.contracts.topics import COMMANDS, submissions
from services.intake.commands import Commands
from services.intake.handlers import Handlers
from services.intake.later import Later
from shared.messaging.consumer import Consumer, Route
from shared.messaging.service import Context, Parts, run
from shared.settings import ServiceSettings

_log = structlog.get_logger(__name__)

_TIDY_EVERY = 60.0


def assemble(context: Context[ServiceSettings]) -> Parts:
    handlers, later, commands = (
        Handlers(context.registry),
        Later(context.registry),
        Commands(context.registry),
    )
    topics = tuple(submissions(portal) for portal in context.registry.portals)

    @asynccontextmanager
    async def beside(consumer: Consumer) -> AsyncIterator[None]:
        tidying = asyncio.create_task(_tidy(consumer, later), name="tidy")
        try:
            yield
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)

    return Parts(
        # In the order in which a batch is handled: proof before what is judged by it, and the end last.
        routes=(
            Route(topics, RequestSubmitted, handlers.submitted),
            Route(topics, IdentityConfirmed, later.confirmed),
            Route(topics, RequestAmended, later.amended),
            Route(topics, RequestWithdrawn, later.withdrawn),
            Route((COMMANDS,), CommandClassify, commands.classify),
            Route((COMMANDS,), CommandRefuse, commands.refuse),
            Route((COMMANDS,), Command, commands.unknown),
        ),
        on_refused=handlers.tell_portals,
        beside=beside,
    )


async def _tidy(consumer: Consumer, later: Later) -> None:
    while True:
        try:
            await consumer.transact(later.tidy)
        except Exception as error:  # the rows wait for the next round
            _log.error("tidying_failed", exc_info=error)
        await asyncio.sleep(_TIDY_EVERY)


def main() -> None:
    run("intake", assemble, ServiceSettings)
