"""What operators publish on `dsr.commands.v1` and read on `dsr.decisions.v1`."""

import re
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from habeas.contracts.base import Code, Id, Message, Model, Ordinal, Participant, Timestamp, Word
from habeas.contracts.vocabulary import Open, Right

COMMAND_PREFIX = "dsr.command."
_COMMAND_TYPE = re.compile(r"dsr\.command\.([a-z][a-z0-9_]{0,31})\.v1")


def command_type(verb: str) -> str:
    """The ce_type of the command `verb`."""
    return f"{COMMAND_PREFIX}{verb}.v1"


def verb_of(ce_type: str) -> str | None:
    """The verb of a command's ce_type; None for any other type, the decision on a command among them."""
    match = _COMMAND_TYPE.fullmatch(ce_type)
    return match[1] if match and ce_type != CommandDecided.TYPE else None


class Order(Message):
    """What all commands have in common. Idempotent by `command_id`: the same again gets the same decision again."""

    command_id: Id
    request_id: Id
    expected_version: Ordinal | None = None
    """The version of the status that the operator decided by. Classify and refuse go by the state alone."""
    by: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """The operator's account name: a role, never a person's name or address."""
    reason: Code


class Command(Order):
    """A command in any other verb, with its arguments beside these members. Answered `verb_unknown`."""

    TYPE: ClassVar[str] = "dsr.command.{verb}.v1"
    model_config = ConfigDict(extra="allow")


class CommandClassify(Order):
    """A request in triage is this right under this law; it is accepted if it can be carried out so."""

    TYPE: ClassVar[str] = command_type("classify")

    right: Open[Right]
    regulation: Word | None = None
    """None: as submitted, else by where the person is."""
    jurisdiction: Word | None = None
    """None: as submitted."""
    authorised: bool = False
    """The privacy team vouches for the identities given, and for the requester's authority to act for the subject."""
    revision: Ordinal | None = None
    """Which state of the request was read, as the privacy team is told it: needed to vouch. What was added since is not
    vouched for."""


class CommandRefuse(Order):
    """A request in triage is refused."""

    TYPE: ClassVar[str] = command_type("refuse")

    ground: Code
    """Why, as the person is told: one of the grounds that the application knows."""


class Verdict(StrEnum):
    """How an objection was weighed (GDPR Art. 21(1))."""

    UPHELD = "upheld"
    OVERRIDDEN = "overridden"
    """The controller's compelling grounds override it."""


class CommandWeigh(Order):
    """An objection under review has been weighed."""

    TYPE: ClassVar[str] = command_type("weigh")

    verdict: Open[Verdict]


class CommandLift(Order):
    """A restriction ends; the person is told before (GDPR Art. 18(3))."""

    TYPE: ClassVar[str] = command_type("lift")


class CommandRetry(Order):
    """A system that failed is asked once more."""

    TYPE: ClassVar[str] = command_type("retry")

    system: Participant


class CommandRelease(Order):
    """A request under review goes on as it stands."""

    TYPE: ClassVar[str] = command_type("release")


class DecisionReason(Model):
    code: Code


class CommandDecided(Message):
    """What became of a command; `reason` says why it was not accepted."""

    TYPE: ClassVar[str] = "dsr.command.decided.v1"

    command_id: Id
    request_id: Id
    accepted: bool
    decided_at: Timestamp | None = None
    reason: DecisionReason | None = None
