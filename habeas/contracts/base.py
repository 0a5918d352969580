"""The common ground of all message models."""

from datetime import UTC
from typing import Annotated, ClassVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Timestamp = Annotated[AwareDatetime, AfterValidator(lambda instant: instant.astimezone(UTC))]
"""An instant with an offset on the wire (RFC 3339), UTC in memory."""

Participant = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$")]
"""The name of a portal or system: also its Kafka principal and the prefix of its topics and keys."""

Sealed = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{22}$")]
"""A compact JWE (RFC 7516) with an empty key part, as `habeas.contracts.sealing` makes it."""

Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
"""A machine-readable word, never free text: it travels in clear."""


class Model(BaseModel):
    """A frozen value. Unknown members are ignored; types are strict; errors never quote the input."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)


class PersonalModel(Model):
    """A value that identifies or describes a person: its repr shows nothing."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


class Message(Model):
    """The body of an event. Its personal part, where it has one, travels sealed in the member `personal`."""

    TYPE: ClassVar[str]
    """The ce_type it travels under."""

    PERSONAL: ClassVar[type[PersonalModel] | None] = None
    """The model of the opened `personal` member."""
