"""The rules of intake: what a submission becomes. Pure: time and registry are arguments."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from habeas.contracts.status import Due, StatusReason
from habeas.contracts.submission import Identity, RequestSubmitted, SubmissionPersonal
from habeas.contracts.vocabulary import Relationship, Right
from shared.events import Decision, OpenedPersonal
from shared.law.deadline import deadline, strictest_deadline
from shared.law.regime import regimes
from shared.registry import Portal, Registry

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far a portal's clock may run ahead of ours."""

CARRIED_OUT: Final = frozenset({Right.ACCESS, Right.ERASURE})
"""The rights that run by themselves; a person takes up the others."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U to mishear
_REFERENCE_BITS: Final = 40


class ReasonCode(StrEnum):
    """Why a request was not accepted. Travels in clear."""

    IDENTITY_NOT_ESTABLISHED = "identity_not_established"
    RIGHT_NOT_CLASSIFIED = "right_not_classified"
    RIGHT_NOT_AUTOMATED = "right_not_automated"
    REGULATION_UNKNOWN = "regulation_unknown"
    ACTS_FOR_ANOTHER = "acts_for_another"
    SCOPE_LIMITED = "scope_limited"
    COMES_AFTER_ANOTHER = "comes_after_another"


@dataclass(frozen=True, slots=True)
class Opening:
    """What became of a submission, with everything that is to be said on."""

    decision: Decision
    regulation: str | None
    due: Due
    reason: StatusReason | None
    personal: OpenedPersonal


def in_future(submission: RequestSubmitted, now: datetime) -> bool:
    """Whether it claims a receipt that has not happened yet: the clock of the law cannot start ahead of time."""
    return submission.received_at > now + CLOCK_TOLERANCE


def open_request(
    submission: RequestSubmitted, personal: SubmissionPersonal, *, portal: Portal, registry: Registry, now: datetime
) -> Opening:
    """Decide about a submission that keeps the contract.

    What cannot be classified is never refused: it opens for a person, under the strictest clock there is. A person
    whose identity no trusted method has proven is refused for now (GDPR Art. 12(2), 12(6)); nothing unproven is used.
    """
    proven = tuple(identity for identity in personal.subject.identities if is_proven(identity, portal, now))
    kept = OpenedPersonal(
        subject=personal.subject.model_copy(update={"identities": proven}),
        requester=personal.requester,
        deliver_to=personal.deliver_to,
        details=personal.details,
    )
    regulation = submission.regulation or registry.regulation_for(submission.jurisdiction)
    place, zone = registry.controller.place, registry.controller.time_zone

    def opening(decision: Decision, code: ReasonCode | None, due: Due) -> Opening:
        reason = None if code is None else StatusReason(code=code)
        return Opening(decision, regulation, due, reason, kept)

    unclear = _unclear(submission, personal, regulation)
    if unclear is not None or regulation is None or not isinstance(submission.right, Right):
        due = strictest_deadline(submission.received_at, place=place, time_zone=zone)
        return opening(Decision.TRIAGE, unclear or ReasonCode.RIGHT_NOT_CLASSIFIED, due)
    due = deadline(regulation, submission.right, submission.received_at, place=place, time_zone=zone)
    if not proven:
        return opening(Decision.REFUSED, ReasonCode.IDENTITY_NOT_ESTABLISHED, due)
    return opening(Decision.ACCEPTED, None, due)


def _unclear(submission: RequestSubmitted, personal: SubmissionPersonal, regulation: str | None) -> ReasonCode | None:
    """Why a person has to look at it first, if so: the first of these that holds.

    A plan covers everything, so to carry out a request that is limited could erase more than was asked; and an erasure
    that overtook the access it comes after would leave nothing to copy.
    """
    right, details = submission.right, personal.details
    findings = (
        (not isinstance(right, Right) or right is Right.UNCLASSIFIED, ReasonCode.RIGHT_NOT_CLASSIFIED),
        (regulation not in regimes(), ReasonCode.REGULATION_UNKNOWN),
        (right not in CARRIED_OUT, ReasonCode.RIGHT_NOT_AUTOMATED),
        (personal.requester.relationship != Relationship.SELF, ReasonCode.ACTS_FOR_ANOTHER),
        (bool(submission.after), ReasonCode.COMES_AFTER_ANOTHER),
        (bool(details.categories or details.purposes or details.period), ReasonCode.SCOPE_LIMITED),
    )
    return next((code for holds, code in findings if holds), None)


def is_proven(identity: Identity, portal: Portal, now: datetime) -> bool:
    """Whether the portal's word on this identity is taken: a trusted method, at its level, not dated ahead."""
    proof = identity.proof
    if proof is None or proof.at > now + CLOCK_TOLERANCE:
        return False
    return portal.trusts(proof.method, proof.level, identity.identity_type)


def reference(number: int) -> str:
    """A request's reference for people (`HB-7K3M-Q2P9`): unique for each `number` below 2**40, and not a count.

    The number is scrambled by steps that each can be undone, so no two numbers share a reference.
    """
    mask = (1 << _REFERENCE_BITS) - 1
    scrambled = (number * 0x9E3779B97F4A7C15 + 0x1F83D9ABFB) & mask
    scrambled ^= scrambled >> (_REFERENCE_BITS // 2)
    scrambled = (scrambled * 0x2545F4914F6CDD1D) & mask
    digits = "".join(_ALPHABET[(scrambled >> shift) & 31] for shift in range(_REFERENCE_BITS - 5, -1, -5))
    return f"HB-{digits[:4]}-{digits[4:]}"
