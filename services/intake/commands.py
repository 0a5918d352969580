"""Commands in, decisions out: what operators order about requests in triage."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from habeas.contracts import Reason
from habeas.contracts.canonical import canonical
from habeas.contracts.catalogue import COMMAND_TYPES
from habeas.contracts.command import Command, CommandClassify, CommandDecided, CommandRefuse, DecisionReason, Order
from habeas.contracts.topics import DECISIONS
from services.intake import changes, store
from services.intake.changes import Judge, NotAccepted, Reopened, Request
from services.intake.files import Files
from services.intake.store import Decided
from shared.messaging.received import Received
from shared.messaging.work import Work
from shared.registry import Registry

Ordered = TypeVar("Ordered", bound=Order)

Decide = Callable[[Request | None, Ordered], Reopened | str]
"""What becomes of a request, or the code of why the command is not accepted."""

_VERBS: Final = frozenset(model.TYPE for model in COMMAND_TYPES)


class Commands:
    """Idempotent by `command_id`: a command that comes again is told the same again.

    `expected_version` is not looked at: it is that of the status, whose only writer is the collector. Whether the
    request is still in triage, which its row lock guards, says as much.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def classify(self, batch: Sequence[Received[CommandClassify, None]], work: Work) -> None:
        judge = Judge(self._registry, work.now)
        await _decide(batch, work, lambda request, command: changes.classify(request, command, judge))

    async def refuse(self, batch: Sequence[Received[CommandRefuse, None]], work: Work) -> None:
        judge = Judge(self._registry, work.now)
        await _decide(batch, work, lambda request, command: changes.refuse(request, command, judge))

    async def unknown(self, batch: Sequence[Received[Command, None]], work: Work) -> None:
        """Somebody has to say that a verb is none. The verbs of others are theirs to answer."""
        nobodys = [received for received in batch if received.event.type not in _VERBS]
        await _decide(nobodys, work, lambda _request, _command: NotAccepted.VERB_UNKNOWN)


async def _decide(batch: Sequence[Received[Ordered, None]], work: Work, decide: Decide[Ordered]) -> None:
    if not batch:
        return
    known = await store.decisions(work.connection, {received.body.command_id for received in batch})
    files = await Files.lock(work, {received.request_id for received in batch})
    new = []
    for received in batch:
        digest = hashlib.sha256(canonical(received.body, ce_type=received.event.type)).digest()
        decided = known.get(received.body.command_id)
        if decided is None:
            outcome = decide(files[received.request_id], received.body)
            if isinstance(outcome, Reopened):
                files.reopen(outcome, received.event.id)
            reason = None if isinstance(outcome, Reopened) else outcome
            decided = Decided(received.body.command_id, received.request_id, digest, reason, work.now)
            known[decided.command_id] = decided
            new.append(decided)
        elif decided.digest != digest:
            work.refuse(received, Reason.CONFLICT, "/command_id", "this id was used for another command: take a new id")
            continue
        _tell(decided, received, work)
    await files.save()
    await store.decide(work.connection, new)


def _tell(decided: Decided, received: Received[Ordered, None], work: Work) -> None:
    body = CommandDecided(
        command_id=decided.command_id,
        request_id=decided.request_id,
        accepted=decided.reason is None,
        decided_at=decided.decided_at,
        reason=None if decided.reason is None else DecisionReason(code=decided.reason),
    )
    work.send(DECISIONS, body, subject=decided.request_id, causation=received.event.id)
