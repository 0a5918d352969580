"""Fan-out: opened requests in, tasks out."""

from habeas.contracts.topics import PROGRESS, REQUESTS
from services.fanout.handlers import Handlers
from shared.events import RequestOpened, SystemsFinished
from shared.messaging.consumer import Route
from shared.messaging.service import Context, Parts, run
from shared.settings import ServiceSettings


def assemble(context: Context[ServiceSettings]) -> Parts:
    handlers = Handlers(context.registry)
    return Parts(
        routes=(
            Route((REQUESTS,), RequestOpened, handlers.opened),
            Route((PROGRESS,), SystemsFinished, handlers.finished),
        ),
        settle=handlers.settle,
    )


def main() -> None:
    run("fanout", assemble, ServiceSettings)
