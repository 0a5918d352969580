"""Messages that differ in few of their members: the rest is checked and written to JSON once for all of them.

What a form writes is byte for byte what `model_dump_json` would write. Like `model_copy(update=…)`, it believes the
values that it is given.
"""

from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import orjson
from pydantic_core import to_json

from habeas.contracts.base import Model
from habeas.contracts.errors import ContractError, Reason

_AS_PYDANTIC: Final = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS
"""Instants in UTC end in `Z`; `Written` is not one more object."""

Model_co = TypeVar("Model_co", bound=Model, covariant=True)


@dataclass(slots=True)
class Written(Generic[Model_co]):
    """A value of `model` in JSON, to be sent, or to be a member of another form."""

    model: type[Model_co]
    data: bytes = field(repr=False)
    key: object = None
    """Of a message: the value of the member that is the record's key."""


class Form(Generic[Model_co]):
    """Writes what is like one value but for some members."""

    def __init__(self, like: Model_co, *own: str) -> None:
        """`own` are the members that each has of its own; their values in `like` stand for any other.

        Raises `ValueError` where there is no such member, or where any is not written as its value alone would be.
        """
        self._model = type(like)
        self._own = frozenset(own)
        if not self._own <= self._model.model_fields.keys():
            raise ValueError(f"{self._model.__name__} has no {sorted(self._own - self._model.model_fields.keys())}")
        key = getattr(self._model, "KEY", "")
        self._key_name = key if key in self._own else None
        self._key = getattr(like, key, None)
        values = {name: getattr(like, name) for name in self._model.model_fields}
        self._members = {
            name: None if name in self._own else orjson.Fragment(to_json(value)) for name, value in values.items()
        }
        if self.fill(**{name: values[name] for name in own}).data != like.model_dump_json().encode():
            raise ValueError(f"{self._model.__name__} is not written as its members are: send the model itself")

    def fill(self, **own: object) -> Written[Model_co]:
        """All own members, by name, with values as the model holds them, or `Written` ones.

        Raises `TypeError` for other names than the form's, `ContractError` for a value that JSON cannot hold.
        """
        if own.keys() != self._own:
            raise TypeError(f"a form of {self._model.__name__} is filled in with {sorted(self._own)}")
        try:
            data = orjson.dumps({**self._members, **own}, default=_inner, option=_AS_PYDANTIC)
        except orjson.JSONEncodeError:
            data = b""
        if not data:  # raised here: the value must not stay reachable as the error's context
            raise ContractError(Reason.MEMBER_INVALID, "", "holds a value that JSON cannot: mend it at its source")
        return Written(self._model, data, own[self._key_name] if self._key_name else self._key)


def _inner(value: object) -> orjson.Fragment:
    """What orjson does not know: `Written`, models, and ids that a database driver made, of a class of its own."""
    return orjson.Fragment(value.data if isinstance(value, Written) else to_json(value))
