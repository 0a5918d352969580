"""What is said about a request after its submission, and what that makes of it. Pure.

A request that is in triage can still become anything: what it is made of is kept (`Wish`), changed, and judged anew. Of
any other only the state is known here; the collector decides about those that were accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from habeas.contracts import Reason
from habeas.contracts.command import CommandClassify, CommandRefuse
from habeas.contracts.status import StatusReason
from habeas.contracts.submission import AmendedPersonal, Identity, RequestSubmitted, SubmissionPersonal
from services.intake import domain
from services.intake.domain import Opening
from shared.events import Decision
from shared.law.grounds import GROUNDS
from shared.registry import Registry

IDENTITIES_LIMIT: Final = 50
"""As the contract has it for the identities of a subject."""


class State(StrEnum):
    """Where a request stands, as far as intake decides about it."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    TRIAGE = "triage"
    WITHDRAWN = "withdrawn"
    """Taken back while it was in triage: nobody can accept it any more."""


class NotAccepted(StrEnum):
    """Why a command was not accepted, beside the reasons of `domain.ReasonCode`."""

    VERB_UNKNOWN = "verb_unknown"
    REQUEST_UNKNOWN = "request_unknown"
    NOT_IN_TRIAGE = "not_in_triage"
    GROUND_UNKNOWN = "ground_unknown"
    AMENDED_SINCE = "amended_since"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was submitted, with everything that was added since."""

    body: RequestSubmitted
    personal: SubmissionPersonal = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as intake knows it. `version` is that of what was last told about it."""

    request_id: UUID
    reference: str
    portal: str
    state: State
    reason: str | None
    version: int
    opened_at: datetime
    withdrawn_at: datetime | None = None
    wish: Wish | None = None
    identities: int = 0
    """How many proven ones the others were told of, once it is accepted."""


@dataclass(frozen=True, slots=True)
class Said:
    """A portal's message about a request: an amendment, or else a withdrawal with its `reason`."""

    portal: str
    ce_id: UUID
    request_id: UUID
    heard_at: datetime
    amendment: AmendedPersonal | None = field(default=None, repr=False)
    reason: str | None = None

    @property
    def key(self) -> tuple[str, UUID]:
        return self.portal, self.ce_id


@dataclass(frozen=True, slots=True)
class Judge:
    """The rules of opening, under one registry at one time."""

    registry: Registry
    now: datetime

    def opening(self, wish: Wish, portal: str, *, vouched: bool = False) -> Opening:
        return domain.open_request(
            wish.body,
            wish.personal,
            portal=self.registry.portals.get(portal),
            registry=self.registry,
            now=self.now,
            vouched=vouched,
        )

    def is_proven(self, identity: Identity, portal: str) -> bool:
        return domain.is_proven(identity, self.registry.portals.get(portal), self.now)


@dataclass(frozen=True, slots=True)
class Nothing:
    """It makes no difference."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A portal's message that cannot be; nothing of it counts."""

    reason: Reason
    pointer: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Proven:
    """Further identities of an accepted request."""

    request: Request
    identities: tuple[Identity, ...]


@dataclass(frozen=True, slots=True)
class Reopened:
    """It is to be told anew: `request` is what it is from now on, and `wish` what `opening` was made of."""

    request: Request
    wish: Wish
    opening: Opening


@dataclass(frozen=True, slots=True)
class Withdrawn:
    request: Request


Effect = Nothing | Refused | Proven | Reopened | Withdrawn

_FOREIGN = Refused(Reason.FOREIGN_REQUEST, "/request_id", "the request belongs to another portal")
_ENDED = Refused(Reason.TOO_LATE, "", "the request was refused or withdrawn: submit a new one where it is still wanted")
_TOO_MANY = Refused(
    Reason.MEMBER_INVALID, "/personal/identities", f"a request has at most {IDENTITIES_LIMIT} identities"
)


def apply(request: Request, said: Said, judge: Judge) -> Effect:
    """What a message makes of a request that is known."""
    if said.portal != request.portal:
        return _FOREIGN
    if said.amendment is None:
        return withdraw(request, said.heard_at)
    return amend(request, said.amendment, judge)


def amend(request: Request, amendment: AmendedPersonal, judge: Judge) -> Effect:
    """Identities, requester and details are added to what is in triage; identities alone to what is accepted."""
    if request.state is State.ACCEPTED:
        return _amend_accepted(request, amendment, judge)
    if request.state is not State.TRIAGE or request.wish is None:
        return _ENDED
    wish = _amended(request.wish, amendment, request.portal, judge)
    if isinstance(wish, Refused):
        return wish
    if wish == request.wish:
        return Nothing()
    # Told anew whatever it comes to: nobody is to vouch for what came after they looked.
    return _reopened(request, wish, judge.opening(wish, request.portal))


def _amend_accepted(request: Request, amendment: AmendedPersonal, judge: Judge) -> Effect:
    for member in ("requester", "details"):
        if getattr(amendment, member) is not None:
            return Refused(Reason.TOO_LATE, f"/personal/{member}", "the request is under way: submit a new one")
    proven = tuple(found for found in amendment.identities if judge.is_proven(found, request.portal))
    known = request.identities + len(proven)
    if known > IDENTITIES_LIMIT:
        return _TOO_MANY
    return Proven(replace(request, identities=known), proven) if proven else Nothing()


