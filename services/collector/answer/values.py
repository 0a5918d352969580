"""Records as HTML. Written without a template: this is the one place where an answer's size costs time."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup, escape

from habeas.contracts.result import Record
from services.collector.answer.words import Words

_DEEPEST: Final = 6
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?")


class RecordWriter:
    """Writes the records of one category. Every value and label goes through `escape`."""

    def __init__(self, labels: Mapping[str, str], words: Words) -> None:
        self._labels = labels
        self._words = words
        self._terms: dict[str, str] = {}

    def write(self, records: Iterable[Record]) -> Markup:
        return Markup("".join(map(self._record, records)))  # noqa: S704 - every piece is escaped below

    def _record(self, record: Record) -> str:
        origin = self._words.of("origin", record.origin)
        source = f" ({escape(record.source)})" if record.source else ""
        files = f'<p class="files">{escape(", ".join(record.files))}</p>' if record.files else ""
        return (
            f'<article><h4><span class="id">{escape(record.id)}</span> <span class="origin">{escape(origin)}{source}'
            f"</span></h4>{self._members(record.data, '', 0)}{files}</article>\n"
        )

    def _members(self, members: Mapping[str, Any], path: str, depth: int) -> str:
        rows = "".join(
            f"<dt>{self._term(path, member)}</dt>{_opened(value)}{self._value(value, f'{path}{member}.', depth)}</dd>"
            for member, value in members.items()
        )
        return f"<dl>{rows}</dl>"

    def _value(self, value: object, path: str, depth: int) -> str:
        match value:
            case str() if value:
                written = str(escape(_readable(value)))
            case bool():
                written = str(self._words.tables["yes" if value else "no"])
            case None | "" | []:
                written = str(self._words.tables["none"])
            case dict() if depth < _DEEPEST:
                written = self._members(value, path, depth + 1)
            case list() if depth < _DEEPEST:
                written = self._list(value, path, depth)
            case _:
                written = str(escape(value))
        return written

    def _list(self, values: Sequence[Any], path: str, depth: int) -> str:
        if not any(isinstance(value, list | dict) for value in values):
            return ", ".join(self._value(value, path, depth) for value in values)
        return "<ol>" + "".join(f"<li>{self._value(value, path, depth + 1)}</li>" for value in values) + "</ol>"

    def _term(self, path: str, member: str) -> str:
        """The label of a member; of a nested one the label of its whole path, else of its own name."""
        term = self._terms.get(f"{path}{member}")
        if term is None:
            label = self._labels.get(f"{path}{member}") or self._labels.get(member)
            term = self._terms[f"{path}{member}"] = str(escape(label or member.replace("_", " ").capitalize()))
        return term


def _opened(value: object) -> str:
    """What has members of its own goes below its term, at full width: a phone has no room for columns in columns."""
    deep = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict | list) for item in value))
    return '<dd class="deep">' if deep and value else "<dd>"


def _readable(value: str) -> str:
    """An instant as people write it; every other text as it is."""
    if value[10:11] == "T" and _INSTANT.fullmatch(value):
        return value.replace("T", " ").replace("Z", " UTC")
    return value
