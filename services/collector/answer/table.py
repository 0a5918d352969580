"""One category as CSV (RFC 4180, UTF-8 with BOM), safe to open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from habeas.contracts.result import Record

# A spreadsheet runs a cell that begins so. It may also split a cell at its country's separator and run the rest.
_SIGNS: Final = frozenset("=+-@＝＋－＠")
_FORMULA_INSIDE: Final = re.compile(r"([;,\t\r\n])(\s*[=+\-@＝＋－＠])")


def to_csv(records: Sequence[Record], labels: dict[str, str]) -> bytes:
    """A row for each record, a column for each member of any of them. Nested members stand as JSON in their cell.

    A text that a spreadsheet would take for a formula gets an apostrophe before it; numbers stay as they are.
    """
    members = list(dict.fromkeys(member for record in records for member in record.data))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(["ID", "Origin", "Source", *(_safe(labels.get(member, member)) for member in members), "Files"])
    rows.writerows(
        [
            _safe(record.id),
            _safe(record.origin),
            _safe(record.source or ""),
            *(_cell(record.data.get(member)) for member in members),
            _safe("; ".join(record.files)),
        ]
        for record in records
    )
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _cell(value: Any) -> str | int | float:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return value
        case str():
            return _safe(value)
        case _:
            return _safe(orjson.dumps(value).decode())


def _safe(text: str) -> str:
    if text.lstrip()[:1] in _SIGNS:
        text = f"'{text}"
    # Searched first: nearly no text needs the replacement, which costs several times the search.
    return _FORMULA_INSIDE.sub(r"\1'\2", text) if _FORMULA_INSIDE.search(text) else text
