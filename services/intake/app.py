"""Intake: submissions in, opened requests out."""

from habeas.contracts.submission import IdentityConfirmed, RequestAmended, RequestSubmitted, RequestWithdrawn
from habeas.contracts.topics import submissions
from services.intake.handlers import Handlers, not_yet
from shared.messaging.consumer import Route
from shared.messaging.service import Context, Parts, run
from shared.settings import ServiceSettings


def assemble(context: Context[ServiceSettings]) -> Parts:
    handlers = Handlers(context.registry)
    topics = tuple(submissions(portal) for portal in context.registry.portals)
    return Parts(
        routes=(
            Route(topics, RequestSubmitted, handlers.submitted),
            *(
                Route(topics, message, not_yet(message))
                for message in (RequestAmended, RequestWithdrawn, IdentityConfirmed)
            ),
        ),
        on_refused=handlers.tell_portals,
    )


def main() -> None:
    run("intake", assemble, ServiceSettings)
