"""Reading mails, and following their links as a person would."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from operations.demo.mailbox import MailboxError, fetch_copy, read_mails

MAIL = """\
X-Habeas-Request: 5b9c5f3e-7c3f-4a5e-8a51-0b8a3a0b0c0d
X-Habeas-Notice: completed
Subject: Your request is complete
To: somebody@example.org
Content-Type: text/plain; charset=utf-8

Get your copy:
http://127.0.0.1:1/answers/abc_DEF-1

The link works until tomorrow.
"""


def test_a_mail_is_read(tmp_path: Path) -> None:
    (tmp_path / "2.eml").write_text(MAIL)
    (tmp_path / "1.eml").write_text("Subject: something else\n\nno link")
    first, second = read_mails(tmp_path)
    assert (first.request_id, first.link) == (None, None)
    assert str(second.request_id) == "5b9c5f3e-7c3f-4a5e-8a51-0b8a3a0b0c0d"
    assert (second.notice, second.subject) == ("completed", "Your request is complete")
    assert second.to == "somebody@example.org"
    assert second.text.endswith("/answers/abc_DEF-1 The link works until tomorrow.")
    assert "somebody" not in repr(second)
    assert second.link == "http://127.0.0.1:1/answers/abc_DEF-1"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.html", "hello")
    return file.getvalue()


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text='<form method="post" action="good/download">', content_type="text/html")

    async def blank(_: web.Request) -> web.Response:
        return web.Response(text="no button")

    async def download(_: web.Request) -> web.Response:
        return web.Response(body=zipped())

    async def broken_page(_: web.Request) -> web.Response:
        return web.Response(text='<form method="post" action="broken/download">')

    async def broken(_: web.Request) -> web.Response:
        return web.Response(body=b"no ZIP")

    app = web.Application()
    app.router.add_get("/answers/good", page)
    app.router.add_post("/answers/good/download", download)
    app.router.add_get("/answers/blank", blank)
    app.router.add_get("/answers/broken", broken_page)
    app.router.add_post("/answers/broken/download", broken)
    async with TestServer(app) as running:
        yield running


async def test_a_copy_is_fetched_and_saved(server: TestServer, tmp_path: Path) -> None:
    copy = await fetch_copy(str(server.make_url("/answers/good")), tmp_path / "answers" / "a.zip")
    assert copy.files == {"index.html": b"hello"}
    assert copy.path.read_bytes() == zipped()


@pytest.mark.parametrize(
    ("token", "words"), [("gone", "does not work"), ("blank", "no download button"), ("broken", "not a ZIP")]
)
async def test_a_bad_link_is_told_without_quoting_it(
    server: TestServer, tmp_path: Path, token: str, words: str
) -> None:
    link = str(server.make_url(f"/answers/{token}"))
    with pytest.raises(MailboxError, match=words) as raised:
        await fetch_copy(link, tmp_path / "a.zip")
    assert link not in str(raised.value)
