"""The common ground of all message models: their strictness and the plain types of the wire."""

import datetime as dt
import re
from typing import Annotated, Any, ClassVar
from uuid import UUID

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema, from_json

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_ZULU = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?[Zz]"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def instant(text: str) -> dt.datetime | None:
    """An RFC 3339 instant in UTC, to the microsecond (finer digits are cut); None for anything else.

    Narrower than `datetime.fromisoformat`: no week dates, no missing seconds or colons, no leap second. An offset is
    required, and the instant must lie in the years 1 to 9999 in UTC too.
    """
    if not _INSTANT.fullmatch(text):
        return None
    try:
        return dt.datetime.fromisoformat(text.upper()).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def identifier(text: str) -> UUID | None:
    """A UUID in the one form of the contract, 36 characters with hyphens in either case (RFC 9562 4); or None.

    Narrower than `uuid.UUID`, which also takes braces, `urn:uuid:`, underscores and hyphens anywhere.
    """
    return UUID(text) if _UUID.fullmatch(text) else None


def identifier_text(value: UUID) -> bytes:
    """In its 36-character form. `str` takes five times as long."""
    return orjson.dumps(value, default=str)[1:-1]  # an id that a database driver made is of a class of its own


def strict_json(data: bytes) -> tuple[bool, Any]:
    """Whether `data` is JSON as RFC 8259 has it, in UTF-8, without a byte order mark; and its value.

    Refused too: NaN and Infinity, numbers beyond a double, lone surrogates, nesting deeper than 200. Integers keep
    all their digits. Of repeated members the last counts.
    """
    try:
        orjson.loads(data)  # strict where the other is not: NaN, Infinity, 1e999
        return True, from_json(data)
    except ValueError:
        return False, None


def _to_utc(value: dt.datetime) -> dt.datetime:
    if value.tzinfo is dt.UTC:
        return value
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise PydanticCustomError("instant", "an instant in the years 1 to 9999 UTC is expected") from None


def _read_day(value: object) -> dt.date:
    if isinstance(value, dt.date):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("day", "a date YYYY-MM-DD is expected")


def _text_schema(pattern: str, read: CoreSchema, *, strict: bool = True) -> CoreSchema:
    """`read` makes the value of a text that matches."""
    return core_schema.chain_schema([core_schema.str_schema(pattern=f"^({pattern})$", strict=strict), read])


def uuid_text_schema(*, strict: bool = True) -> CoreSchema:
    """`identifier` as pydantic reads it. Not `strict`, it takes bytes in UTF-8 as well."""
    return _text_schema(_UUID.pattern, core_schema.uuid_schema(strict=False), strict=strict)


def instant_text_schema(*, strict: bool = True) -> CoreSchema:
    """`instant` as pydantic reads it: what is in UTC, as nearly all is, without a function of ours."""
    read = core_schema.datetime_schema(tz_constraint="aware", microseconds_precision="truncate", strict=False)
    return core_schema.union_schema(
        [
            _text_schema(_ZULU, read, strict=strict),
            core_schema.no_info_after_validator_function(_to_utc, _text_schema(_INSTANT.pattern, read, strict=strict)),
        ],
        mode="left_to_right",
    )


class _Spelled:
    """A type that is read from one spelling alone, by pydantic's own readers: every message has many of them."""

    def __init__(self, text: CoreSchema, instance: CoreSchema, error: tuple[str, str]) -> None:
        """`text` reads the spelling; `instance` takes a value that is one already."""
        self._text = text
        self._instance = instance
        self._error = error

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kind, message = self._error
        either = core_schema.union_schema([self._instance, self._text], mode="left_to_right")
        return core_schema.custom_error_schema(
            core_schema.json_or_python_schema(self._text, either),
            custom_error_type=kind,
            custom_error_message=message,
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self._instance)


Timestamp = Annotated[
    dt.datetime,
    _Spelled(
        instant_text_schema(),
        core_schema.no_info_after_validator_function(
            _to_utc, core_schema.datetime_schema(tz_constraint="aware", strict=True)
        ),
        ("instant", "an RFC 3339 instant with an offset is expected"),
    ),
]
"""An instant with an offset on the wire (RFC 3339), UTC in memory."""

Day = Annotated[dt.date, BeforeValidator(_read_day)]
"""A calendar day, `YYYY-MM-DD`."""

Id = Annotated[
    UUID,
    _Spelled(
        uuid_text_schema(),
        core_schema.uuid_schema(strict=True),
        ("uuid", "a UUID of 36 characters is expected"),
    ),
]
"""A UUID in its 36-character form."""

PARTICIPANT_PATTERN = r"^[a-z][a-z0-9-]{1,30}$"
Participant = Annotated[str, Field(pattern=PARTICIPANT_PATTERN)]
"""The name of a portal or system: also its Kafka principal and the prefix of its topics and keys."""

Sealed = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{22}$", repr=False),
]
"""A compact JWE (RFC 7516) with an empty key part, as `habeas.contracts.sealing` makes it."""

Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
"""A machine-readable word, never free text: it travels in clear."""

WORD_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,63}$"
Word = Annotated[str, Field(pattern=WORD_PATTERN)]
"""A word of somebody else's vocabulary (a regime, a place): no spaces, so that no sentence or name fits in."""

Line = Annotated[str, Field(min_length=1, max_length=320, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")]
"""One line of text. Without control characters, so that it can stand in a mail header, a file name or a column."""

Text = Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+$")]
"""Text of any number of lines, without other control characters."""

Count = Annotated[int, Field(ge=0, le=2_147_483_647)]
Ordinal = Annotated[int, Field(ge=1, le=2_147_483_647)]
"""Counted from 1. As `Count`, no larger than a 32-bit column holds: a reader must not stumble over one number."""

ByteCount = Annotated[int, Field(ge=0, le=9_007_199_254_740_991)]
"""As large as every JSON reader keeps exactly (2^53 - 1, RFC 7493 2.2)."""


class Model(BaseModel):
    """A frozen value. Unknown members are ignored; types are strict; errors never quote the input."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True
    )


class PersonalModel(Model):
    """A value that identifies or describes a person: its repr shows nothing."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Nothing for rich and other pretty printers either."""
        return []


class Message(Model):
    """The body of an event. Its personal part, where it has one, travels sealed in the member `personal`."""

    TYPE: ClassVar[str]
    """The ce_type it travels under."""

    KEY: ClassVar[str] = "request_id"
    """The member that is the record's key and the ce_subject."""

    PERSONAL: ClassVar[type[PersonalModel] | None] = None
    """The model of the opened `personal` member."""
