"""Commands in, decisions out: what a person of the privacy team orders about an accepted request."""

from collections.abc import Sequence, Set
from dataclasses import replace
from uuid import UUID

from habeas.contracts import Reason
from habeas.contracts.command import (
    CommandDecided,
    CommandLift,
    CommandRelease,
    CommandRetry,
    CommandWeigh,
    DecisionReason,
)
from habeas.contracts.topics import DECISIONS, PROGRESS
from services.collector import domain, store
from services.collector.case import Case, Order, OrderKind
from shared.events import RequestCollected
from shared.messaging.received import Received
from shared.messaging.work import Work

Command = CommandWeigh | CommandLift | CommandRetry | CommandRelease


class Commands:
    def __init__(self, marketing: Set[tuple[str, str]]) -> None:
        """`marketing`: systems and their categories of direct marketing."""
        self._marketing = marketing

    async def ordered(self, batch: Sequence[Received[Command, None]], work: Work) -> None:
        """Each is decided once, under the lock of its case; a command that comes again gets the same decision."""
        decided = dict(await store.decided(work.connection, {received.body.command_id for received in batch}))
        cases = {
            case.opened.request_id: case
            for case in await store.lock_cases(
                work.connection, {received.request_id for received in batch}, self._marketing
            )
        }
        for received in batch:
            command = received.body
            if command.command_id in decided and decided[command.command_id].request_id != command.request_id:
                work.refuse(received, Reason.CONFLICT, "/command_id", "used for another request: take a new id")
                continue
            if command.command_id not in decided:
                decided[command.command_id] = await self._decide(command, cases, work)
            work.send(DECISIONS, decided[command.command_id], subject=command.request_id)

    async def _decide(self, command: Command, cases: dict[UUID, Case], work: Work) -> CommandDecided:
        case = cases.get(command.request_id)
        order = _order(command)
        if order.kind is OrderKind.RELEASE and case is not None and case.status is not None and case.status.reason:
            order = replace(order, argument=case.status.reason.code)
        refusal = "request_unknown" if case is None else domain.refusal(case, order, command.expected_version)
        decision = CommandDecided(
            command_id=command.command_id,
            request_id=command.request_id,
            accepted=refusal is None,
            decided_at=work.now,
            reason=DecisionReason(code=refusal) if refusal else None,
        )
        await store.record_decision(work.connection, decision, order if refusal is None else None, work.now)
        if case is not None and refusal is None:
            cases[command.request_id] = replace(case, orders=(*case.orders, order))
            work.touched.add(command.request_id)
            if order.kind is OrderKind.RELEASE:
                # Whoever never came is not waited for any more.
                for missing in sorted(await store.unopened(work.connection, case.opened.after)):
                    work.send(
                        PROGRESS, RequestCollected(request_id=missing, let_go=case.opened.request_id), subject=missing
                    )
        return decision


def _order(command: Command) -> Order:
    match command:
        case CommandWeigh():
            return Order(command.command_id, OrderKind.WEIGH, command.verdict)
        case CommandLift():
            return Order(command.command_id, OrderKind.LIFT)
        case CommandRetry():
            return Order(command.command_id, OrderKind.RETRY, command.system)
        case CommandRelease():
            return Order(command.command_id, OrderKind.RELEASE)
