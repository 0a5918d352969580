"""Fan-out: opened requests in, tasks out."""

from habeas.contracts.topics import PROGRESS, REQUESTS
from services.fanout.handlers import Handlers
from shared.events import (
    IdentitiesAdded,
    RequestCollected,
    RequestOpened,
    RequestStopped,
    RoundOrdered,
    SystemsFinished,
)
from shared.messaging.consumer import Route
from shared.messaging.service import Context, Parts, run
from shared.messaging.timer import every
from shared.settings import ServiceSettings

_MISS_EVERY = 60.0


def assemble(context: Context[ServiceSettings]) -> Parts:
    handlers = Handlers(context.registry)
    return Parts(
        routes=(
            # What a batch says of a request before the request itself, so that its first plan takes it into account.
            Route((REQUESTS,), IdentitiesAdded, handlers.added),
            Route((PROGRESS,), SystemsFinished, handlers.finished),
            Route((PROGRESS,), RoundOrdered, handlers.ordered),
            Route((PROGRESS,), RequestStopped, handlers.stopped),
            Route((REQUESTS,), RequestOpened, handlers.opened),
            Route((PROGRESS,), RequestCollected, handlers.collected),
        ),
        settle=handlers.settle,
        beside=lambda consumer: every(_MISS_EVERY, consumer, handlers.miss_predecessors),
    )


def main() -> None:
    run("fanout", assemble, ServiceSettings)