def _amended(wish: Wish, amendment: AmendedPersonal, portal: str, judge: Judge) -> Wish | Refused:
    """`wish` with what was added. The same identity counts once, with the better of its proofs."""
    personal = wish.personal
    identities = {_key(identity): identity for identity in personal.subject.identities}
    for identity in amendment.identities:
        known = identities.get(_key(identity))
        if known is None or (identity.proof is not None and not judge.is_proven(known, portal)):
            identities[_key(identity)] = identity
    if len(identities) > max(IDENTITIES_LIMIT, len(personal.subject.identities)):
        return _TOO_MANY
    changed: dict[str, object] = {
        "subject": personal.subject.model_copy(update={"identities": tuple(identities.values())})
    }
    if amendment.requester is not None:
        changed["requester"] = amendment.requester
    if amendment.details is not None:
        changed["details"] = amendment.details
    return replace(wish, personal=personal.model_copy(update=changed))


def _key(identity: Identity) -> tuple[str, str, str]:
    return identity.identity_type, identity.identity_value, identity.identity_format


def withdraw(request: Request, at: datetime) -> Effect:
    """What is accepted is the collector's to end; what is in triage ends here."""
    if request.withdrawn_at is not None:
        return Nothing()
    match request.state:
        case State.ACCEPTED:
            return Withdrawn(replace(request, withdrawn_at=at))
        case State.TRIAGE:
            return Withdrawn(replace(request, state=State.WITHDRAWN, reason=None, withdrawn_at=at, wish=None))
        case _:
            return _ENDED


def classify(request: Request | None, command: CommandClassify, judge: Judge) -> Reopened | str:
    """The request as the privacy team reads it, or the code of why it cannot be accepted so."""
    if request is None:
        return NotAccepted.REQUEST_UNKNOWN
    if request.state is not State.TRIAGE or request.wish is None:
        return NotAccepted.NOT_IN_TRIAGE
    if command.authorised and command.revision != request.version:
        return NotAccepted.AMENDED_SINCE
    given = {"regulation": command.regulation, "jurisdiction": command.jurisdiction}
    replaced = {"right": command.right, **{name: word for name, word in given.items() if word is not None}}
    wish = replace(request.wish, body=request.wish.body.model_copy(update=replaced))
    opening = judge.opening(wish, request.portal, vouched=command.authorised)
    return _reopened(request, wish, opening) if opening.reason is None else opening.reason.code


def refuse(request: Request | None, command: CommandRefuse, judge: Judge) -> Reopened | str:
    """The request refused, or the code of why it cannot be.

    The ground is the reason's code as well: so refused, a request is told as one that the rules refuse on that ground.
    """
    if request is None:
        return NotAccepted.REQUEST_UNKNOWN
    if request.state is not State.TRIAGE or request.wish is None:
        return NotAccepted.NOT_IN_TRIAGE
    if command.ground not in GROUNDS:
        return NotAccepted.GROUND_UNKNOWN
    judged = judge.opening(request.wish, request.portal)
    opening = replace(
        judged,
        decision=Decision.REFUSED,
        due=domain.due_date(request.wish.body, judged.regulation, judge.registry),
        reason=StatusReason(code=command.ground, ground=command.ground),
    )
    return _reopened(request, request.wish, opening)


@dataclass(frozen=True, slots=True)
class Begun:
    """A submission that becomes a request: `told` about it first, then its withdrawal, where that was there before."""

    told: Reopened
    request: Request
    withdrawal: Said | None
    refused: tuple[tuple[Said, Refused], ...]
    """Of what was said before, that which cannot be."""


def begin(request_id: UUID, reference: str, portal: str, wish: Wish, early: Sequence[Said], judge: Judge) -> Begun:
    """A submission with what its portal said about it before, in that order.

    The amendments are judged with it, so that it opens once; then the withdrawal counts, wherever it stood.
    """
    refused: list[tuple[Said, Refused]] = []
    for said in early:
        if said.portal != portal:
            refused.append((said, _FOREIGN))
        elif said.amendment is not None:
            amended = _amended(wish, said.amendment, portal, judge)
            if isinstance(amended, Refused):
                refused.append((said, amended))
            else:
                wish = amended
    opening = judge.opening(wish, portal)
    request = Request(request_id, reference, portal, version=1, opened_at=judge.now, **_standing(wish, opening))
    told, withdrawal = Reopened(request, wish, opening), None
    for said in early:
        if said.portal == portal and said.amendment is None:
            effect = withdraw(request, said.heard_at)
            if isinstance(effect, Withdrawn):
                request, withdrawal = effect.request, said
            elif isinstance(effect, Refused):
                refused.append((said, effect))
    return Begun(told, request, withdrawal, tuple(refused))


def _reopened(request: Request, wish: Wish, opening: Opening) -> Reopened:
    told = replace(request, version=request.version + 1, **_standing(wish, opening))
    return Reopened(told, wish, opening)


def _standing(wish: Wish, opening: Opening) -> dict[str, Any]:
    """The members of a `Request` that follow from its opening."""
    state = State(opening.decision)
    return {
        "state": state,
        "reason": opening.reason.code if opening.reason else None,
        "wish": wish if state is State.TRIAGE else None,
        "identities": len(opening.personal.subject.identities) if state is State.ACCEPTED else 0,
    }
