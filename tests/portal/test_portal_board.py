"""Who hears what of a request, without Kafka."""

import asyncio
from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest
from portal_counter import rejection, status

from habeas.contracts.status import StatusChanged
from habeas.portal import ClosedError, Purged, Rejected, RequestPurgedError
from habeas.portal.board import Board


async def versions(following: AsyncGenerator[StatusChanged, None]) -> list[int]:
    async with asyncio.timeout(5):
        return [each.version async for each in following]


async def test_older_versions_and_repeats_are_dropped() -> None:
    board, request_id = Board(), uuid4()
    heard = asyncio.create_task(versions(board.follow(request_id)))
    await asyncio.sleep(0)
    for version, state in ((2, "received"), (1, "received"), (2, "received"), (4, "closed"), (3, "in_progress")):
        board.take(status(request_id, version, state))
    assert await heard == [2, 4]


async def test_who_comes_late_hears_the_latest_alone() -> None:
    board, request_id = Board(), uuid4()
    for version in (1, 2, 3):
        board.take(status(request_id, version))
    following = board.follow(request_id)
    assert (await anext(following)) == status(request_id, 3)
    board.take(status(request_id, 4, "closed", outcome="completed"))
    assert await versions(following) == [4]


async def test_a_state_of_the_future_is_handed_on_and_does_not_end_it() -> None:
    board, request_id = Board(), uuid4()
    board.take(status(request_id, 1, "pondering", waiting_for="moonlight", outcome="adjourned"))
    following = board.follow(request_id)
    first = await anext(following)
    assert (first.state, first.waiting_for, first.outcome) == ("pondering", "moonlight", "adjourned")
    board.take(status(request_id, 2, "closed"))
    assert await versions(following) == [2]


@pytest.mark.parametrize("refused_before", [True, False])
async def test_a_refusal_reaches_who_follows_that_message(refused_before: bool) -> None:
    board, request_id, ce_id = Board(), uuid4(), uuid4()
    told = rejection(ce_id, "member_invalid", "/personal/subject")
    if refused_before:
        board.take(told)
    heard = asyncio.create_task(versions(board.follow(request_id, ce_id)))
    await asyncio.sleep(0)
    board.take(rejection(uuid4()))
    if not refused_before:
        board.take(told)
    with pytest.raises(Rejected) as caught:
        await heard
    assert caught.value.ce_id == ce_id
    assert [(error.code, error.pointer) for error in caught.value.errors] == [("member_invalid", "/personal/subject")]
    assert str(caught.value) == "the message was rejected: member_invalid /personal/subject"


async def test_the_refusal_of_another_message_does_not_end_it() -> None:
    board, request_id, ce_id = Board(), uuid4(), uuid4()
    heard = asyncio.create_task(versions(board.follow(request_id)))
    await asyncio.sleep(0)
    board.take(rejection(ce_id).model_copy(update={"request_id": request_id}))
    board.take(status(request_id, 1, "closed"))
    assert await heard == [1]


@pytest.mark.parametrize("known", [True, False])
async def test_a_purged_request_is_told_and_stays_purged(known: bool) -> None:
    board, request_id = Board(), uuid4()
    if known:
        board.take(status(request_id, 3))
    heard = asyncio.create_task(versions(board.follow(request_id)))
    await asyncio.sleep(0)
    board.take(Purged(request_id))
    board.take(status(request_id, 4))  # a writer that came late
    with pytest.raises(RequestPurgedError):
        await heard
    with pytest.raises(RequestPurgedError):
        await versions(board.follow(request_id))


async def test_a_slow_reader_misses_nothing() -> None:
    board, request_id = Board(), uuid4()
    board.take(status(request_id, 1))
    following = board.follow(request_id)
    assert (await anext(following)).version == 1
    for version in range(2, 50):
        board.take(status(request_id, version))
    board.take(status(request_id, 50, "closed"))
    assert await versions(following) == list(range(2, 51))


async def test_a_failure_reaches_everybody_and_nobody_is_left() -> None:
    board = Board()
    heard = [asyncio.create_task(versions(board.follow(uuid4(), uuid4()))) for _ in range(3)]
    await asyncio.sleep(0)
    assert board.followers == 3
    board.fail(ClosedError())
    assert [type(each) for each in await asyncio.gather(*heard, return_exceptions=True)] == [ClosedError] * 3
    assert board.followers == 0


async def test_who_is_cancelled_leaves_and_the_others_stay() -> None:
    board, request_id = Board(), uuid4()
    gone, stays = (asyncio.create_task(versions(board.follow(request_id))) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert board.followers == 1
    board.take(status(request_id, 1, "closed"))
    assert await stays == [1]
    assert board.followers == 0
