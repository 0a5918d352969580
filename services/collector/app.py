"""The collector: opened requests, plans, results and deliveries in; statuses, notices and answers out."""


from habeas.contracts.result import TaskFinished, TaskProgressed
from habeas.contracts.topics import PROGRESS, REQUESTS, results
from services.collector.handlers import Handlers
from shared.events import NoticeDelivered, PlanMade, RequestOpened, SubmissionRefused
from shared.messaging.consumer import Route
from shared.messaging.service import Context, Parts, run


def assemble(context: Context) -> Parts:
    handlers = Handlers(context.registry, context.keys, context.clock)
    systems = tuple(results(system) for system in context.registry.systems)
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
    )


def main() -> None:
    run("collector", assemble)
