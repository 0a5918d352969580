"""JSON of whatever a record may hold."""

import json
from datetime import datetime
from typing import Any

import orjson

from habeas.contracts.cloudevents import rfc3339


def to_json(value: Any, *, indent: bool = False) -> bytes:
    """UTF-8. A record may hold integers of any size, for which orjson has no room: those take the slower way."""
    options = orjson.OPT_UTC_Z | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return orjson.dumps(value, option=options)
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, indent=2 if indent else None, default=_plain).encode()


def _plain(value: Any) -> str:
    return rfc3339(value) if isinstance(value, datetime) else str(value)
