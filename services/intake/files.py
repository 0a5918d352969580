"""The requests that a batch is about: locked, changed, told and saved."""

from collections.abc import Collection
from typing import Self, assert_never
from uuid import UUID

import orjson

from habeas.contracts.submission import AmendedPersonal, RequestAmended, RequestSubmitted, SubmissionPersonal
from services.intake import changes, store
from services.intake.changes import (
    Judge,
    Nothing,
    Proven,
    Refused,
    Reopened,
    Request,
    Said,
    State,
    Wish,
    Withdrawn,
)
from services.intake.store import Copy, Locked, Saved
from services.intake.telling import tell_identities, tell_opened, tell_withdrawn
from shared.messaging.work import Work


class Files:
    """Requests under their row locks. What is taken is told at once, and saved in one statement at the end."""

    def __init__(self, work: Work, requests: dict[UUID, Request]) -> None:
        self._work = work
        self._requests = requests
        self._changed: set[UUID] = set()

    @classmethod
    async def lock(cls, work: Work, request_ids: Collection[UUID]) -> Self:
        locked = await store.lock(work.connection, request_ids)
        return cls(work, {each.request_id: _request(each, work) for each in locked})

    def __getitem__(self, request_id: UUID) -> Request | None:
        return self._requests.get(request_id)

    def apply(self, said: Said, judge: Judge) -> Refused | None:
        """Take a portal's message about a request that is known into effect; or why it cannot be, for its portal."""
        effect = changes.apply(self._requests[said.request_id], said, judge)
        match effect:
            case Nothing():
                pass
            case Refused():
                return effect
            case Proven():
                self._change(effect.request)
                tell_identities(said, effect, self._work)
            case Reopened():
                self.reopen(effect, said.ce_id)
            case Withdrawn():
                self._change(effect.request)
                tell_withdrawn(said, self._work)
            case _:
                assert_never(effect)
        return None

    def reopen(self, reopened: Reopened, cause: UUID) -> None:
        """`cause` is the ce_id of the message or command."""
        self._change(reopened.request)
        tell_opened([(reopened, cause)], self._work)

    def _change(self, request: Request) -> None:
        self._requests[request.request_id] = request
        self._changed.add(request.request_id)

    async def save(self) -> None:
        changed = [self._requests[request_id] for request_id in sorted(self._changed)]
        await store.save(
            self._work.connection,
            [
                Saved(
                    request.request_id,
                    request.state,
                    request.reason,
                    request.version,
                    request.withdrawn_at,
                    copy_of(request, self._work),
                    request.identities,
                )
                for request in changed
            ],
        )


def copy_of(request: Request, work: Work) -> Copy | None:
    """What is kept of a request in triage, its personal part sealed for the services alone."""
    if request.wish is None:
        return None
    body = request.wish.body.model_dump_json(exclude={"personal"})
    personal = work.seal(RequestSubmitted, request.wish.personal, subject=request.request_id)
    return Copy(body, personal)


def _request(locked: Locked, work: Work) -> Request:
    return Request(
        locked.request_id,
        locked.reference,
        locked.portal,
        State(locked.decision),
        locked.reason,
        locked.version,
        locked.opened_at,
        locked.withdrawn_at,
        None if locked.copy is None else _wish(locked.request_id, locked.copy, work),
        locked.identities,
    )


def _wish(request_id: UUID, copy: Copy, work: Work) -> Wish:
    members = {**orjson.loads(copy.submission), "personal": copy.personal}
    body = RequestSubmitted.model_validate_json(orjson.dumps(members))
    return Wish(body, work.open(RequestSubmitted, SubmissionPersonal, copy.personal, subject=request_id))


async def early_said(work: Work, request_ids: Collection[UUID]) -> dict[UUID, list[Said]]:
    """What was said about these requests before they came, opened, in the order in which each portal said it."""
    found: dict[UUID, list[Said]] = {}
    for message in await store.early(work.connection, request_ids):
        amendment = None
        if message.personal is not None:
            amendment = work.open(RequestAmended, AmendedPersonal, message.personal, subject=message.request_id)
        said = Said(message.portal, message.ce_id, message.request_id, message.heard_at, amendment, message.reason)
        found.setdefault(message.request_id, []).append(said)
    return found
