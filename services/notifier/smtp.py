"""Delivery by SMTP (RFC 5321) over a few connections that are kept open.

aiosmtplib opens them: greeting, TLS, login. The mails themselves it would send with a round trip for each command and
ten times the CPU, so they go through a conversation of our own.

An outcome is a value, and no exception's text leaves this module: servers quote addresses in their replies.
"""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, cast
from urllib.parse import unquote, urlsplit

import structlog
from aiosmtplib import SMTP, SMTPException

from services.notifier.conversation import Conversation, StaleError
from services.notifier.domain import Answered, Deferred, Letter, NotifierError

_log = structlog.get_logger(__name__)

_TROUBLE: Final = (SMTPException, OSError, TimeoutError, ssl.SSLError)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class SmtpUrlError(NotifierError):
    """HABEAS_SMTP_URL cannot be used."""

    def __init__(self, fault: str) -> None:
        super().__init__(
            f"HABEAS_SMTP_URL {fault}: write smtp://host:port, or smtps://user:password@host:port with %-escapes"
        )


class Postman:
    """Delivers mails, up to `size` at a time; more callers wait for a free connection. `timeout` in seconds, for each
    step: connecting, greeting, TLS, login, the envelope, the content.

    Credentials never cross a network unencrypted: with a user name, `smtp://` to another machine demands STARTTLS.
    """

    def __init__(self, url: str, *, size: int = 4, timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise SmtpUrlError("has no scheme smtp or smtps, or no host")
        try:
            port = parts.port or (465 if parts.scheme == "smtps" else 25)
        except ValueError:
            raise SmtpUrlError("has a port that is no number") from None
        self._host, self._port, self._timeout = parts.hostname, port, timeout
        self._tls = parts.scheme == "smtps"
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._must_start_tls = bool(self._username) and not self._tls and self._host not in _LOOPBACK
        self._idle: list[Conversation] = []
        self._free = asyncio.Semaphore(size)

    async def deliver(self, letters: Iterator[Letter], answered: Answered) -> None:
        """One mail after the other, over one connection, until there is no more. Each letter that is taken from
        `letters` is answered for, most of them one by one; the next ones are then taken.

        Accepted means that the server has answered 2xx after the last byte. Where a connection dies between the first
        byte and that answer, the mail is Deferred: the server may have taken it, and the next attempt repeats it under
        the same Message-ID. A connection that turns out to be dead before is replaced, and no mail loses by it.
        """
        async with self._free:
            left: Sequence[Letter] = ()
            while left := left or list(islice(letters, self._idle[-1].at_once if self._idle else 1)):
                left = await self._deliver(left, answered)

    async def _deliver(self, letters: Sequence[Letter], answered: Answered) -> Sequence[Letter]:
        """Some of them; returns the others."""
        was_idle = bool(self._idle)
        try:
            conversation = self._idle.pop() if was_idle else await self._connect()
        except _TROUBLE as error:
            code = getattr(error, "code", None)
            _log.warning("smtp_unreachable", error=type(error).__name__, code=code)
            for letter in letters:
                answered(letter, Deferred(code))
            return ()
        sent, left = letters[: conversation.at_once], letters[conversation.at_once :]
        try:
            await self._converse(conversation, sent, answered)
        except StaleError as stale:
            if was_idle:  # servers hang up on idle clients
                return letters
            _log.warning("smtp_hung_up", code=stale.code)
            for letter in sent:
                answered(letter, Deferred(stale.code))
        return left

    async def close(self) -> None:
        """Idempotent. Connections in use close after their mail, when this is called again."""
        while self._idle:
            await self._idle.pop().quit()

    async def _connect(self) -> Conversation:
        client = SMTP(
            hostname=self._host,
            port=self._port,
            timeout=self._timeout,
            use_tls=self._tls,
            start_tls=True if self._must_start_tls else None,
            username=self._username,
            password=self._password,
        )
        try:
            await client.connect()
            await client.ehlo()
            transport = cast("asyncio.Transport", client.transport)
            return Conversation(transport, frozenset(client.esmtp_extensions), self._timeout)
        except BaseException:
            client.close()
            raise

    async def _converse(self, conversation: Conversation, letters: Sequence[Letter], answered: Answered) -> None:
        """Raises `StaleError`."""
        try:
            await conversation.send(letters, answered)
        except BaseException:
            conversation.close()
            raise
        if conversation.is_open:
            self._idle.append(conversation)
