"""What a portal says, as events ready to be published. Pure: keys, time and ids are arguments.

Everything is checked here, before anything leaves: errors name the member by JSON pointer and never quote a value.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import orjson
from pydantic import ValidationError

from habeas.contracts.base import Message, Model, PersonalModel, Timestamp, identifier, strict_json
from habeas.contracts.catalogue import seal_personal, write
from habeas.contracts.cloudevents import CloudEvent, rfc3339
from habeas.contracts.errors import ContractError, Reason, invalid, not_json
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.submission import (
    AmendedPersonal,
    ConfirmedPersonal,
    Identity,
    IdentityConfirmed,
    RequestAmended,
    Requester,
    RequestSubmitted,
    RequestWithdrawn,
    Subject,
    SubmissionPersonal,
)
from habeas.contracts.vocabulary import ProofLevel

Checked = TypeVar("Checked", bound=Model)


class _Receipt(Model):
    received_at: Timestamp


@dataclass(frozen=True, slots=True)
class Writer:
    """Seals and writes as one portal, with the keys and at the time of now."""

    portal: str
    keyring: Keyring
    now: datetime
    new_id: Callable[[], UUID] = uuid4

    def submitted(self, document: Mapping[str, Any]) -> CloudEvent:
        """A request, from the body's members with `personal` in clear.

        Left out, `request_id` is a new one, `received_at` now, and `submitted_time` the same. A given `request_id`
        needs its `received_at`: sent again with another time it would be other content, and a conflict.
        Raises `ContractError`.
        """
        members = dict(document)
        if members.get("request_id") is None:
            members["request_id"] = str(self.new_id())
            members.setdefault("received_at", rfc3339(self.now))
        elif "received_at" not in members:
            detail = "give it together with request_id, so that the same message can be sent again"
            raise ContractError(Reason.MEMBER_MISSING, "/received_at", detail)
        if "submitted_time" not in members:
            receipt = checked(_Receipt, {"received_at": members["received_at"]})
            members["submitted_time"] = receipt.received_at
        return self.message(RequestSubmitted, SubmissionPersonal, members)

    def amended(self, document: Mapping[str, Any]) -> CloudEvent:
        """What a person adds to a request. Raises `ContractError`."""
        personal = document.get("personal")
        if document.get("answers") is None and isinstance(personal, Mapping) and not any(personal.values()):
            raise ContractError(Reason.MEMBER_MISSING, "/personal", "adds nothing: give identities, requester, details")
        return self.message(RequestAmended, AmendedPersonal, document)

    def withdrawn(self, document: Mapping[str, Any]) -> CloudEvent:
        """A person takes a request back. Raises `ContractError`."""
        return self.message(RequestWithdrawn, None, document)

    def confirmed(self, document: Mapping[str, Any]) -> CloudEvent:
        """The portal has proven identities that it could not attest at submission. Raises `ContractError`."""
        return self.message(IdentityConfirmed, ConfirmedPersonal, document)

    def message(
        self, model: type[Message], personal_model: type[PersonalModel] | None, document: Mapping[str, Any]
    ) -> CloudEvent:
        """`document` as an event of the type that `model` is for, its `personal` sealed. Raises `ContractError`."""
        request_id = _request_id(document)
        members = {**document, "request_id": str(request_id)}
        if personal_model is not None:
            personal = checked(personal_model, document.get("personal"), "/personal")
            members["personal"] = seal_personal(self.keyring, Place(self.portal, model.TYPE, request_id), personal)
        body = checked(model, members)
        return write(body, subject=request_id, source=f"portals/{self.portal}", now=self.now, new_id=self.new_id)


def proven(
    identity_type: str,
    identity_value: str,
    *,
    at: datetime,
    method: str = "portal_login",
    level: ProofLevel | str = ProofLevel.SUBSTANTIAL,
) -> Identity:
    """An identity that the person has shown to be theirs, `at` that time, by one of the portal's trusted methods.

    Raises `ContractError`. The registry says which methods a portal is believed for, and up to which level.
    """
    members = {"identity_type": identity_type, "identity_value": identity_value}
    return checked(Identity, {**members, "proof": {"method": method, "at": at, "level": level}})


def submission_personal(
    subject: Subject | None, identities: Iterable[Identity], requester: Requester | None, **members: Any
) -> dict[str, Any]:
    """The `personal` of a submission, where the subject may be given as identities alone, and asks for themself.

    Without `requester` it is the subject, written to at the first e-mail address that has a proof. Raises
    `ContractError` where nobody can be written to there.
    """
    subject = subject or Subject()
    everything = (*subject.identities, *identities)
    if requester is None:
        proven_address = (each for each in everything if each.identity_type == "email" and each.proof is not None)
        address = next(proven_address, None)
        asks = {"name": subject.name, "email": address.identity_value if address else None}
        requester = checked(Requester, asks, "/personal/requester")
    return {
        "subject": subject.model_copy(update={"identities": everything}),
        "requester": requester,
        **members,
    }


def checked(model: type[Checked], value: object, prefix: str = "") -> Checked:
    """`value` as `model`, by the rules for JSON, whether it is made of dicts or of models. Raises `ContractError`."""
    # Raised outside of the `except` block, which would keep the refused values reachable as the error's context.
    refusal = not_json(prefix)
    data = _json(value)
    if data is not None and strict_json(data)[0]:
        try:
            return model.model_validate_json(data)
        except ValidationError as error:
            refusal = invalid(error, prefix)
    raise refusal


def _json(value: object) -> bytes | None:
    try:
        return orjson.dumps(value, default=_plain)
    except (orjson.JSONEncodeError, UnicodeEncodeError):
        return None


def _plain(value: object) -> object:
    if isinstance(value, Model):
        return value.model_dump(mode="json")
    raise TypeError


def _request_id(document: Mapping[str, Any]) -> UUID:
    given = document.get("request_id")
    found = given if isinstance(given, UUID) else identifier(given) if isinstance(given, str) else None
    if found is None:
        raise ContractError(Reason.MEMBER_INVALID, "/request_id", "must be a UUID in its 36-character form")
    return found
