"""The notifier: notices in, mails out; and the pages that hand out answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import Field

from habeas.contracts.topics import OUTCOMES
from services.notifier.desk import Desk
from services.notifier.handlers import Handlers
from services.notifier.letters import Reader, writer
from services.notifier.mails import MailRenderer
from services.notifier.pages import AnswerPages
from services.notifier.smtp import Postman
from services.notifier.worker import Worker
from shared.events import NoticeRequested
from shared.messaging.consumer import Consumer, Route
from shared.messaging.service import Context, Parts, run
from shared.objects import open_store
from shared.settings import ServiceSettings


class NotifierSettings(ServiceSettings):
    smtp_url: str = Field(repr=False, description="smtp://host:port, or smtps://user:password@host:port")
    smtp_connections: int = Field(
        8, ge=1, le=200, description="connections to it that are kept open, each for one mail at a time"
    )
    public_url: str = Field(description="where the answers' pages are reached from outside")
    store_url: str = Field(description="where answers lie, as for the collector")


def assemble(context: Context[NotifierSettings]) -> Parts:
    settings = context.settings
    reader = Reader(context.keys, settings.public_url)
    postman = Postman(settings.smtp_url, size=settings.smtp_connections)
    write = writer(reader, MailRenderer(context.registry))
    pages = AnswerPages(
        pool=context.pool,
        open_notice=reader.answer,
        objects=open_store(settings.store_url),
        clock=context.clock,
        registry=context.registry,
    )
    desk = Desk()

    @asynccontextmanager
    async def beside(consumer: Consumer) -> AsyncIterator[None]:
        worker = Worker(
            pool=context.pool,
            write=write,
            deliver=postman.deliver,
            outbox=consumer.outbox,
            clock=context.clock,
            conversations=settings.smtp_connections,
            desk=desk,
        )
        try:
            async with worker.running():
                yield
        finally:
            await postman.close()

    return Parts(
        routes=(Route((OUTCOMES,), NoticeRequested, Handlers(desk).requested),),
        pages=pages.add_to,
        beside=beside,
    )


def main() -> None:
    run("notifier", assemble, NotifierSettings)
