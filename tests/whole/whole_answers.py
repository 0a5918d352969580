"""Mails and answers as a person gets them: the text of a mail, its link, the ZIP behind the link's button."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import urljoin

import httpx

_LINK = re.compile(r"https?://\S+/answers/\S+")
_ACTION = re.compile(r'<form[^>]*action="([^"]+)"')


def text(mail: EmailMessage) -> str:
    """The plain part, with its lines unwrapped."""
    part = mail.get_body(("plain",))
    assert part is not None
    return re.sub(r"\s+", " ", part.get_content())


def link(mail: EmailMessage) -> str:
    """The one link to the answer. Raises AssertionError where there is none."""
    part = mail.get_body(("plain",))
    assert part is not None
    (found,) = set(_LINK.findall(part.get_content()))
    return str(found)


@dataclass(frozen=True)
class Answer:
    """What came out of the ZIP."""

    files: dict[str, bytes] = field(repr=False)

    @property
    def data(self) -> dict[str, Any]:
        return dict(json.loads(self.files["data.json"]))

    @property
    def categories(self) -> dict[str, dict[str, Any]]:
        return {each["category"]: each for each in self.data["categories"]}

    def records(self, category: str) -> list[dict[str, Any]]:
        return [record["data"] for record in self.categories[category]["records"]]

    @property
    def words(self) -> str:
        """Everything that can be read in any of the files."""
        return "\n".join(content.decode() for content in self.files.values())


async def fetch(mail: EmailMessage) -> Answer:
    """As a person does it: open the link, press the button, unpack the file."""
    address = link(mail)
    async with httpx.AsyncClient(timeout=20) as http:
        page = await http.get(address)
        assert page.status_code == 200
        action = _ACTION.search(page.text)
        assert action is not None
        response = await http.post(urljoin(address, action[1]))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return Answer({name: archive.read(name) for name in archive.namelist()})
