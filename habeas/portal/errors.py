"""What can go wrong for a portal, told so that the reader knows what to do next. No text quotes a message."""

from uuid import UUID

from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.errors import HabeasError
from habeas.contracts.status import SubmissionError, SubmissionRejected


class PortalError(HabeasError):
    """Base of every error of the portal library."""


class UnreachableError(PortalError):
    """Kafka does not answer, or does not take the credentials."""

    def __init__(self, seconds: float, cause: str) -> None:
        super().__init__(
            f"Kafka cannot be reached within {seconds:g} s ({cause}): see whether it is up, and whether "
            "HABEAS_KAFKA_BOOTSTRAP_SERVERS, _SECURITY_PROTOCOL, _SASL_USERNAME and _SASL_PASSWORD are right"
        )
        self.cause = cause


class DeniedError(PortalError):
    """Kafka's ACLs do not let this principal do that: credentials and name of the portal do not belong together."""

    def __init__(self, portal: str, verb: str, what: str) -> None:
        super().__init__(
            f"Kafka's ACLs do not let this principal {verb} {what}: use the credentials of {portal}, or have "
            f"`habeas topology apply` run for a registry that names {portal}"
        )
        self.portal = portal
        self.what = what


class NotConfirmedError(PortalError):
    """Kafka did not confirm a message in time. It may have arrived all the same.

    To publish `event` again is safe: with the same ce_id it is the same message. So is another `submit` with the same
    request id and content: it is the same request.
    """

    def __init__(self, event: CloudEvent, seconds: float, cause: str) -> None:
        super().__init__(
            f"Kafka has not confirmed the message about {event.subject} within {seconds:g} s ({cause}): it may have "
            "arrived or not, so `publish` this error's `event` again, or submit anew with the same request_id, times "
            "and content"
        )
        self.event = event
        self.request_id = event.subject
        self.cause = cause


class Rejected(PortalError):  # noqa: N818 - what happened to the submission, in the word of its event
    """Habeas refused a message of this portal; nothing has happened on its account.

    `errors` name the member at fault by JSON pointer (RFC 6901), or the header by its name, and never a value.
    """

    def __init__(self, rejection: SubmissionRejected) -> None:
        findings = ", ".join(f"{error.code} {error.pointer}".strip() for error in rejection.errors)
        super().__init__(f"the message was rejected: {findings}")
        self.request_id: UUID | None = rejection.request_id
        self.ce_id: UUID = rejection.ce_id
        self.errors: tuple[SubmissionError, ...] = rejection.errors


class RequestPurgedError(PortalError):
    """The request has been purged at the end of its retention: there is nothing left to follow."""

    def __init__(self, request_id: UUID) -> None:
        super().__init__(f"{request_id} has been purged: forget it")
        self.request_id = request_id


class ClosedError(PortalError):
    """The portal is not open, or was closed in the meantime."""

    def __init__(self) -> None:
        super().__init__("the portal is not open: use it within `async with Portal(…) as portal:`")
