"""The mails as the people get them, and the copies behind the links in them."""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from html import unescape
from pathlib import Path
from urllib.parse import urljoin
from uuid import UUID

import httpx

from habeas.contracts.base import identifier

_LINK = re.compile(r"https?://\S+/answers/[A-Za-z0-9_-]+")
_FORM = re.compile(r'<form method="post" action="([^"]+)"')


class MailboxError(Exception):
    """A mail or its link is not as it should be."""


@dataclass(frozen=True, slots=True)
class Mail:
    path: Path
    request_id: UUID | None
    notice: str
    subject: str
    link: str | None = field(repr=False)
    """To the person's copy."""
    to: str = field(repr=False)
    text: str = field(repr=False)
    """The plain part, with its lines unwrapped."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A fetched answer."""

    path: Path
    files: Mapping[str, bytes] = field(repr=False)


def read_mails(folder: Path) -> Sequence[Mail]:
    """All mails in `folder`, in the order in which they came."""
    return [_read(path) for path in sorted(folder.glob("*.eml"))]


def _read(path: Path) -> Mail:
    message = message_from_bytes(path.read_bytes(), policy=default)
    body = message.get_body(("plain",))
    text = body.get_content() if body else ""
    link = _LINK.search(text)
    return Mail(
        path=path,
        request_id=identifier(str(message["X-Habeas-Request"])),
        notice=str(message["X-Habeas-Notice"]),
        subject=str(message["Subject"]),
        link=link.group() if link else None,
        to=str(message["To"]),
        text=" ".join(text.split()),
    )


async def fetch_copy(link: str, path: Path) -> Copy:
    """Open the page behind `link`, press its button, save the file as `path`. Raises MailboxError."""
    try:
        async with httpx.AsyncClient(timeout=20) as browser:
            page = (await browser.get(link)).raise_for_status()
            form = _FORM.search(page.text)
            if form is None:
                raise MailboxError("the page behind the link has no download button")
            answer = (await browser.post(urljoin(link, unescape(form.group(1))))).raise_for_status()
    except httpx.HTTPError as error:
        # Not the error's own text: it would quote the link, which is a key to the data.
        raise MailboxError(f"the link in the mail does not work ({type(error).__name__})") from None
    return await asyncio.to_thread(_save, answer.content, path)


def _save(content: bytes, path: Path) -> Copy:
    path.parent.mkdir(exist_ok=True, mode=0o700)
    path.write_bytes(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return Copy(path, {name: archive.read(name) for name in archive.namelist()})
    except zipfile.BadZipFile:
        raise MailboxError("what the link leads to is not a ZIP file") from None
