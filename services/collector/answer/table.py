"""Categories as CSV (RFC 4180, UTF-8 with BOM), safe to open in a spreadsheet.

Written by hand: the standard library's writer looks at every character, and nearly no row has one to look at.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
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

_TO_QUOTE: Final = re.compile('[",\r\n]')
_WIDEST: Final = 200


def to_csv(tables: Sequence[tuple[Sequence[HeldRecord], Mapping[str, str]]]) -> list[bytes]:
    """Of each category's records and labels: a row for each record, a column for each member of any of them. Nested
    members stand as JSON in their cell.

    Where there are more members than a spreadsheet shows, as when each record has names of its own, they stand together
    as JSON in one column: rows times columns would grow without bound. A text that a spreadsheet would take for a
    formula gets an apostrophe before it; numbers stay as they are.
    """
    texts = [_written(_rows(*table)) for table in tables]
    # Nearly no table holds anything that has to be changed: that is told by all of them together.
    whole = "".join(texts)
    if (any(map(whole.__contains__, _SIGNS)) or _MINUS.search(whole)) and _ANY_FORMULA.search(whole):
        texts = [_written([[*map(_safe, row)] for row in _rows(*table)]) for table in tables]
    return [b"\xef\xbb\xbf" + text.encode() for text in texts]


def _rows(records: Sequence[HeldRecord], labels: Mapping[str, str]) -> list[list[Any]]:
    shapes = dict.fromkeys([tuple(record.data) for record in records])
    members = list(dict.fromkeys(chain.from_iterable(shapes)))
    if len(members) > _WIDEST:
        return _rows([record._replace(data={"data": record.data}) for record in records], {"data": "Data"})
    rows: list[list[Any]] = [["ID", "Origin", "Source", *[labels.get(name, name) for name in members], "Files"]]
    alike = len(shapes) == 1
    for id_, _, origin, data, source, _, files in records:
        cells = data.values() if alike else map(data.get, members)
        rows.append([id_, origin, source or "", *cells, "; ".join(files)])
    return rows


def _written(rows: Iterable[Sequence[Any]]) -> str:
    lines = []
    for row in rows:
        cells = [cell if type(cell) is str else _plain(cell) for cell in row]
        line = ",".join(cells)
        if line.count(",") >= len(cells) or '"' in line or "\n" in line or "\r" in line:
            line = ",".join([_quoted(cell) if _TO_QUOTE.search(cell) else cell for cell in cells])
        lines.append(line)
    return "\r\n".join([*lines, ""])


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def _plain(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return str(value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return to_json(value).decode()


def _safe(cell: Any) -> Any:
    return cell if isinstance(cell, int | float) else _FORMULA.sub("'", f"\n{_plain(cell)}")[1:]
