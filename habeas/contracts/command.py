"""What operators publish on `dsr.commands.v1` and read on `dsr.decisions.v1`."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import ConfigDict, Field

from habeas.contracts.base import Code, Message, Model, Timestamp

COMMAND_PREFIX = "dsr.command."


class Command(Message):
    """An operator's order; its verb is in the ce_type `dsr.command.<verb>.v1`, its arguments beside these members."""

    TYPE: ClassVar[str] = "dsr.command.{verb}.v1"
    model_config = ConfigDict(extra="allow")

    command_id: UUID
    request_id: UUID
    expected_version: Annotated[int, Field(ge=1)] | None = None
    by: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """The operator's account name: a role, never a person's name or address."""
    reason: Code


class DecisionReason(Model):
    code: Code


class CommandDecided(Message):
    TYPE: ClassVar[str] = "dsr.command.decided.v1"

    command_id: UUID
    request_id: UUID
    accepted: bool
    decided_at: Timestamp | None = None
    reason: DecisionReason | None = None
