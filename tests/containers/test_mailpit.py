"""Mails fetched from a server that speaks the part of Mailpit's API that is used: pages, newest first; the source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from operations.compose import mailpit
from operations.compose.mailpit import MailpitError, fetch_mails
from operations.demo.mailbox import read_mails


@dataclass
class Server:
    mails: list[tuple[str, str, bytes]] = field(default_factory=list)  # id, time, source
    url: str = ""

    def add(self, number: int) -> None:
        source = f"Subject: mail {number}\r\nX-Habeas-Notice: closed\r\n\r\nÜber\r\n".encode()
        self.mails.insert(0, (f"id{number}", f"2026-01-02T03:04:{number % 60:02}.5Z", source))

    async def list(self, request: web.Request) -> web.Response:
        start, limit = int(request.query["start"]), int(request.query["limit"])
        page = self.mails[start : start + limit]
        return web.json_response({"messages": [{"ID": each, "Created": at} for each, at, _ in page]})

    async def raw(self, request: web.Request) -> web.Response:
        return web.Response(body=next(source for each, _, source in self.mails if each == request.match_info["id"]))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    app = web.Application()
    app.router.add_get("/api/v1/messages", found.list)
    app.router.add_get("/api/v1/message/{id}/raw", found.raw)
    async with TestServer(app) as running:
        found.url = str(running.make_url("")).rstrip("/")
        yield found


async def test_mails_become_files_in_the_order_in_which_they_came(server: Server, tmp_path: Path) -> None:
    for number in range(3):
        server.add(number)
    assert await fetch_mails(server.url, tmp_path / "mail") == 3
    assert [mail.subject for mail in read_mails(tmp_path / "mail")] == ["mail 0", "mail 1", "mail 2"]
    assert {path.read_bytes() for path in (tmp_path / "mail").iterdir()} == {source for _, _, source in server.mails}


async def test_only_new_ones_are_fetched_again(server: Server, tmp_path: Path) -> None:
    server.add(1)
    await fetch_mails(server.url, tmp_path)
    server.add(2)
    assert await fetch_mails(server.url, tmp_path) == 1
    assert await fetch_mails(server.url, tmp_path) == 0


async def test_all_pages_are_read(server: Server, tmp_path: Path) -> None:
    for number in range(mailpit.PAGE * 2 + 5):
        server.add(number)
    assert await fetch_mails(server.url, tmp_path) == mailpit.PAGE * 2 + 5


async def test_a_server_that_is_not_there_is_told(unused_tcp_port: int, tmp_path: Path) -> None:
    with pytest.raises(MailpitError, match="Mailpit at"):
        await fetch_mails(f"http://127.0.0.1:{unused_tcp_port}", tmp_path)
