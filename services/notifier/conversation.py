"""Mails over one open SMTP connection (RFC 5321), several commands in one write where the server takes them (RFC 2920).

A mail costs two round trips then, and four elsewhere.
"""

import asyncio
import re
from typing import Final

import structlog

from services.notifier.domain import Accepted, Bounced, Deferred, Outcome

_log = structlog.get_logger(__name__)

_REPLY_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])[^\n]*)?\r?\n")
_LONGEST_REPLY: Final = 64 * 1024
_GOOD_BYE: Final = 2.0
_CLOSING: Final = 421
_SEND_BODY: Final = 354


class BrokenOffError(ConnectionError):
    """The connection ended, or what came over it is not SMTP, before the mail was answered for."""


class StaleError(BrokenOffError):
    """As that, before anything of the mail's content was sent: no server can have taken it. `code` is 421 where the
    server said that it was going."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code
        super().__init__()


class Conversation(asyncio.Protocol):
    """One connection after its greeting, TLS and login; for one caller at a time."""

    def __init__(self, transport: asyncio.Transport, extensions: frozenset[str], timeout: float) -> None:
        """`extensions` in lower case, as the server named them; `timeout` in seconds, for each group of commands."""
        self._transport = transport
        self._extensions = extensions
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._unread = b""
        self._codes: list[int] = []
        self._wanted = 0
        self._answered: asyncio.Future[None] | None = None
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    async def send(self, sender: str, recipient: str, message: bytes) -> Outcome:
        """Raises `StaleError`, `BrokenOffError`; the connection is of no use then."""
        options = f" SIZE={len(message)}" if "size" in self._extensions else ""
        if not recipient.isascii():
            if "smtputf8" not in self._extensions:
                return Bounced()
            options += " SMTPUTF8"
        if not recipient.isprintable() or "<" in recipient or ">" in recipient:
            return Bounced()
        commands = (f"MAIL FROM:<{sender}>{options}\r\n", f"RCPT TO:<{recipient}>\r\n", "DATA\r\n")
        refusal = await self._begin([command.encode() for command in commands])
        if refusal is not None:
            return refusal
        # A line that begins with a dot gets another one, so that none can end the mail (RFC 5321 4.5.2).
        stuffed = message.replace(b"\r\n.", b"\r\n..")
        (code,) = await self._say((b"." if message.startswith(b".") else b"") + stuffed + b".\r\n", 1)
        return Accepted(code) if code < 300 else _refused(code)

    async def quit(self) -> None:
        """Idempotent; waits for the server's good-bye, but not long."""
        self._timeout = _GOOD_BYE
        try:
            if self.is_open:
                await self._say(b"QUIT\r\n", 1)
        except BrokenOffError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        self._transport.close()

    async def _begin(self, commands: list[bytes]) -> Outcome | None:
        """Up to the server's readiness for the content; else what its refusal means, and it is ready for another."""
        try:
            codes = await self._say_all(commands)
        except BrokenOffError:
            raise StaleError from None
        if codes[0] == _CLOSING:
            raise StaleError(_CLOSING)
        if codes[0] >= 300:
            # A refused sender is ours to mend, not the recipient's fault: the mail waits for that.
            _log.error("smtp_sender_refused", code=codes[0])
            refusal: Outcome = Deferred(codes[0])
        elif len(codes) > 1 and codes[1] >= 300:
            refusal = _refused(codes[1])
        elif len(codes) == len(commands) and codes[2] == _SEND_BODY:
            return None
        else:
            refusal = _refused(codes[-1])
        try:
            if codes[-1] == _SEND_BODY:  # ready for content all the same: it has nobody to go to (RFC 2920 3.1)
                await self._say(b".\r\n", 1)
            await self._say(b"RSET\r\n", 1)
        except BrokenOffError:
            self.close()
        return refusal

    async def _say_all(self, commands: list[bytes]) -> list[int]:
        """The replies; those after a refusal may be missing."""
        if "pipelining" in self._extensions:
            return await self._say(b"".join(commands), len(commands))
        codes: list[int] = []
        for command in commands:
            codes += await self._say(command, 1)
            if codes[-1] >= 400:
                break
        return codes

    async def _say(self, data: bytes, replies: int) -> list[int]:
        """As many reply codes; fewer where the server hung up after a refusal. Raises `BrokenOffError`."""
        if not self.is_open:
            raise BrokenOffError
        self._answered = self._loop.create_future()
        self._codes, self._wanted = [], replies
        alarm = self._loop.call_later(self._timeout, self._transport.abort)
        self._transport.write(data)
        try:
            await self._answered
        except asyncio.CancelledError:
            self._transport.abort()
            raise
        finally:
            alarm.cancel()
            self._answered = None
        return self._codes

    def data_received(self, data: bytes) -> None:
        if self._answered is None or self._answered.done():
            # Nothing was asked: a good-bye to an idle connection, or replies that no longer belong to anything.
            self._transport.abort()
            return
        self._unread += data
        while (line := _REPLY_LINE.match(self._unread)) is not None:
            self._unread = self._unread[line.end() :]
            if line[2] != b"-":
                self._codes.append(int(line[1]))
        if b"\n" in self._unread or len(self._unread) > _LONGEST_REPLY or len(self._codes) > self._wanted:
            self._codes = []
            self._transport.abort()
        elif len(self._codes) == self._wanted:
            self._answered.set_result(None)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._answered is None or self._answered.done():
            return
        if any(code >= 400 for code in self._codes):
            self._answered.set_result(None)
        else:
            self._answered.set_exception(BrokenOffError())


def _refused(code: int) -> Outcome:
    return Bounced(code) if code >= 500 else Deferred(code)
