"""A message of two alternative parts in bytes (RFC 5322, 2045, 2046).

Written by hand, because the standard library's EmailMessage takes longer over it than everything else together.
Headers come in at one door, and no control character passes it.
"""

from collections.abc import Iterable
from email.header import Header

from services.notifier.domain import NotifierError


class UnsafeHeaderError(NotifierError):
    """A header's value would break out of its line. Names the header, never the value."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the value for {name} holds a control character or is too long: clean it where it comes from")


def header(name: str, value: str, *, utf8: bool = False) -> bytes:
    """One header line. `utf8` leaves other than ASCII as it is, for a server that speaks SMTPUTF8 (RFC 6531)."""
    if not value.isprintable() or len(value) > 900:
        raise UnsafeHeaderError(name)
    if value.isascii() or utf8:
        return f"{name}: {value}\r\n".encode()
    encoded = Header(value, "utf-8", header_name=name).encode(linesep="\r\n")
    return f"{name}: {encoded}\r\n".encode("ascii")


def alternative(headers: Iterable[bytes], *, text: bytes, html: bytes, boundary: str) -> bytes:
    """`text` and `html` are quoted-printable. `boundary` begins with "=_": that cannot occur in it, so no content can
    end a part."""
    mark = boundary.encode("ascii")
    return b"".join(
        (
            *headers,
            b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="',
            mark,
            b'"\r\n\r\n--',
            mark,
            _PART % b"plain",
            text,
            b"\r\n--",
            mark,
            _PART % b"html",
            html,
            b"\r\n--",
            mark,
            b"--\r\n",
        )
    )


_PART = b"\r\nContent-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
