"""One category as CSV (RFC 4180, UTF-8 with BOM), safe to open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any, Final

from habeas.contracts.result import Record
from services.collector.answer.encoding import to_json

# A spreadsheet runs a cell that begins so. It may also split a cell at its country's separator and run the rest.
_SIGNS: Final = frozenset("=+-@＝＋－＠")
_FORMULA_INSIDE: Final = re.compile(r"([;,\t\r\n])(\s*[=+\-@＝＋－＠])")

_WIDEST: Final = 200


def to_csv(records: Sequence[Record], labels: dict[str, str]) -> bytes:
    """A row for each record, a column for each member of any of them. Nested members stand as JSON in their cell.

    Where there are more members than a spreadsheet shows, as when each record has names of its own, they stand together
    as JSON in one column: rows times columns would grow without bound. A text that a spreadsheet would take for a
    formula gets an apostrophe before it; numbers stay as they are.
    """
    members = list(dict.fromkeys(member for record in records for member in record.data))
    if len(members) > _WIDEST:
        together = [record.model_copy(update={"data": {"data": record.data}}) for record in records]
        return to_csv(together, {"data": "Data"})
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
            return _safe(to_json(value).decode())


def _safe(text: str) -> str:
    if text.lstrip()[:1] in _SIGNS:
        text = f"'{text}"
    # Searched first: nearly no text needs the replacement, which costs several times the search.
    return _FORMULA_INSIDE.sub(r"\1'\2", text) if _FORMULA_INSIDE.search(text) else text
