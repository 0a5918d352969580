"""Records as HTML. Written without a template: this is the one place where an answer's size costs time.

A form is put together with a hole for every text; then all texts of an answer are escaped at once and go into the
holes. A call costs many times what it does to a short text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from markupsafe import escape

from services.collector.answer.facts import HeldRecord
from services.collector.answer.words import Words

_DEEPEST: Final = 6
_DEEP: Final = frozenset({list, dict})
_BETWEEN: Final = "\0"
_HEAD: Final = '<article><h4><span class="id">%s</span> <span class="origin">%s</span></h4>'
_TAIL: Final = "</article>\n"
_INSTANT: Final = re.compile(r"\0(\d{4}-\d\d-\d\d)T(\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:(Z)|([+-]\d\d:\d\d))?(?=\0)")


class _Terms(NamedTuple):
    """The names of certain members, with a hole for the value of each."""

    each: list[str]
    whole: str
    """Where no value has members of its own."""
    article: str
    """All of a record that holds nothing else."""


class RecordWriter:
    """Writes the records of an answer, one category after the other."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._labels: Mapping[str, str] = {}
        self._named: dict[tuple[str, ...], _Terms] = {}
        self._form: list[str] = []
        self._texts: list[object] = []
        self._sections: list[tuple[str, int]] = []
        """Of each category its form, and how many texts there are up to its end."""

    def write(self, records: Iterable[HeldRecord], labels: Mapping[str, str]) -> None:
        """Records of one category with its labels."""
        self._labels, self._named = labels, {}
        self._form = form = []
        texts = self._texts
        origins = self._words.tables["origin"]
        for id_, _, origin, data, source, _, files in records:
            said = origins.get(origin) or self._words.of("origin", origin)
            texts += (id_, f"{said} ({source})" if source else said)
            # Records of a category have the same members most of the time.
            terms = self._named.get(("", *data)) or self._name("", data)
            if not files and _DEEP.isdisjoint(map(type, data.values())):
                form.append(terms.article)
                texts += data.values()
                continue
            form.append(_HEAD)
            self._members(data, "", 0)
            if files:
                form.append('<p class="files">%s</p>')
                texts.append(", ".join(files))
            form.append(_TAIL)
        self._sections.append(("".join(form), len(texts)))

    def sections(self) -> list[str]:
        """What was written of each category, every text escaped."""
        escaped = _escaped([text if type(text) is str and text else self._text(text) for text in self._texts])
        filled, start = [], 0
        for form, end in self._sections:
            filled.append(form % tuple(escaped[start:end]))
            start = end
        return filled

    def _members(self, members: Mapping[str, Any], path: str, depth: int) -> None:
        terms = self._named.get((path, *members)) or self._name(path, members)
        if _DEEP.isdisjoint(map(type, members.values())):
            self._form.append(terms.whole)
            self._texts += members.values()
            return
        form, texts = self._form, self._texts
        form.append("<dl>")
        for term, (member, value) in zip(terms.each, members.items(), strict=True):
            if type(value) in _DEEP:
                form += (term, _opened(value))
                self._value(value, f"{path}{member}.", depth)
                form.append("</dd>")
            else:
                form += (term, "<dd>%s</dd>")
                texts.append(value)
        form.append("</dl>")

    def _value(self, value: object, path: str, depth: int) -> None:
        if isinstance(value, dict) and depth < _DEEPEST:
            self._members(value, path, depth + 1)
        elif isinstance(value, list) and value and depth < _DEEPEST:
            self._list(value, path, depth)
        else:
            self._form.append("%s")
            self._texts.append(value)

    def _list(self, values: Sequence[Any], path: str, depth: int) -> None:
        if _DEEP.isdisjoint(map(type, values)):
            self._form.append(", ".join(["%s"] * len(values)))
            self._texts += values
            return
        self._form.append("<ol>")
        for value in values:
            self._form.append("<li>")
            self._value(value, path, depth + 1)
            self._form.append("</li>")
        self._form.append("</ol>")

    def _text(self, value: object) -> str:
        if type(value) is int:
            return str(value)
        if isinstance(value, bool):
            return str(self._words.tables["yes" if value else "no"])
        return str(self._words.tables["none"]) if value is None or value in ("", []) else str(value)

    def _name(self, path: str, members: Iterable[str]) -> _Terms:
        """By the label of a member; of a nested one by the label of its whole path, else of its own name."""
        labels = self._labels
        named = [labels.get(path + member) or labels.get(member) or _plain(member) for member in members]
        each = [f"<dt>{label.replace('%', '%%')}</dt>" for label in _escaped(named)] if named else []
        whole = f"<dl>{'<dd>%s</dd>'.join([*each, ''])}</dl>"
        terms = _Terms(each, whole, f"{_HEAD}{whole}{_TAIL}")
        self._named[path, *members] = terms
        return terms


def _plain(member: str) -> str:
    return member.replace("_", " ").capitalize()


def _escaped(texts: Sequence[str]) -> list[str]:
    together = _escape(_BETWEEN.join(texts)).split(_BETWEEN)
    # A text may hold what stands between them: then each goes alone.
    return together if len(together) == len(texts) else [_escape(text) for text in texts]


def _escape(texts: str) -> str:
    """Instants are written as people write them, every other text as it is."""
    return _INSTANT.sub(_readable, f"{_BETWEEN}{escape(texts)}{_BETWEEN}")[1:-1]


def _readable(instant: re.Match[str]) -> str:
    day, time, utc, offset = instant.groups("")
    return f"{_BETWEEN}{day} {time}{' UTC' if utc else offset}"


def _opened(value: dict[str, Any] | list[Any]) -> str:
    """What has members of its own goes below its term, at full width: a phone has no room for columns in columns."""
    deep = value and (isinstance(value, dict) or not _DEEP.isdisjoint(map(type, value)))
    return '<dd class="deep">' if deep else "<dd>"
