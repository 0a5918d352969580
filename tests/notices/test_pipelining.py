"""Several commands in one write (RFC 2920), against a server whose every reply is written down."""

import asyncio

import pytest

from services.notifier.domain import Accepted, Bounced, Deferred, Outcome
from tests.notices.posting import deliver_one
from tests.notices.scripted_server import HANG_UP, Server, serving

SENDER, RECIPIENT = "privacy@ale.example", "ana@example.com"
MESSAGE = b".first\r\nSubject: x\r\n\r\nHello\r\n.\r\n..two\r\n"


async def test_envelope_and_content_are_one_write_each() -> None:
    server = Server()
    async with serving(server) as postman:
        for _ in range(3):
            assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)
        assert server.connections == 1
        envelopes = [data for data in server.writes if data.startswith(b"MAIL")]
        assert (
            envelopes == [f"MAIL FROM:<{SENDER}> SIZE={len(MESSAGE)}\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n".encode()] * 3
        )
        assert server.mails == [b"..first\r\nSubject: x\r\n\r\nHello\r\n..\r\n...two"] * 3


async def test_without_the_extension_each_command_waits_for_its_reply() -> None:
    server = Server(extensions="250 here\r\n")
    async with serving(server) as postman:
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)
        assert [data[:4] for data in server.writes[-4:-1]] == [b"MAIL", b"RCPT", b"DATA"]
        server.replies["RCPT"] = ["550 nobody"]
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Bounced(550)
        assert [data[:4] for data in server.writes[-3:]] == [b"MAIL", b"RCPT", b"RSET"]


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ({"MAIL": ["550 not you"], "RCPT": ["503 no"], "DATA": ["503 no"]}, Deferred(550)),
        ({"MAIL": ["451 later"], "RCPT": ["503 no"], "DATA": ["503 no"]}, Deferred(451)),
        ({"RCPT": ["550 nobody"], "DATA": ["554 no recipients"]}, Bounced(550)),
        ({"RCPT": ["450-not\r\n450 now"], "DATA": ["503 no recipients"]}, Deferred(450)),
        ({"RCPT": ["550 nobody"], "DATA": ["354 send it"], "END": ["554 to nobody"]}, Bounced(550)),
        ({"DATA": ["451 disk"]}, Deferred(451)),
        ({"DATA": ["554 no"]}, Bounced(554)),
        ({"END": ["451 later"]}, Deferred(451)),
        ({"END": ["552 too much"]}, Bounced(552)),
        ({"RCPT": ["421 going"], "DATA": [HANG_UP]}, Deferred(421)),
        ({"END": [HANG_UP]}, Deferred()),
        ({"END": ["Taken, thank you"]}, Deferred()),
        ({"END": ["999 taken"]}, Deferred()),
    ],
)
async def test_each_reply_has_its_outcome_and_the_next_mail_is_whole(
    replies: dict[str, list[str]], outcome: Outcome
) -> None:
    server = Server(replies)
    async with serving(server) as postman:
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == outcome
        server.mails.clear()
        server.replies.clear()
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)
        assert len(server.mails) == 1


async def test_replies_may_come_in_any_pieces() -> None:
    server = Server({"MAIL": ["250-one\r\n250-two\r\n250 three"], "RCPT": ["251"]})
    async with serving(server) as postman:
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("reply", [HANG_UP, "421 idle too long"])
async def test_an_idle_connection_that_is_gone_costs_the_mail_nothing(verb: str, reply: str) -> None:
    """The server closes just when the next mail begins: nothing of that was sent yet."""
    server = Server()
    async with serving(server) as postman:
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)
        server.replies[verb] = [reply]
        given = await deliver_one(postman, SENDER, RECIPIENT, MESSAGE)
        if verb == "MAIL" or reply == HANG_UP:
            assert given == Accepted(250)
            assert (server.connections, len(server.mails)) == (2, 2)
        else:
            assert given == Deferred(421)
            assert len(server.mails) == 1


async def test_a_connection_lost_after_the_content_is_not_tried_again_at_once() -> None:
    server = Server()
    async with serving(server) as postman:
        await deliver_one(postman, SENDER, RECIPIENT, MESSAGE)
        server.replies["END"] = [HANG_UP]
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Deferred()
        assert len(server.mails) == 2


async def test_what_a_server_says_unasked_ends_the_connection() -> None:
    server = Server()
    async with serving(server) as postman:
        await deliver_one(postman, SENDER, RECIPIENT, MESSAGE)
        server.writers[0].write(b"250 fine\r\n")
        async with asyncio.timeout(5):
            await server.writers[0].wait_closed()
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Accepted(250)
        assert server.connections == 2


async def test_a_silent_server_is_given_up_and_the_connection_closed() -> None:
    server = Server()
    async with serving(server, patience=0.2) as postman:
        await deliver_one(postman, SENDER, RECIPIENT, MESSAGE)
        server.replies["END"] = ["250-taken"]  # and no more
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Deferred()
        server.replies["RCPT"] = ["250-go"]
        assert await deliver_one(postman, SENDER, RECIPIENT, MESSAGE) == Deferred()


@pytest.mark.parametrize("recipient", ["a@b>\r\nDATA\r\n", "a@b\r\n", "a> <b@c", "a@b\x00"])
async def test_no_recipient_breaks_out_of_its_command(recipient: str) -> None:
    server = Server()
    async with serving(server) as postman:
        assert await deliver_one(postman, SENDER, recipient, MESSAGE) == Bounced()
        assert not any(b"DATA" in data for data in server.writes)


async def test_a_mailbox_in_letters_of_its_own_is_told_to_the_server() -> None:
    server = Server()
    async with serving(server) as postman:
        assert await deliver_one(postman, SENDER, "jürgen@example.com", MESSAGE) == Accepted(250)
        assert f"SIZE={len(MESSAGE)} SMTPUTF8\r\nRCPT TO:<jürgen@example.com>\r\n".encode() in server.writes[-2]
    without = Server(extensions="250 PIPELINING\r\n")
    async with serving(without) as postman:
        assert await deliver_one(postman, SENDER, "jürgen@example.com", MESSAGE) == Bounced()
