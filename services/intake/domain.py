"""The rules of intake: what a submission becomes. Pure: time and registry are arguments.

`services.intake.changes` has what is said about a request afterwards; it is judged by the rules of this file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from habeas.contracts.status import Due, StatusReason
from habeas.contracts.submission import Details, Identity, RequestSubmitted, SubmissionPersonal
from habeas.contracts.vocabulary import COPIES, STOPPING, Relationship, Right
from shared.events import Decision, OpenedPersonal
from shared.law.deadline import deadline, strictest_deadline
from shared.law.regime import regime, regimes
from shared.registry import Portal, Registry

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far a portal's clock may run ahead of ours."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U to mishear
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_REFERENCE_BITS: Final = 40


class ReasonCode(StrEnum):
    """Why a request was not accepted. Travels in clear."""

    IDENTITY_NOT_ESTABLISHED = "identity_not_established"
    RIGHT_NOT_CLASSIFIED = "right_not_classified"
    RIGHT_NOT_AUTOMATED = "right_not_automated"
    REGULATION_UNKNOWN = "regulation_unknown"
    ACTS_FOR_ANOTHER = "acts_for_another"
    CHILD_REPORTED = "child_reported"
    SCOPE_UNKNOWN = "scope_unknown"
    SCOPE_LIMITED = "scope_limited"
    CORRECTIONS_MISSING = "corrections_missing"
    NOT_CONTROLLER = "not_controller"


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
    submission: RequestSubmitted,
    personal: SubmissionPersonal,
    *,
    portal: Portal | None,
    registry: Registry,
    now: datetime,
    vouched: bool = False,
) -> Opening:
    """Decide about a submission that keeps the contract, of a portal that may have left the registry since.

    What cannot be classified is never refused: it opens for a person, under the strictest clock configured. A person
    whose identity no trusted method has proven is refused for now (GDPR Art. 12(2), 12(6)); nothing unproven is used.
    `vouched`: the privacy team has satisfied itself of every identity, and of who may act for the person.
    """
    identities = personal.subject.identities
    proven = identities if vouched else tuple([found for found in identities if is_proven(found, portal, now)])
    subject = personal.subject
    kept = OpenedPersonal(
        subject=subject if len(proven) == len(identities) else subject.model_copy(update={"identities": proven}),
        requester=personal.requester,
        deliver_to=personal.deliver_to,
        details=personal.details,
    )
    regulation = submission.regulation or registry.regulation_for(submission.jurisdiction)
    decision, code = _decision(submission.right, regulation, personal, bool(proven), registry, vouched=vouched)
    due = (
        strictest_due(submission, registry)
        if decision is Decision.TRIAGE
        else due_date(submission, regulation, registry)
    )
    return Opening(decision, regulation, due, None if code is None else StatusReason(code=code), kept)


def due_date(submission: RequestSubmitted, regulation: str | None, registry: Registry) -> Due:
    """By the clock of its right and regulation, else by the strictest one."""
    right = submission.right
    if regulation is None or not isinstance(right, Right) or right not in _clocked().get(regulation, ()):
        return strictest_due(submission, registry)
    place, zone = registry.controller.place, registry.controller.time_zone
    return deadline(regulation, right, submission.received_at, place=place, time_zone=zone)


@cache
def _clocked() -> Mapping[str, frozenset[Right]]:
    """The rights that have a clock, by regime."""
    return {code: frozenset().union(*(clock.rights for clock in known.clocks)) for code, known in regimes().items()}


def strictest_due(submission: RequestSubmitted, registry: Registry) -> Due:
    """By the strictest clock of the regimes the registry names: one that the controller is not under sets no date."""
    place, zone = registry.controller.place, registry.controller.time_zone
    day = submission.received_at.astimezone(zone).date()
    return _strictest_of_day(day, tuple(registry.regulations), place, zone)


@lru_cache(maxsize=256)  # a day's requests share it
def _strictest_of_day(received: date, regulations: tuple[str, ...], place: str, time_zone: ZoneInfo) -> Due:
    noon = datetime.combine(received, time(12), time_zone)
    return strictest_deadline(noon, regulations=regulations, place=place, time_zone=time_zone)


def _decision(
    right: Right | str,
    regulation: str | None,
    personal: SubmissionPersonal,
    proven: bool,
    registry: Registry,
    *,
    vouched: bool,
) -> tuple[Decision, ReasonCode | None]:
    """The first of these that holds. A refusal that tells nobody anything comes before the question who asks."""
    unclear = _unclear_right(right, regulation)
    if unclear is None:
        if personal.details.categories and registry.not_controller.keys() >= set(personal.details.categories):
            return Decision.REFUSED, ReasonCode.NOT_CONTROLLER
        unclear = (None if vouched else _unclear_requester(personal)) or _unclear_details(
            right, personal.details, registry
        )
    if unclear is not None:
        return Decision.TRIAGE, unclear
    if not proven:
        return Decision.REFUSED, ReasonCode.IDENTITY_NOT_ESTABLISHED
    return Decision.ACCEPTED, None


def _unclear_right(right: Right | str, regulation: str | None) -> ReasonCode | None:
    """What a right reaches under a regulation has to be known to carry it out."""
    if not isinstance(right, Right) or right is Right.UNCLASSIFIED:
        return ReasonCode.RIGHT_NOT_CLASSIFIED
    if regulation is None or regulation not in regimes():
        return ReasonCode.REGULATION_UNKNOWN
    return None if right in regime(regulation).reach else ReasonCode.RIGHT_NOT_AUTOMATED


def _unclear_requester(personal: SubmissionPersonal) -> ReasonCode | None:
    """A bystander may report a child: a person looks after it, and nobody asks the child for proof."""
    relationship = personal.requester.relationship
    if relationship == Relationship.REPORTER and personal.subject.minor:
        return ReasonCode.CHILD_REPORTED
    return None if relationship == Relationship.SELF else ReasonCode.ACTS_FOR_ANOTHER


def _unclear_details(right: Right | str, details: Details, registry: Registry) -> ReasonCode | None:
    """A name that nobody knows limits the request to something, and only a person can find out to what."""
    rectifies = right is Right.RECTIFICATION
    named = details.categories or details.purposes or (rectifies and details.corrections)
    if named and not _all_known(details, registry, rectifies=rectifies):
        return ReasonCode.SCOPE_UNKNOWN
    if rectifies and not details.corrections:
        return ReasonCode.CORRECTIONS_MISSING
    # A system carries out what it is asked for whole: an erasure "for one purpose" or "of one year" would take more.
    limited = (details.period and right not in COPIES) or (details.purposes and right not in STOPPING)
    return ReasonCode.SCOPE_LIMITED if limited else None


def _all_known(details: Details, registry: Registry, *, rectifies: bool) -> bool:
    corrected = {correction.category for correction in details.corrections} if rectifies else set()
    return (
        registry.category_names | registry.not_controller.keys() >= set(details.categories)
        and registry.purposes.keys() >= set(details.purposes)
        and registry.category_names >= corrected
    )


def is_proven(identity: Identity, portal: Portal | None, now: datetime) -> bool:
    """Whether the portal's word on this identity is taken: a trusted method, at its level, not dated ahead."""
    proof = identity.proof
    if portal is None or proof is None or proof.at > now + CLOCK_TOLERANCE:
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
    first, second, third, fourth = (_PAIRS[(scrambled >> shift) & 1023] for shift in (30, 20, 10, 0))
    return f"HB-{first}{second}-{third}{fourth}"
