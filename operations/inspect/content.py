"""A refused record as a person can read it. It is a stranger's text: no control character of it reaches a terminal."""

from __future__ import annotations

import base64
import contextlib
import re
from typing import Any

import orjson

from habeas.contracts.dead_letter import RawRecord

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def header_names(record: RawRecord) -> list[str]:
    return [_harmless(name) for name, _ in record.headers]


def shown(record: RawRecord) -> str:
    """Key, headers and value: as text where they are text, JSON indented, else as base64."""
    key, value, headers = record.restored()
    lines = [f"key: {_one_line(key)}", *(f"{_harmless(name)}: {_one_line(item)}" for name, item in headers), ""]
    return "\n".join([*lines, _value(value)])


def shown_as_json(record: RawRecord) -> dict[str, Any]:
    """All of it, bytes as base64, and the value as text where it is text."""
    _, value, _ = record.restored()
    return {
        "key": record.key,
        "value": record.value,
        "value_text": _text(value),
        "headers": [{"name": name, "value": item} for name, item in record.headers],
    }


def _value(value: bytes | None) -> str:
    if value is None:
        return "(no value)"
    text = _text(value)
    if text is None:
        return f"(base64) {base64.b64encode(value).decode()}"
    with contextlib.suppress(ValueError):
        text = orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
    return _harmless(text)


def _one_line(value: bytes | None) -> str:
    if value is None:
        return "(null)"
    text = _text(value)
    return f"(base64) {base64.b64encode(value).decode()}" if text is None else _harmless(text).replace("\n", "\\n")


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _harmless(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
