"""Whom a request is about and who is written to. Pure rules."""

from typing import Final

from habeas.contracts.vocabulary import DeliverTo, Relationship
from shared.events import Audience, OpenedPersonal

EMAIL: Final = "email"


def audience(personal: OpenedPersonal) -> Audience:
    """As whom whoever is written to reads. One who reported or found something is no party to it."""
    if _relationship(personal) is Audience.PERSON or _writes_to_subject(personal):
        return Audience.PERSON
    return _relationship(personal)


def address(personal: OpenedPersonal) -> str | None:
    """Where the letter goes.

    An address that a trusted method has proven comes before one that was merely typed in: an answer must not go to
    whoever can name somebody else. Only a requester who acts for the subject is written to at their own: where they
    say so, or for a child. Whoever reported is written to, and never the person they reported.
    """
    return _proven(personal) if _writes_to_subject(personal) else personal.requester.email


def name(personal: OpenedPersonal) -> str | None:
    """How the reader is greeted."""
    if _relationship(personal) is Audience.PERSON:
        return personal.requester.name or personal.subject.name
    return personal.subject.name if _writes_to_subject(personal) else personal.requester.name


def _relationship(personal: OpenedPersonal) -> Audience:
    match personal.requester.relationship:
        case Relationship.SELF:
            return Audience.PERSON
        case Relationship.REPORTER | Relationship.CONTROLLER:
            return Audience.BYSTANDER
        case _:
            return Audience.REPRESENTATIVE


def _writes_to_subject(personal: OpenedPersonal) -> bool:
    """Whether a proven address of the subject's own is written to."""
    if _proven(personal) is None:
        return False
    match _relationship(personal):
        case Audience.PERSON:
            return True
        case Audience.REPRESENTATIVE:
            return personal.deliver_to != DeliverTo.REQUESTER and not personal.subject.minor
        case Audience.BYSTANDER:
            return False


def _proven(personal: OpenedPersonal) -> str | None:
    return next((item.identity_value for item in personal.subject.identities if item.identity_type == EMAIL), None)
