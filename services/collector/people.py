"""Whom a case is about and who is written to. Pure rules."""

from typing import Final

from habeas.contracts.vocabulary import DeliverTo, Relationship
from shared.events import Audience, OpenedPersonal

EMAIL: Final = "email"


def audience(personal: OpenedPersonal) -> Audience:
    """Who reported or found something is no party to it; a child is spoken for by who asks."""
    match personal.requester.relationship:
        case Relationship.SELF:
            return Audience.PERSON
        case Relationship.REPORTER | Relationship.CONTROLLER:
            return Audience.BYSTANDER
        case _:
            return Audience.REPRESENTATIVE


def address(personal: OpenedPersonal) -> str | None:
    """Where the person is written to.

    An address that a trusted method has proven comes before one that was merely typed in: an answer must not go to
    whoever can name somebody else. Only a requester who acts for the subject is written to at their own: where they
    say so, or for a child. Whoever reported is written to, and never the person they reported.
    """
    for_somebody = audience(personal)
    own = personal.deliver_to == DeliverTo.REQUESTER or personal.subject.minor
    if for_somebody is Audience.BYSTANDER or (for_somebody is Audience.REPRESENTATIVE and own):
        return personal.requester.email
    proven = (item.identity_value for item in personal.subject.identities if item.identity_type == EMAIL)
    return next(proven, personal.requester.email)
