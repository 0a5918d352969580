"""The answer's pages over real HTTP, with a real store: who may fetch what, how often, until when."""

import hashlib
import io
import re
import zipfile
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import obstore
import orjson
import pytest
import structlog
from aiohttp import web
from obstore.store import LocalStore

from habeas.contracts import KeyFile, Keyring
from habeas.contracts.artifacts import new_artifact_key, seal_artifact
from services.notifier import store
from services.notifier.domain import open_token
from services.notifier.letters import Reader, new_notice
from services.notifier.pages import AnswerPages
from shared.database import Pool
from shared.events import AnswerObject
from shared.registry import Registry
from tests.notices.samples import NOW, notice, personal, sealed_event

EXPIRES = NOW + timedelta(days=14)


@dataclass
class Site:
    """The pages, running, and what stands behind them."""

    base: str
    pool: Pool
    keyring: Keyring
    objects: LocalStore
    folder: Path
    now: list[datetime] = field(default_factory=lambda: [NOW])

    async def publish(
        self,
        content: bytes,
        *,
        request_id: UUID | None = None,
        put: bool = True,
        right: str = "access",
        audience: str = "person",
    ) -> str:
        """A sealed answer in the store and its notice in the table. Returns the token."""
        request_id = request_id or uuid4()
        answer = AnswerObject(
            key=f"answers/{request_id}",
            secret=new_artifact_key(),
            sha256="0" * 64,
            bytes=len(content),
            media_type="application/zip",
            expires_at=EXPIRES,
        )
        if put:
            await obstore.put_async(self.objects, answer.key, b"".join(seal_artifact(answer.secret, [content])))
        body, person = (
            notice("completed", request_id=request_id, right=right),
            personal(answer=answer, audience=audience),
        )
        row = new_notice(
            sealed_event(self.keyring, body, person), body, person, self.keyring, lambda n: uuid4().bytes * (n // 16)
        )
        async with self.pool.acquire() as connection:
            await store.record(connection, [row], NOW)
        assert row.token is not None
        return open_token(self.keyring, request_id, row.token.sealed)

    def sealed_file(self) -> Path:
        (found,) = (path for path in self.folder.rglob("*") if path.is_file())
        return found


@pytest.fixture
async def site(
    pool: Pool, keyring: Keyring, jwk: dict[str, Any], registry: Registry, tmp_path: Path
) -> AsyncIterator[Site]:
    keys = tmp_path / "keys.json"
    keys.write_bytes(orjson.dumps({"keys": [jwk]}))
    folder = tmp_path / "store"
    folder.mkdir()
    given = Site("", pool, keyring, LocalStore(folder), folder)
    pages = AnswerPages(
        pool=pool,
        open_notice=Reader(KeyFile(keys), "https://privacy.ale.example").answer,
        objects=given.objects,
        clock=lambda: given.now[0],
        registry=registry,
    )
    app = web.Application()
    pages.add_to(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    given.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield given
    await runner.cleanup()


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def a_zip(padding: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("index.html", "<h1>Ana</h1>")
        file.writestr("padding", bytes(index % 251 for index in range(padding)))
    return buffer.getvalue()


@pytest.mark.parametrize("padding", [0, 65_536, 500_000])
async def test_the_button_hands_out_the_whole_file_as_often_as_it_is_pressed(
    site: Site, browser: aiohttp.ClientSession, padding: int
) -> None:
    content = a_zip(padding)
    token = await site.publish(content)
    async with browser.get(f"{site.base}/answers/{token}") as page:
        html = await page.text()
        assert page.status == 200
        action = re.search(r'<form method="post" action="([^"]+)"', html)
        assert action is not None
        target = page.url.join(aiohttp.client.URL(action[1]))
    for _ in range(2):
        async with browser.post(target) as download:
            assert download.status == 200
            assert await download.read() == content
            assert download.content_length == len(content)
            assert download.content_type == "application/zip"
            assert download.headers["Content-Disposition"] == 'attachment; filename="answer-HB-7K3M-Q2P9.zip"'


async def test_the_page_says_what_and_until_when_and_nothing_of_the_person(
    site: Site, browser: aiohttp.ClientSession
) -> None:
    token = await site.publish(a_zip())
    async with browser.get(f"{site.base}/answers/{token}") as page:
        html = await page.text()
    assert "HB-7K3M-Q2P9" in html
    assert "25 March 2026" in html
    assert '<html lang="en">' in html
    assert 'name="viewport"' in html
    for absent in ("<script", "http://", "https://", "src=", "Müller", "ana@", "onclick"):
        assert absent not in html


@pytest.mark.parametrize(
    ("right", "audience", "said"),
    [
        ("access", "person", "Your copy is ready"),
        ("access", "representative", "The person&#39;s copy is ready"),
        ("portability", "person", "The files are ready"),
        ("portability", "representative", "the data that the person gave us"),
    ],
)
async def test_the_page_fits_the_right_and_its_reader(
    site: Site, browser: aiohttp.ClientSession, right: str, audience: str, said: str
) -> None:
    token = await site.publish(a_zip(), right=right, audience=audience)
    async with browser.get(f"{site.base}/answers/{token}") as page:
        assert said in await page.text()


@pytest.mark.parametrize("audience", ["bystander", "somebody_new"])
async def test_a_bystander_fetches_nothing(site: Site, browser: aiohttp.ClientSession, audience: str) -> None:
    token = await site.publish(a_zip(), audience=audience)
    async with browser.get(f"{site.base}/answers/{token}") as page:
        assert page.status == 404
    async with browser.post(f"{site.base}/answers/{token}/download") as download:
        assert download.status == 404


async def test_a_get_hands_out_nothing(site: Site, browser: aiohttp.ClientSession) -> None:
    token = await site.publish(a_zip())
    async with browser.get(f"{site.base}/answers/{token}/download") as response:
        assert response.status == 405
    async with browser.head(f"{site.base}/answers/{token}") as response:
        assert response.status == 200
        assert response.content_type == "text/html"


async def test_expired_unknown_and_garbled_links_look_alike(site: Site, browser: aiohttp.ClientSession) -> None:
    token = await site.publish(a_zip())
    site.now[0] = EXPIRES
    seen = set()
    for guess in (token, "A" * 43, "short", token[:-1], "%2e%2e%2f", "a" * 3000):
        for method, path in (("GET", guess), ("POST", f"{guess}/download")):
            async with browser.request(method, f"{site.base}/answers/{guess if method == 'GET' else path}") as response:
                headers = {key: value for key, value in response.headers.items() if key != "Date"}
                seen.add((response.status, await response.text(), str(sorted(headers.items()))))
    assert len(seen) == 1
    ((status, html, _),) = seen
    assert status == 404
    assert "HB-" not in html


async def test_a_link_works_to_its_last_moment(site: Site, browser: aiohttp.ClientSession) -> None:
    token = await site.publish(a_zip())
    site.now[0] = EXPIRES - timedelta(microseconds=1)
    async with browser.post(f"{site.base}/answers/{token}/download") as response:
        assert response.status == 200


async def test_one_link_opens_one_answer(site: Site, browser: aiohttp.ClientSession) -> None:
    contents = [a_zip(size) for size in (1, 2, 3)]
    tokens = [await site.publish(content) for content in contents]
    for token, content in zip(tokens, contents, strict=True):
        async with browser.post(f"{site.base}/answers/{token}/download") as response:
            assert await response.read() == content


async def test_every_response_is_sealed_off(site: Site, browser: aiohttp.ClientSession) -> None:
    token = await site.publish(a_zip())
    for method, path in (("GET", token), ("POST", f"{token}/download"), ("GET", "A" * 43)):
        async with browser.request(method, f"{site.base}/answers/{path}") as response:
            headers, body = response.headers, await response.read()
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        if response.content_type == "text/html":
            style = re.search(r"<style>(.*?)</style>", body.decode(), re.DOTALL)
            assert style is not None
            assert f"'sha256-{b64encode(hashlib.sha256(style[1].encode()).digest()).decode()}'" in policy
            assert "style=" not in body.decode()


async def test_no_token_gets_into_any_log(
    site: Site, browser: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    token = await site.publish(a_zip())
    caplog.set_level(0)
    with structlog.testing.capture_logs() as logged:
        for method, path in (("GET", token), ("POST", f"{token}/download"), ("POST", token), ("GET", f"{token}/x")):
            async with browser.request(method, f"{site.base}/answers/{path}") as response:
                await response.read()
    assert "answer_downloaded" in str(logged)
    assert token not in str(logged)
    assert token not in caplog.text


async def test_an_object_that_is_gone_or_damaged_gets_an_apology_and_not_its_bytes(
    site: Site, browser: aiohttp.ClientSession
) -> None:
    gone = await site.publish(a_zip(), put=False)
    damaged = await site.publish(a_zip())
    file = site.sealed_file()
    sealed = bytearray(file.read_bytes())
    sealed[20] ^= 1
    file.write_bytes(sealed)
    for token in (gone, damaged):
        async with browser.post(f"{site.base}/answers/{token}/download") as response:
            assert response.status == 503
            assert response.content_type == "text/html"
            assert "try again" in await response.text()


@pytest.mark.parametrize("keep", [65_536 * 2, -1])
async def test_a_file_cut_short_never_passes_for_a_whole_one(
    site: Site, browser: aiohttp.ClientSession, keep: int
) -> None:
    token = await site.publish(a_zip(300_000))
    file = site.sealed_file()
    file.write_bytes(file.read_bytes()[:keep])
    async with browser.post(f"{site.base}/answers/{token}/download") as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_a_notice_that_no_key_opens_gets_an_apology(site: Site, browser: aiohttp.ClientSession) -> None:
    token = await site.publish(a_zip())
    await site.pool.execute("UPDATE notices SET event = 'broken'")
    async with browser.get(f"{site.base}/answers/{token}") as response:
        assert response.status == 503
