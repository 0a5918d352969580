"""One category as CSV (RFC 4180, UTF-8 with BOM), safe to open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from services.collector.answer.encoding import to_json
from services.collector.answer.facts import HeldRecord

# A spreadsheet runs a cell that begins so. It may also split a cell at its country's separator and run the rest.
_FORMULA: Final = re.compile(r"(?<=[;,\t\r\n])(?=\s*[=+\-@＝＋－＠])")
_SIGNS: Final = "=+@＝＋－＠"
_MINUS: Final = re.compile(r'-(?<=[\s;,"]-)')
"""As a formula begins with one: no hyphen, as dates have. Its signs are looked for first, at a tenth of the time."""
_ANY_FORMULA: Final = re.compile(r'[;,\t\r\n]"?\s*[=+\-@＝＋－＠]')
"""In any cell of a whole table; finds harmless numbers as well."""

_WIDEST: Final = 200

_Cell = str | int | float


def to_csv(records: Sequence[HeldRecord], labels: dict[str, str]) -> bytes:
    """A row for each record, a column for each member of any of them. Nested members stand as JSON in their cell.

    Where there are more members than a spreadsheet shows, as when each record has names of its own, they stand together
    as JSON in one column: rows times columns would grow without bound. A text that a spreadsheet would take for a
    formula gets an apostrophe before it; numbers stay as they are.
    """
    shapes = dict.fromkeys(tuple(record.data) for record in records)
    members = list(dict.fromkeys(chain.from_iterable(shapes)))
    if len(members) > _WIDEST:
        together = [record._replace(data={"data": record.data}) for record in records]
        return to_csv(together, {"data": "Data"})
    rows: list[list[_Cell]] = [["ID", "Origin", "Source", *(labels.get(member, member) for member in members), "Files"]]
    for record in records:
        values = map(record.data.get, members)
        cells = [value if type(value) is str else _cell(value) for value in values]
        rows.append([record.id, record.origin, record.source or "", *cells, "; ".join(record.files)])
    table = _written(rows)
    # Nearly no table holds anything that has to be changed: that is told by the whole of it.
    if (any(sign in table for sign in _SIGNS) or _MINUS.search(table)) and _ANY_FORMULA.search(table):
        table = _written([[_safe(cell) if isinstance(cell, str) else cell for cell in row] for row in rows])
    return b"\xef\xbb\xbf" + table.encode()


def _written(rows: list[list[_Cell]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> _Cell:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return value
        case _:
            return to_json(value).decode()


def _safe(text: str) -> str:
    return _FORMULA.sub("'", f"\n{text}")[1:]
