"""Delivery by SMTP (RFC 5321) over a few connections that are kept open.

An outcome is a value, and no exception's text leaves this module: servers quote addresses in their replies.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog
from aiosmtplib import SMTP, SMTPException, SMTPResponse

from services.notifier.domain import Accepted, Bounced, Deferred, NotifierError, Outcome

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
    """Delivers mails, up to `size` at a time; more callers wait for a free connection.

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
        self._idle: list[SMTP] = []
        self._free = asyncio.Semaphore(size)

    async def deliver(self, sender: str, recipient: str, message: bytes) -> Outcome:
        """One mail to one recipient; `message` is a whole RFC 5322 message with CRLF line ends.

        Accepted means that the server has answered 2xx after the last byte. A connection that dies before that answer
        is Deferred: the server may have taken the mail, and the next attempt repeats it under the same Message-ID.
        """
        async with self._free:
            while self._idle:
                client = self._idle.pop()
                try:
                    # Servers hang up on idle clients; whether this one did shows before anything of the mail is said.
                    await client.rset()
                except _TROUBLE:
                    client.close()
                    continue
                return await self._deliver(client, sender, recipient, message)
            try:
                client = await self._connect()
            except _TROUBLE as error:
                code = getattr(error, "code", None)
                _log.warning("smtp_unreachable", error=type(error).__name__, code=code)
                return Deferred(code)
            return await self._deliver(client, sender, recipient, message)

    async def close(self) -> None:
        """Idempotent. Connections in use close after their mail, when this is called again."""
        while self._idle:
            client = self._idle.pop()
            with suppress(*_TROUBLE):
                await client.quit(timeout=2)
            client.close()

    async def _connect(self) -> SMTP:
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
        except BaseException:
            client.close()
            raise
        return client

    async def _deliver(self, client: SMTP, sender: str, recipient: str, message: bytes) -> Outcome:
        try:
            outcome = await self._converse(client, sender, recipient, message)
        except BaseException as error:
            client.close()
            if not isinstance(error, _TROUBLE):
                raise
            _log.warning("smtp_broken_off", error=type(error).__name__)
            return Deferred(getattr(error, "code", None))
        if client.is_connected:
            self._idle.append(client)
        return outcome

    async def _converse(self, client: SMTP, sender: str, recipient: str, message: bytes) -> Outcome:
        utf8 = not recipient.isascii()
        if utf8 and not client.supports_extension("smtputf8"):
            return Bounced()
        options = [f"SIZE={len(message)}"] if client.supports_extension("size") else []
        try:
            await client.mail(sender, options=[*options, "SMTPUTF8"] if utf8 else options)
        except aiosmtplib.SMTPSenderRefused as refusal:
            # A refused sender is ours to mend, not the recipient's fault: the mail waits for that.
            _log.error("smtp_sender_refused", code=refusal.code)
            return Deferred(refusal.code)
        try:
            await client.rcpt(recipient, encoding="utf-8")
            reply = await client.data(message)
        except aiosmtplib.SMTPResponseException as refusal:
            return _refused(refusal)
        return Accepted(SMTPResponse(*reply).code)


def _refused(refusal: aiosmtplib.SMTPResponseException) -> Outcome:
    return Bounced(refusal.code) if 500 <= refusal.code < 600 else Deferred(refusal.code)
