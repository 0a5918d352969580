"""The answer's pages: a GET shows a button, the POST behind it hands out the file.

Mail scanners and previews follow links by GET, so a GET gives nothing away and uses nothing up. Expired, unknown and
damaged links all get the same page. A token stands in no log: the access log is off, and the pages send
`no-referrer`.
"""

import base64
import hashlib
import hmac
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, assert_never

import obstore
import structlog
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from obstore.store import ObjectStore

from habeas.contracts.artifacts import ArtifactError, open_artifact_stream, plain_bytes
from services.notifier import store
from services.notifier.domain import Mail, NotifierError, token_digest
from services.notifier.mails.view import audience_of
from services.notifier.mails.words import load_languages, size
from services.notifier.store import StoredAnswer
from shared.clock import Clock
from shared.database import Pool
from shared.events import AnswerObject, Audience
from shared.registry import Registry

_log = structlog.get_logger(__name__)

_FOLDER: Final = Path(__file__).parent / "mails"
_CHUNK: Final = 65_536

Open = Callable[[StoredAnswer], Mail]
"""The opened notice of a link. May raise: the page then says that it cannot be shown now."""


class ObjectMissingError(NotifierError):
    """The store has no such object."""

    def __init__(self) -> None:
        super().__init__("the answer's object is gone from the store: assemble it anew")


@dataclass(frozen=True, slots=True)
class _Answer:
    mail: Mail
    answer: AnswerObject = field(repr=False)


class _Gone:
    """Unknown, expired, or no link at all: the same to whoever asks."""


class _Unreadable:
    """The link is good, and we cannot open what it leads to."""


class AnswerPages:
    """`add_to` an aiohttp application. The pages are in the controller's first language that there are words for."""

    def __init__(
        self, *, pool: Pool, open_notice: Open, objects: ObjectStore, clock: Clock, registry: Registry
    ) -> None:
        self._pool = pool
        self._open = open_notice
        self._objects = objects
        self._clock = clock
        self._registry = registry
        languages = load_languages()
        language = next((choice for choice in registry.controller.languages if choice in languages), "en")
        self._words = languages[language]
        style = (_FOLDER / "layout" / "page.css").read_text(encoding="utf-8")
        environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals.update(
            style=Markup(style),  # noqa: S704 - our own file
            controller=registry.controller,
            language=language,
        )
        self._page = environment.get_template(f"{language}/pages/answer.jinja")
        self._gone = environment.get_template(f"{language}/pages/gone.jinja").render()
        self._broken = environment.get_template(f"{language}/pages/broken.jinja").render()
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._headers = {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
                "frame-ancestors 'none'; base-uri 'none'"
            ),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "X-Robots-Tag": "noindex, nofollow",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/answers/{token}", self._show)
        app.router.add_post("/answers/{token}/download", self._download)

    async def _show(self, request: web.Request) -> web.Response:
        found = await self._find(request)
        if not isinstance(found, _Answer):
            return self._apology(found)
        zone = self._registry.controller.time_zone
        page = self._page.render(
            right=found.mail.notice.right,
            for_another=audience_of(found.mail) is Audience.REPRESENTATIVE,
            reference=found.mail.notice.reference,
            until=self._words.date(found.answer.expires_at.astimezone(zone).date()),
            size=size(found.answer.bytes),
            # Relative, so that it holds under any path that HABEAS_PUBLIC_URL may have.
            action=f"{request.match_info['token']}/download",
        )
        return self._html(page, 200)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        found = await self._find(request)
        if not isinstance(found, _Answer):
            return self._apology(found)
        request_id = str(found.mail.notice.request_id)
        try:
            length, pieces = await self._fetch(found.answer)
        except (OSError, ObjectMissingError) as error:
            _log.error("answer_unavailable", request_id=request_id, error=type(error).__name__)
            return self._html(self._broken, 503)
        async with aclosing(pieces):
            return await self._stream(request, found, length, pieces)

    async def _stream(
        self, request: web.Request, found: _Answer, length: int, pieces: AsyncGenerator[bytes]
    ) -> web.StreamResponse:
        request_id = str(found.mail.notice.request_id)
        try:
            first = await anext(pieces, b"")  # before the head is sent: most damage shows here, and gets a page
        except (ArtifactError, OSError) as error:
            _log.error("answer_damaged", request_id=request_id, error=type(error).__name__)
            return self._html(self._broken, 503)
        response = web.StreamResponse(headers=self._headers)
        response.content_type = found.answer.media_type
        response.content_length = length
        response.headers["Content-Disposition"] = f'attachment; filename="answer-{found.mail.notice.reference}.zip"'
        await response.prepare(request)
        await response.write(first)
        try:
            async for piece in pieces:
                await response.write(piece)
        except (ArtifactError, OSError) as error:
            # The head is out. A broken connection, short of the announced length, is all that still says "not whole".
            _log.error("answer_damaged", request_id=request_id, error=type(error).__name__)
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write_eof()
        _log.info("answer_downloaded", request_id=request_id)
        return response

    async def _find(self, request: web.Request) -> _Answer | _Gone | _Unreadable:
        digest = token_digest(request.match_info["token"])
        if digest is None:
            return _Gone()
        async with self._pool.acquire() as connection:
            stored = await store.answer(connection, digest)
        if stored is None or not hmac.compare_digest(stored.token_sha256, digest) or stored.expires_at <= self._clock():
            return _Gone()
        try:
            mail = self._open(stored)
        except (
            Exception
        ) as error:  # a key that is gone or a row that cannot be read: the person can do nothing about it
            _log.error("answer_unreadable", request_id=str(stored.request_id), error=type(error).__name__)
            return _Unreadable()
        if mail.personal.answer is None or audience_of(mail) is Audience.BYSTANDER:
            return _Gone()
        return _Answer(mail, mail.personal.answer)

    async def _fetch(self, answer: AnswerObject) -> tuple[int, AsyncGenerator[bytes]]:
        try:
            result = await obstore.get_async(self._objects, answer.key)
        except FileNotFoundError:
            raise ObjectMissingError from None
        length = plain_bytes(result.meta["size"])
        return length, open_artifact_stream(answer.secret, result.stream(min_chunk_size=_CHUNK))

    def _apology(self, found: _Gone | _Unreadable) -> web.Response:
        match found:
            case _Gone():
                return self._html(self._gone, 404)
            case _Unreadable():
                return self._html(self._broken, 503)
            case _:
                assert_never(found)

    def _html(self, page: str, status: int) -> web.Response:
        return web.Response(text=page, status=status, content_type="text/html", charset="utf-8", headers=self._headers)
