"""Several mails in one write (RFC 3030, RFC 2920): each has its own outcome, and none is lost or taken twice."""

import asyncio

import pytest

from services.notifier.domain import Accepted, Bounced, Deferred, Letter, Outcome
from tests.notices.posting import deliver, deliver_one
from tests.notices.scripted_server import CHUNKING, HANG_UP, Server, serving

SENDER, RECIPIENT = "privacy@ale.example", "ana@example.com"
YES, LATER = Accepted(250), Deferred()


def letters(count: int) -> list[Letter]:
    return [Letter(SENDER, RECIPIENT, b".%d\r\n.\r\n..\r\nEHLO\r\n" % number) for number in range(count)]


def contents(given: list[Letter]) -> list[bytes]:
    return [letter.content for letter in given]


@pytest.fixture
def server() -> Server:
    return Server(extensions=CHUNKING)


async def test_more_and_more_mails_are_one_write_and_each_arrives_as_it_is(server: Server) -> None:
    given = letters(40)
    async with serving(server) as postman:
        assert await deliver(postman, *given) == [YES] * 40
        assert server.mails == contents(given)
        assert server.connections == 1
        assert [data.count(b"BDAT") for data in server.writes if b"BDAT" in data] == [1, 2, 4, 8, 8, 8, 8, 1]
        (first,) = (data for data in server.writes if contents(given)[0] in data)
        assert first == (
            f"RSET\r\nMAIL FROM:<{SENDER}> SIZE=17\r\nRCPT TO:<{RECIPIENT}>\r\nBDAT 17 LAST\r\n".encode()
            + given[0].content
        )


async def test_a_slow_server_is_given_one_mail_at_a_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.notifier.conversation._QUICK", 0.0)
    async with serving(server) as postman:
        assert await deliver(postman, *letters(5)) == [YES] * 5
    assert [data.count(b"BDAT") for data in server.writes if b"BDAT" in data] == [1] * 5


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ({"MAIL": ["250 one", "550 not you"]}, Deferred(550)),
        ({"MAIL": ["250 one", "451 later"]}, Deferred(451)),
        ({"RCPT": ["250 one", "550 nobody"]}, Bounced(550)),
        ({"RCPT": ["250 one", "450-not\r\n450 now"]}, Deferred(450)),
        ({"BDAT": ["250 one", "451 disk"]}, Deferred(451)),
        ({"BDAT": ["250 one", "552-too\r\n552 much"]}, Bounced(552)),
    ],
)
async def test_a_mail_that_is_refused_does_not_harm_those_beside_it(
    server: Server, replies: dict[str, list[str]], outcome: Outcome
) -> None:
    given = letters(3)
    async with serving(server) as postman:
        await deliver(postman, *letters(3))  # and now four are sent at once
        server.mails.clear()
        server.replies = replies
        assert await deliver(postman, *given) == [YES, outcome, YES]
        assert server.connections == 1
    assert {given[0].content, given[2].content} <= set(server.mails)


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ({"BDAT": ["250 one", HANG_UP]}, LATER),
        ({"BDAT": ["250 one", "421 going"], "RSET": ["250 one", "250 two", HANG_UP]}, Deferred(421)),
        ({"BDAT": ["250 one", "Taken, thank you"]}, LATER),
        ({"BDAT": ["250 one", "999 taken"]}, LATER),
        ({"BDAT": ["250 one", "\r\n".join(["250 more than asked"] * 12)]}, LATER),
    ],
)
async def test_what_was_not_answered_for_when_the_connection_ended_is_sent_later(
    server: Server, replies: dict[str, list[str]], outcome: Outcome
) -> None:
    """The server may have taken it; what was answered for before keeps its answer, and the next mails go out."""
    async with serving(server) as postman:
        await deliver(postman, *letters(3))
        server.replies = replies
        first, *others = await deliver(postman, *letters(6))
    assert first == YES
    assert (others[:3], others[3:]) == ([outcome] * 3, [YES] * 2)
    assert server.connections == 2


async def test_a_connection_that_is_gone_before_anything_is_sent_costs_no_mail(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notifier.conversation._FRESH", -1.0)
    given = letters(6)
    async with serving(server) as postman:
        for reply in (HANG_UP, "421 idle too long"):
            await deliver(postman, *letters(3))
            server.mails.clear()
            server.replies["RSET"] = [reply]
            assert await deliver(postman, *given) == [YES] * 6
            assert server.mails == contents(given)
        assert server.connections == 3


async def test_each_mail_has_the_servers_time_to_itself(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(server, patience=1.0) as postman:
        await deliver(postman, *letters(3))
        server.pace = 0.4
        assert await deliver(postman, *letters(4)) == [YES] * 4
    assert max(data.count(b"BDAT") for data in server.writes) == 4


async def test_a_silent_server_is_given_up_and_only_what_it_was_silent_about_waits(server: Server) -> None:
    async with serving(server, patience=0.3) as postman:
        await deliver(postman, *letters(3))
        server.replies = {"BDAT": ["250 one", "250 two", "250 three", "250-four"]}  # and no more
        assert await deliver(postman, *letters(4)) == [YES, YES, YES, LATER]


async def test_replies_may_come_in_any_pieces(server: Server) -> None:
    server.replies = {"MAIL": ["250-one\r\n250-two\r\n250 three"], "RCPT": ["251"], "BDAT": ["250"]}
    async with serving(server) as postman:
        assert await deliver(postman, *letters(3)) == [YES] * 3


async def test_a_mailbox_that_the_server_cannot_be_told_of_bounces_alone(server: Server) -> None:
    server.extensions = server.extensions.replace("SMTPUTF8", "HELP")
    strange = [Letter(SENDER, address, b"x") for address in ("jürgen@example.com", "a@b>\r\nDATA\r\n", "a\x00@b")]
    async with serving(server) as postman:
        assert await deliver(postman, *strange) == [Bounced()] * 3
        assert await deliver(postman, *letters(2), *strange, *letters(2)) == [YES] * 2 + [Bounced()] * 3 + [YES] * 2
    assert not any(b"DATA" in data for data in server.writes)


async def test_chunks_need_pipelining(server: Server) -> None:
    server.extensions = server.extensions.replace("PIPELINING", "HELP")
    async with serving(server) as postman:
        assert await deliver_one(postman, SENDER, RECIPIENT, b"x\r\n") == YES
    assert any(data.startswith(b"DATA") for data in server.writes)


async def test_who_is_cancelled_leaves_no_connection_that_another_would_use(server: Server) -> None:
    server.replies["BDAT"] = ["250-taken"]  # and no more
    async with serving(server) as postman:
        task = asyncio.create_task(deliver(postman, *letters(1)))
        async with asyncio.timeout(5):
            await server.came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await deliver(postman, *letters(1)) == [YES]
        assert server.connections == 2
