"""Models in JSON, byte for byte as pydantic writes them, at a third of the cost.

Believes what it is given, as `model_copy` does: all of it was checked when it was received.
"""

from typing import Any, Final, TypeVar

import orjson

from habeas.contracts.base import Model
from habeas.contracts.forms import Written

_AS_PYDANTIC: Final = orjson.OPT_UTC_Z

Written_ = TypeVar("Written_", bound=Model)


def as_json(value: Any) -> str:
    """A model, or several. Ids of asyncpg's own class it cannot write."""
    return orjson.dumps(value, default=vars, option=_AS_PYDANTIC).decode()


def written(model: type[Written_], members: dict[str, Any]) -> Written[Written_]:
    """What a value of `model` with these `members`, all of them and in its order, would be written as."""
    data = orjson.dumps(members, default=vars, option=_AS_PYDANTIC)
    return Written(model, data, members.get(getattr(model, "KEY", "")))
