"""Letters as forms: rendered, filled and encoded once, with blanks for what differs from person to person.

A view is built for every mail, with a mark in place of each name, reference, link, count and day (`Blanks`). Mails
whose views are then equal share one `Form`: what is left for each is to encode a few words and to fill the paragraphs
that hold them.
"""

import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

_BLANK: Final = re.compile("\x01([0-9]+)\x02")
_OPEN: Final = re.compile("\x03([^\x04\x05]*)\x04([^\x05]*)\x05|(\x01[0-9]+\x02)")
_PLAIN: Final = re.compile("[!-<>-~]([ -<>-~]{0,72}[!-<>-~])?")
"""What stands for itself in quoted-printable, in one line."""
_SOFT: Final = b"=\r\n"
_LONGEST_LINE: Final = 76
_WIDTH: Final = 72


@dataclass(slots=True)
class Blanks:
    """What a mail writes into its form's blanks. Personal: kept no longer than the mail."""

    are_left: bool = True
    """Else each value is put in place at once, and the form is of use for this mail alone."""
    values: list[str] = field(default_factory=list, repr=False)

    def __call__(self, value: str) -> str:
        """The mark that stands for `value` in a view; nothing for nothing, so that a template can tell."""
        if not value or not self.are_left:
            return value
        self.values.append(value)
        return f"\x01{len(self.values) - 1}\x02"


def written(marked: str, values: Sequence[str]) -> str:
    """A text with its blanks filled in."""
    return _BLANK.sub(lambda mark: values[int(mark[1])], marked)


def fill_later(text: str, indent: str = "") -> str:
    """As `fill`, and for a text with blanks a mark: it is filled once they are."""
    return f"\x03{indent}\x04{text}\x05" if _BLANK.search(text) else fill(text, indent)


def fill(text: str, indent: str = "") -> str:
    """The words of `text` in lines of at most 72 characters, those after the first indented. Long words stay whole:
    a link that is broken is none."""
    words = text.split()
    lines, line = [], text[: len(text) - len(text.lstrip(" "))]
    if len(line) + sum(map(len, words)) + len(words) <= _WIDTH:
        return line + " ".join(words)
    for word in words:
        if line.strip() and len(line) + len(word) >= _WIDTH:
            lines.append(line.rstrip())
            line = indent
        line += word + " "
    lines.append(line.rstrip())
    return "\n".join(lines)


Fill = Callable[[Sequence[str]], str]
"""Makes the text of a gap from a mail's values."""


class Encoded:
    """A text with blanks as quoted-printable (RFC 2045 6.7).

    Around what is filled in later the lines are broken softly, so that neither side needs to know how long the other
    is; a soft break is none to who reads the mail.
    """

    def __init__(self, text: str, escape: Callable[[str], str] = str) -> None:
        """`escape` makes a value fit for the text around it."""
        self._gaps: list[tuple[bytes, Fill]] = []
        """Each with what stands before it, encoded."""
        text = "\n".join(text.splitlines()) + "\n"
        start, soft = 0, b""
        for gap in _OPEN.finditer(text):
            before = text[start : gap.start()]
            soft += _quoted_printable(before)
            if before and not before.endswith("\n"):
                soft += _SOFT
            indent, paragraph, blank = gap.groups()
            self._gaps.append((soft, _blank(blank, escape) if blank else _paragraph(paragraph, indent)))
            start = gap.end()
            soft = b"" if text.startswith("\n", start) else _SOFT
        self._end = soft + _quoted_printable(text[start:])

    def with_values(self, values: Sequence[str]) -> bytes:
        pieces: list[bytes] = []
        for before, fill_in in self._gaps:
            pieces += (before, _quoted_printable(fill_in(values)))
        pieces.append(self._end)
        return b"".join(pieces)


def _blank(mark: str, escape: Callable[[str], str]) -> Fill:
    number = int(mark[1:-1])
    return lambda values: str(escape(values[number]))


def _paragraph(marked: str, indent: str) -> Fill:
    statics, numbers = _BLANK.split(marked)[::2], [int(number) for number in _BLANK.findall(marked)]

    def fill_in(values: Sequence[str]) -> str:
        parts = statics.copy()
        for place, number in enumerate(numbers):
            parts[place] += values[number]
        return fill("".join(parts), indent)

    return fill_in


def _quoted_printable(text: str) -> bytes:
    if _PLAIN.fullmatch(text):
        return text.encode("ascii")
    # b2a_qp breaks lines as the text does: with CRLF throughout, or with LF where there is no line end at all.
    data = ("\r\n".join(text.splitlines()) + ("\r\n" if text.endswith("\n") else "")).encode()
    encoded = binascii.b2a_qp(data, istext=True)
    encoded = encoded if b"\n" in data else encoded.replace(b"=\n", b"=\r\n")
    if len(encoded) - encoded.rfind(b"\n") - 1 >= _LONGEST_LINE:  # no room for the "=" of a soft break after it
        last = len(encoded) - (3 if encoded[-3:-2] == b"=" else 1)
        encoded = encoded[:last] + _SOFT + encoded[last:]
    return encoded
