"""Grounds: why a wish is not met, or met in part. A code for machines, the article, and a sentence for the person.

The sentences are this project's words, not the law's. They say what was found, never anything about the person.
"""

from dataclasses import dataclass
from typing import Final

from shared.law.errors import UnknownGroundError


@dataclass(frozen=True, slots=True)
class Ground:
    code: str
    article: str
    sentence: str


_CATALOGUE: Final = (
    # What is kept at an erasure (GDPR Art. 17).
    Ground(
        "accounting_records",
        "GDPR Art. 17(3)(b)",
        "Tax and accounting law obliges us to keep these records. We use them for nothing else.",
    ),
    Ground(
        "legal_obligation",
        "GDPR Art. 17(3)(b)",
        "A law obliges us to keep this. We use it for nothing else.",
    ),
    Ground(
        "public_task",
        "GDPR Art. 17(3)(b)",
        "This is needed for a task in the public interest that has been given to us.",
    ),
    Ground(
        "proof_of_consent",
        "GDPR Art. 7(1), 17(3)(e)",
        "We must be able to show that you once agreed and when you stopped. We keep that proof alone.",
    ),
    Ground(
        "legal_claims",
        "GDPR Art. 17(3)(e)",
        "A legal claim is open for which this is needed. It is deleted when the claim is settled.",
    ),
    Ground(
        "freedom_of_expression",
        "GDPR Art. 17(3)(a)",
        "The freedom of expression and information outweighs the deletion here.",
    ),
    Ground(
        "public_health",
        "GDPR Art. 17(3)(c)",
        "This is needed in the public interest for the protection of public health.",
    ),
    Ground(
        "archiving_and_research",
        "GDPR Art. 17(3)(d)",
        "This is kept for archiving, research or statistics, which its deletion would seriously impair.",
    ),
    Ground(
        "still_necessary",
        "GDPR Art. 17(1)(a)",
        "Your contract with us still runs and we need this for it. It is deleted after the contract has ended.",
    ),
    Ground(
        "held_for_request",
        "GDPR Art. 12(2), 15",
        "We keep this until the request of yours that comes first has been answered.",
    ),
    # What limits a copy, an objection, or any right.
    Ground(
        "rights_of_others",
        "GDPR Art. 15(4), 20(4)",
        "Parts concern other people as well. Handing them over would harm their rights.",
    ),
    Ground(
        "overriding_grounds",
        "GDPR Art. 21(1)",
        "We have weighed your objection. Compelling reasons for the processing outweigh it.",
    ),
    Ground(
        "not_provided_by_person",
        "GDPR Art. 20(1)",
        "This right covers what you gave us and what was recorded of your use, not what we derived or got elsewhere.",
    ),
    Ground(
        "other_legal_basis",
        "GDPR Art. 20(1)(a), 21(1)",
        "The right you asked for does not cover data that we process on this legal basis.",
    ),
    Ground(
        "withdraw_consent",
        "GDPR Art. 7(3), 21(1)",
        "We process this because you agreed to it. You need not object: withdraw your consent at any time.",
    ),
    Ground(
        "restricted",
        "GDPR Art. 18(2)",
        "This is restricted: we keep it and do nothing else with it.",
    ),
    # Why a request as a whole is refused.
    Ground(
        "identity_not_established",
        "GDPR Art. 12(2), 12(6)",
        "We could not establish that it is you who asks, so we may not act on the request.",
    ),
    Ground(
        "unfounded_or_excessive",
        "GDPR Art. 12(5)(b)",
        "A person has looked at the request and found it manifestly unfounded or excessive.",
    ),
    Ground(
        "not_controller",
        "GDPR Art. 4(7), 15(1)",
        "We do not decide about this data. Please ask the organisation that does.",
    ),
    # An answer, not a refusal.
    Ground(
        "nothing_held",
        "GDPR Art. 15(1)",
        "We have looked in every system named here and hold no data about you under the identifiers you gave us.",
    ),
)

GROUNDS: Final[dict[str, Ground]] = {entry.code: entry for entry in _CATALOGUE}


def ground(code: str) -> Ground:
    """The ground with that code; raises `UnknownGroundError` naming those there are."""
    try:
        return GROUNDS[code]
    except KeyError as error:
        raise UnknownGroundError(code, tuple(GROUNDS)) from error
