"""For portals, whatever takes people's requests: submit one, follow it to its end, amend it, take it back."""

from habeas.contracts.errors import ContractError, HabeasError
from habeas.contracts.sealing import KeyFileError
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.submission import (
    Authority,
    Correction,
    Details,
    Identity,
    Period,
    Proof,
    Requester,
    Subject,
)
from habeas.contracts.vocabulary import Channel, DeliverTo, NotifyBy, Relationship, RequestOutcome, RequestState, Right
from habeas.portal.errors import (
    ClosedError,
    DeniedError,
    NotConfirmedError,
    PortalError,
    Rejected,
    RequestPurgedError,
    UnreachableError,
)
from habeas.portal.messages import Writer, proven
from habeas.portal.news import News, Purged
from habeas.portal.portal import Portal, PortalSettings, Sent
from habeas.settings import SettingsError

__all__ = [
    "Authority",
    "Channel",
    "ClosedError",
    "ContractError",
    "Correction",
    "DeliverTo",
    "DeniedError",
    "Details",
    "HabeasError",
    "Identity",
    "KeyFileError",
    "News",
    "NotConfirmedError",
    "NotifyBy",
    "Period",
    "Portal",
    "PortalError",
    "PortalSettings",
    "Proof",
    "Purged",
    "Rejected",
    "Relationship",
    "RequestOutcome",
    "RequestPurgedError",
    "RequestState",
    "Requester",
    "Right",
    "Sent",
    "SettingsError",
    "StatusChanged",
    "Subject",
    "SubmissionRejected",
    "UnreachableError",
    "Writer",
    "proven",
]
