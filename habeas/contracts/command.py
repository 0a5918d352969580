"""What operators publish on `dsr.commands.v1` and read on `dsr.decisions.v1`."""

import re
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from habeas.contracts.base import Code, Id, Message, Model, Ordinal, Timestamp

COMMAND_PREFIX = "dsr.command."
_COMMAND_TYPE = re.compile(r"dsr\.command\.([a-z][a-z0-9_]{0,31})\.v1")


def command_type(verb: str) -> str:
    """The ce_type of the command `verb`."""
    return f"{COMMAND_PREFIX}{verb}.v1"


def verb_of(ce_type: str) -> str | None:
    """The verb of a command's ce_type; None for any other type, the decision on a command among them."""
    match = _COMMAND_TYPE.fullmatch(ce_type)
    return match[1] if match and ce_type != CommandDecided.TYPE else None


class Command(Message):
    """An operator's order; its verb is in the ce_type `dsr.command.<verb>.v1`, its arguments beside these members."""

    TYPE: ClassVar[str] = "dsr.command.{verb}.v1"
    model_config = ConfigDict(extra="allow")

    command_id: Id
    request_id: Id
    expected_version: Ordinal | None = None
    by: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """The operator's account name: a role, never a person's name or address."""
    reason: Code


class DecisionReason(Model):
    code: Code


class CommandDecided(Message):
    TYPE: ClassVar[str] = "dsr.command.decided.v1"

    command_id: Id
    request_id: Id
    accepted: bool
    decided_at: Timestamp | None = None
    reason: DecisionReason | None = None
