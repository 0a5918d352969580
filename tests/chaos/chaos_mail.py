"""The run's mail server: it keeps no mail, only what came of each, and does on demand what mail servers do.

By a recipient's address it bounces (`bounces.`) or takes no first attempt at a mail (`greylisted.`). What is meant for
the privacy team goes to another domain than what is meant for requesters.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from enum import StrEnum
from random import Random
from uuid import UUID

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"


class Mood(StrEnum):
    WELL = "well"
    SLOW = "slow"
    DEFERRING = "deferring"  # 451 to everything
    CUTTING = "cutting"  # takes a mail and hangs up without a word


class Came(StrEnum):
    ACCEPTED = "accepted"
    CUT = "cut"  # taken, and the connection lost before the yes
    DEFERRED = "deferred"


async def _unnoticed(_moment: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Attempt:
    """One mail that came whole, as far as its headers say."""

    at: float  # seconds, monotonic
    message_id: str
    request_id: UUID | None
    notice: str
    reader: str
    came: Came


@dataclass
class MailServer:
    port: int
    domain: str  # of the requesters
    random: Random = field(repr=False)
    mood: Mood = Mood.WELL
    moment: Callable[[str], Awaitable[None]] = _unnoticed
    """Told of `envelope`, before a recipient is answered for, and of `taken`, before the yes to a mail."""
    attempts: list[Attempt] = field(default_factory=list)
    bounced: int = 0
    deferred: int = 0
    _greeted: set[str] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _connections: set[asyncio.BaseTransport] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"smtp://{HOST}:{self.port}"

    @property
    def accepted(self) -> int:
        return sum(attempt.came is Came.ACCEPTED for attempt in self.attempts)

    async def open(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._connection, HOST, self.port)

    async def close(self, *, abruptly: bool = False) -> None:
        """Refuses connections from now on; `abruptly` cuts those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if abruptly:
            self.hang_up()

    def hang_up(self) -> None:
        """On everybody, without a word."""
        for transport in [*self._connections]:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()

    def _connection(self) -> SMTP:
        return _Conversation(
            _Handler(self), self._connections, hostname="localhost", ident="chaos", enable_SMTPUTF8=True
        )

    async def ponder(self) -> None:
        if self.mood is Mood.SLOW:
            await asyncio.sleep(self.random.uniform(0.5, 3.0))

    def refuses(self, address: str) -> str | None:
        """The reply to RCPT, where it is none of yes."""
        if address.startswith("bounces."):
            self.bounced += 1
            return "550 5.1.1 no such mailbox"
        return None

    def take(self, content: bytes, recipient: str, *, gone: bool) -> Came:
        """Notes a whole mail. `gone`: whoever brought it has no connection any more to be told on."""
        headers = BytesHeaderParser().parsebytes(content.partition(b"\r\n\r\n")[0])
        message_id = str(headers["Message-ID"])
        mood = Mood.CUTTING if gone else self.mood
        came = {Mood.DEFERRING: Came.DEFERRED, Mood.CUTTING: Came.CUT}.get(mood, Came.ACCEPTED)
        if recipient.startswith("greylisted.") and message_id not in self._greeted:
            self._greeted.add(message_id)
            came = Came.DEFERRED
        self.deferred += came is Came.DEFERRED
        request_id = UUID(str(headers["X-Habeas-Request"]))
        reader = "requester" if recipient.endswith(f"@{self.domain}") else "dpo"
        notice = str(headers["X-Habeas-Notice"])
        self.attempts.append(Attempt(time.monotonic(), message_id, request_id, notice, reader, came))
        return came


class _Handler:
    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await self._server.ponder()
        await self._server.moment("envelope")
        refusal = self._server.refuses(address)
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await self._server.ponder()
        content = envelope.original_content or b""
        gone = server.transport is None or server.transport.is_closing()
        match self._server.take(content, envelope.rcpt_tos[0], gone=gone):
            case Came.ACCEPTED:
                await self._server.moment("taken")
                return "250 2.0.0 kept"
            case Came.DEFERRED:
                return "451 4.7.1 come again"
            case Came.CUT:
                if server.transport is not None:
                    server.transport.abort()
                return "421 4.3.2 gone"


class _Conversation(SMTP):  # type: ignore[misc]
    """Known to the server as long as it lasts."""

    def __init__(self, handler: _Handler, known: set[asyncio.BaseTransport], **options: object) -> None:
        super().__init__(handler, **options)
        self._known = known

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._known.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self._known.discard(self.transport)
        super().connection_lost(error)
