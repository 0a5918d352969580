"""What stands on `dsr.dead-letters.v1` and on a system's own `dsr.system.<system>.dead-letters.v1`."""

import base64
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self
from uuid import UUID, uuid5

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from habeas.contracts.base import ByteCount, Count, Id, Message, Participant, PersonalModel, Sealed, Timestamp
from habeas.contracts.errors import Reason
from habeas.contracts.vocabulary import Open

_NAMESPACE = UUID("6f6f0f6e-5c0e-5a55-9e0b-2a1f0d6b7c11")


def dead_letter_id(topic: str, partition: int, offset: int) -> UUID:
    """The same record gives the same id, however often it is refused."""
    return uuid5(_NAMESPACE, f"{topic}/{partition}/{offset}")


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        pass
    else:
        return text
    raise PydanticCustomError("base64", "base64 is expected")


Base64 = Annotated[str, AfterValidator(_is_base64)]
"""Bytes as RFC 4648 4 writes them."""


class RawRecord(PersonalModel):
    """The refused record whole, so that it can be replayed byte for byte."""

    key: Base64 | None
    value: Base64 | None
    headers: tuple[tuple[str, Base64 | None], ...]

    @classmethod
    def of(cls, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> Self:
        return cls(
            key=_encode(key), value=_encode(value), headers=tuple((name, _encode(item)) for name, item in headers)
        )

    def restored(self) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
        """Key, value and headers as they were."""
        return _decode(self.key), _decode(self.value), [(name, _decode(item)) for name, item in self.headers]


class DeadLetter(Message):
    """A record that could not be used: where it stood, when and why it was refused in clear, itself sealed."""

    TYPE: ClassVar[str] = "dsr.dead-letter.v1"
    KEY: ClassVar[str] = "dead_letter_id"
    PERSONAL: ClassVar[type[PersonalModel] | None] = RawRecord

    dead_letter_id: Id
    reason: Open[Reason]
    pointer: str
    detail: str
    topic: str
    partition: Count
    offset: ByteCount
    recorded_at: Timestamp
    """Kafka's timestamp of the record."""
    refused_at: Timestamp
    refused_by: Participant
    bytes: ByteCount
    """Of the record's value."""
    personal: Sealed


def _encode(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
