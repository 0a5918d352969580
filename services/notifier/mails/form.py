"""Letters as forms: rendered, filled and encoded once, with blanks for what differs from person to person.

A view is built for every mail, with a mark in place of each name, reference, link, count and day (`Blanks`). Mails
whose views are then equal share one `Form`: what is left for each is to encode a few words and to fill the paragraphs
that hold them.
"""

import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

_BLANK: Final = re.compile("\x01([0-9]+)\x02")
_OPEN: Final = re.compile("\x03([^\x04\x05]*)\x04([^\x05]*)\x05|(\x01[0-9]+\x02)")
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
    lines, line = [], text[: len(text) - len(text.lstrip(" "))]
    for word in text.split():
        if line.strip() and len(line) + len(word) >= _WIDTH:
            lines.append(line.rstrip())
            line = indent
        line += word + " "
    lines.append(line.rstrip())
    return "\n".join(lines)


Piece = bytes | Callable[[Sequence[str]], str]
"""Encoded already, or what makes the text to encode."""


class Encoded:
    """A text with blanks as quoted-printable (RFC 2045 6.7).

    Around what is filled in later the lines are broken softly, so that neither side needs to know how long the other
    is; a soft break is none to who reads the mail.
    """

    def __init__(self, text: str, escape: Callable[[str], str] = str) -> None:
        """`escape` makes a value fit for the text around it."""
        self._pieces = tuple(_pieces(text + "\n", escape))

    def with_values(self, values: Sequence[str]) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece if isinstance(piece, bytes) else _quoted_printable(piece(values))


def _pieces(text: str, escape: Callable[[str], str]) -> Iterator[Piece]:
    start = 0
    for gap in _OPEN.finditer(text):
        before = text[start : gap.start()]
        if before:
            yield _quoted_printable(before) + (b"" if before.endswith("\n") else b"=\r\n")
        indent, paragraph, blank = gap.groups()
        yield _blank(blank, escape) if blank else _paragraph(paragraph, indent)
        start = gap.end()
        if not text.startswith("\n", start):
            yield b"=\r\n"
    yield _quoted_printable(text[start:])


def _blank(mark: str, escape: Callable[[str], str]) -> Callable[[Sequence[str]], str]:
    number = int(mark[1:-1])
    return lambda values: escape(values[number])


def _paragraph(marked: str, indent: str) -> Callable[[Sequence[str]], str]:
    return lambda values: fill(written(marked, values), indent)


def _quoted_printable(text: str) -> bytes:
    # b2a_qp breaks lines as the text does: with CRLF throughout, or with LF where there is no line end at all.
    data = ("\r\n".join(text.splitlines()) + ("\r\n" if text.endswith("\n") else "")).encode()
    encoded = binascii.b2a_qp(data, istext=True)
    return encoded if b"\n" in data else encoded.replace(b"=\n", b"=\r\n")
