"""Mails over one open SMTP connection (RFC 5321), with as few writes and round trips as the server knows how to take.

With chunks (RFC 3030) and pipelining (RFC 2920) several mails are one write, whose replies are read as they come. With
pipelining alone a mail costs two round trips, and four elsewhere.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from services.notifier.domain import Accepted, Answered, Bounced, Deferred, Letter, Outcome

_log = structlog.get_logger(__name__)

_REPLY_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])[^\n]*)?\r?\n")
_LONGEST_REPLY: Final = 64 * 1024
_GOOD_BYE: Final = 2.0
_CLOSING: Final = 421
_SEND_BODY: Final = 354

_MOST_AT_ONCE: Final = 8
"""Mails in one write: each of them is in doubt when the connection or this process ends."""
_QUICK: Final = 0.5
"""Seconds in which a server answers for a write when it is given twice as many mails by the next."""
_FRESH: Final = 1.0
"""Seconds without a word after which a connection is asked whether it is still there before it is given mails."""
_REPLIES_TO_A_CHUNK: Final = 4


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
        """`extensions` in lower case, as the server named them; `timeout` in seconds, for each step: an envelope, a
        content, or one of the mails that were sent in chunks."""
        self._transport = transport
        self._extensions = extensions
        self._timeout = timeout
        self._takes_chunks = {"chunking", "pipelining"} <= extensions
        self.at_once = 1
        """How many mails to `send` next: more and more, as long as the server is quick with them."""
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._unread = b""
        self._codes: list[int] = []
        self._wanted = 0
        self._read: Callable[[], None] | None = None
        self._answered: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    async def send(self, letters: Sequence[Letter], answered: Answered) -> None:
        """Each of `letters`, no more than `at_once`, is answered for.

        Raises `StaleError`, where nothing was sent and none is answered for; the connection is of no use then.
        """
        if self._takes_chunks:
            await self._send_chunks(letters, answered)
            return
        for letter in letters:
            try:
                outcome = await self._send_data(letter)
            except StaleError:
                raise
            except BrokenOffError:
                outcome = self._break_off()
            answered(letter, outcome)

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

    async def _send_chunks(self, letters: Sequence[Letter], answered: Answered) -> None:
        """All in one write. What a refused one leaves behind, the next one's RSET clears away."""
        if self._loop.time() - self._heard > _FRESH:
            await self._ask_whether_it_is_there()
        pieces: list[bytes] = []
        sent: list[Letter] = []
        for letter in letters:
            envelope = self._envelope(letter)
            if envelope is None:
                answered(letter, Bounced())
            else:
                sent.append(letter)
                pieces += (b"RSET\r\n", *envelope, b"BDAT %d LAST\r\n" % len(letter.content), letter.content)
        if not sent:
            return
        began, left = self._loop.time(), deque(sent)

        def tell() -> None:
            place = (len(sent) - len(left)) * _REPLIES_TO_A_CHUNK
            while len(self._codes) >= place + _REPLIES_TO_A_CHUNK:
                _, *codes, code = self._codes[place : place + _REPLIES_TO_A_CHUNK]
                answered(left.popleft(), _refusal(codes) or _outcome(code))
                place += _REPLIES_TO_A_CHUNK
                self._be_patient()

        with suppress(BrokenOffError):
            await self._say(b"".join(pieces), _REPLIES_TO_A_CHUNK * len(sent), tell)
        if left:
            is_going = self._codes[-1:] == [_CLOSING]
            outcome = self._break_off(_CLOSING if is_going else None)
            for letter in left:
                answered(letter, outcome)
        self.at_once = min(2 * self.at_once, _MOST_AT_ONCE) if self._loop.time() - began < _QUICK else 1

    async def _ask_whether_it_is_there(self) -> None:
        try:
            codes = await self._say(b"RSET\r\n", 1)
        except BrokenOffError:
            raise StaleError from None
        if codes[0] == _CLOSING:
            raise StaleError(_CLOSING)

    async def _send_data(self, letter: Letter) -> Outcome:
        """Raises `StaleError`, `BrokenOffError`; the connection is of no use then."""
        envelope = self._envelope(letter)
        if envelope is None:
            return Bounced()
        refusal = await self._begin([*envelope, b"DATA\r\n"])
        if refusal is not None:
            return refusal
        # A line that begins with a dot gets another one, so that none can end the mail (RFC 5321 4.5.2).
        stuffed = letter.content.replace(b"\r\n.", b"\r\n..")
        (code,) = await self._say((b"." if stuffed.startswith(b".") else b"") + stuffed + b".\r\n", 1)
        return _outcome(code)

    def _envelope(self, letter: Letter) -> tuple[bytes, bytes] | None:
        """None where the server cannot be told of such a recipient."""
        recipient = letter.recipient
        options = f" SIZE={len(letter.content)}" if "size" in self._extensions else ""
        if not recipient.isascii():
            if "smtputf8" not in self._extensions:
                return None
            options += " SMTPUTF8"
        if not recipient.isprintable() or "<" in recipient or ">" in recipient:
            return None
        return f"MAIL FROM:<{letter.sender}>{options}\r\n".encode(), f"RCPT TO:<{recipient}>\r\n".encode()

    async def _begin(self, commands: list[bytes]) -> Outcome | None:
        """Up to the server's readiness for the content; else what its refusal means, and it is ready for another."""
        try:
            codes = await self._say_all(commands)
        except BrokenOffError:
            raise StaleError from None
        if codes[0] == _CLOSING:
            raise StaleError(_CLOSING)
        refusal = _refusal(codes[:2])
        if refusal is None and len(codes) == len(commands) and codes[-1] == _SEND_BODY:
            return None
        if refusal is None:
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

    async def _say(self, data: bytes, replies: int, read: Callable[[], None] | None = None) -> list[int]:
        """As many reply codes; fewer where the server hung up after a refusal. `read` is called whenever some of them
        have come. Raises `BrokenOffError`."""
        self._codes, self._wanted, self._read = [], replies, read
        if not self.is_open:
            raise BrokenOffError
        self._answered = self._loop.create_future()
        self._be_patient()
        self._transport.write(data)
        try:
            await self._answered
        except asyncio.CancelledError:
            self._transport.abort()
            raise
        finally:
            self._lose_patience()
            self._answered = None
        return self._codes

    def _be_patient(self) -> None:
        """The server has its whole time again."""
        self._lose_patience()
        self._alarm = self._loop.call_later(self._timeout, self._transport.abort)

    def _lose_patience(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _break_off(self, code: int | None = None) -> Outcome:
        self.close()
        _log.warning("smtp_broken_off", code=code)
        return Deferred(code)

    def data_received(self, data: bytes) -> None:
        if self._answered is None or self._answered.done():
            # Nothing was asked: a good-bye to an idle connection, or replies that no longer belong to anything.
            self._transport.abort()
            return
        self._heard = self._loop.time()
        self._unread += data
        start = 0
        while (line := _REPLY_LINE.match(self._unread, start)) is not None:
            start = line.end()
            if line[2] != b"-":
                self._codes.append(int(line[1]))
        self._unread = self._unread[start:]
        if b"\n" in self._unread or len(self._unread) > _LONGEST_REPLY or len(self._codes) > self._wanted:
            self._codes = []
            self._transport.abort()
            return
        if self._read is not None:
            self._read()
        if len(self._codes) == self._wanted:
            self._answered.set_result(None)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._answered is None or self._answered.done():
            return
        if any(code >= 400 for code in self._codes):
            self._answered.set_result(None)
        else:
            self._answered.set_exception(BrokenOffError())


def _refusal(codes: Sequence[int]) -> Outcome | None:
    """What the replies to an envelope's commands mean, the recipient's perhaps missing, where one of them is a no."""
    if codes[0] >= 300:
        # A refused sender is ours to mend, not the recipient's fault: the mail waits for that.
        _log.error("smtp_sender_refused", code=codes[0])
        return Deferred(codes[0])
    if len(codes) > 1 and codes[1] >= 300:
        return _refused(codes[1])
    return None


def _outcome(code: int) -> Outcome:
    """What the reply to a content means."""
    return Accepted(code) if code < 300 else _refused(code)


def _refused(code: int) -> Outcome:
    return Bounced(code) if code >= 500 else Deferred(code)
