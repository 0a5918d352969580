"""Delivery to real SMTP servers that accept, put off, refuse, hang up and fall silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from services.notifier.domain import Accepted, Bounced, Deferred, Outcome
from services.notifier.smtp import Postman, SmtpUrlError
from tests.notices.posting import deliver_one

SENDER, RECIPIENT = "privacy@ale.example", "ana@example.com"
MESSAGE = b"Subject: x\r\n\r\nHello\r\n.\r\n..two\r\n"


@dataclass
class Sink:
    """A server's behaviour. Replies stand by verb; `None` hangs up without one."""

    replies: dict[str, str | None] = field(default_factory=dict)
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    connections: int = 0
    transports: list[asyncio.BaseTransport] = field(default_factory=list)
    port: int = 0

    async def _reply(self, server: SMTP, verb: str) -> str:
        reply = self.replies.get(verb, "250 fine")
        if reply is None:
            server.transport.abort()
            return "421 gone"
        return reply

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _s: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._reply(server, "MAIL")
        if reply.startswith("2"):
            envelope.mail_from = address
        return reply

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _s: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._reply(server, "RCPT")
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, _s: Session, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append((envelope.mail_from or "", list(envelope.rcpt_tos), envelope.content or b""))
        return await self._reply(server, "DATA")


Serve = Callable[..., contextlib.AbstractAsyncContextManager[tuple[Sink, Postman]]]


@contextlib.asynccontextmanager
async def serving(
    replies: dict[str, str | None] | None = None,
    *,
    credentials: str = "",
    patience: float = 5,
    size: int = 4,
    **options: Any,
) -> AsyncIterator[tuple[Sink, Postman]]:
    sink = Sink(replies or {})

    def connected() -> SMTP:
        sink.connections += 1
        server = SMTP(sink, hostname="localhost", enable_SMTPUTF8=True, **options)
        made = server.connection_made

        def connection_made(transport: asyncio.BaseTransport) -> None:
            sink.transports.append(transport)
            made(transport)

        server.connection_made = connection_made  # type: ignore[method-assign]
        return server

    listener = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
    sink.port = listener.sockets[0].getsockname()[1]
    postman = Postman(f"smtp://{credentials}127.0.0.1:{sink.port}", timeout=patience, size=size)
    try:
        yield sink, postman
    finally:
        await postman.close()
        listener.close()
        for transport in sink.transports:
            transport.close()
        await listener.wait_closed()


async def test_an_accepted_mail_arrives_byte_for_byte() -> None:
    async with serving() as (sink, postman):
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)
        assert sink.mails == [(SENDER, [RECIPIENT], MESSAGE)]


async def test_one_connection_serves_many_mails_and_no_more_are_opened_than_allowed() -> None:
    async with serving(size=2) as (sink, postman):
        for _ in range(3):
            await deliver_one(postman, SENDER, RECIPIENT, MESSAGE)
        assert sink.connections == 1
        await asyncio.gather(*(deliver_one(postman, SENDER, RECIPIENT, MESSAGE) for _ in range(20)))
        assert sink.connections == 2
        assert len(sink.mails) == 23


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ({"RCPT": "550 5.1.1 no such user"}, Bounced(550)),
        ({"RCPT": "553 not that name"}, Bounced(553)),
        ({"DATA": "554 5.7.1 refused"}, Bounced(554)),
        ({"DATA": "552 mailbox full"}, Bounced(552)),
        ({"RCPT": "450 4.2.1 try later"}, Deferred(450)),
        ({"RCPT": "421 closing"}, Deferred(421)),
        ({"DATA": "451 4.3.0 disk"}, Deferred(451)),
        ({"MAIL": "451 greylisted"}, Deferred(451)),
        ({"MAIL": "550 not from you"}, Deferred(550)),
        ({"MAIL": None}, Deferred()),
        ({"RCPT": None}, Deferred()),
        ({"DATA": None}, Deferred()),
    ],
)
async def test_each_reply_has_its_outcome_and_the_next_mail_goes_out(
    replies: dict[str, str | None], outcome: Outcome
) -> None:
    async with serving(replies) as (sink, postman):
        given = await deliver_one(postman, SENDER, RECIPIENT, MESSAGE)
        assert type(given) is type(outcome)
        if outcome.code is not None:
            assert given.code == outcome.code
        sink.replies.clear()
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)


async def test_a_connection_lost_while_idle_costs_no_mail() -> None:
    async with serving() as (sink, postman):
        await deliver_one(postman, SENDER, RECIPIENT, MESSAGE)
        sink.transports[0].abort()  # type: ignore[attr-defined]
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)
        assert (sink.connections, len(sink.mails)) == (2, 2)


async def test_nobody_listening_is_deferred() -> None:
    async with serving() as (sink, _):
        port = sink.port
    assert await deliver_one(Postman(f"smtp://127.0.0.1:{port}"), SENDER, RECIPIENT, MESSAGE) == Deferred()


async def test_a_server_that_says_nothing_is_deferred() -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (
            await deliver_one(Postman(f"smtp://127.0.0.1:{port}", timeout=0.2), SENDER, RECIPIENT, MESSAGE)
            == Deferred()
        )
        for writer in writers:
            writer.close()


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_credentials_are_used_and_bad_ones_defer() -> None:
    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"us er", b"p@ss"), handled=False)

    options = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False}
    async with serving(credentials="us%20er:p%40ss@", **options) as (_, postman):
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)
    async with serving(credentials="user:wrong@", **options) as (_, postman):
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Deferred(535)


async def test_a_mailbox_in_letters_of_its_own_needs_a_server_that_knows_them() -> None:
    async with serving() as (sink, postman):
        assert await deliver_one(postman, SENDER, "jürgen@example.com", MESSAGE) == Accepted(250)
        assert sink.mails[0][1] == ["jürgen@example.com"]


async def test_no_address_gets_into_the_log_whatever_the_server_says() -> None:
    quoting = {"RCPT": f"550 <{RECIPIENT}> unknown", "MAIL": f"550 {SENDER} is no friend of {RECIPIENT}"}
    for verb, reply in quoting.items():
        with structlog.testing.capture_logs() as logged:
            async with serving({verb: reply}) as (_, postman):
                outcome = await deliver_one(postman, SENDER, RECIPIENT, MESSAGE)
        assert "ana@" not in f"{logged} {outcome!r}"


@pytest.mark.parametrize("url", ["", "localhost:25", "http://localhost", "smtp://", "smtp://host:port"])
def test_a_bad_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(SmtpUrlError, match="HABEAS_SMTP_URL"):
        Postman(url)


def test_credentials_never_cross_a_network_in_clear() -> None:
    assert Postman("smtp://u:p@mail.example")._must_start_tls
    assert not Postman("smtp://u:p@127.0.0.1")._must_start_tls
    assert not Postman("smtps://u:p@mail.example")._must_start_tls
