"""Who goes first when nobody means well, or when two look at the same moment; what a late word must not do."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from habeas.contracts.task import TaskAssigned
from habeas.contracts.topics import PROGRESS
from shared.database import Pool
from shared.events import (
    CollectionAwaited,
    RequestCollected,
    RequestStopped,
    RoundOrdered,
)
from shared.messaging.consumer import Consumer
from tests.collector.samples import opened_record
from tests.core.workbench import Keys, PrivateOutbox, event, raw


def given(outbox: PrivateOutbox, request_id: UUID, system: str = "billing") -> list[str]:
    """What the system was asked for, by attempt."""
    tasks = [each.body for each in outbox.said(TaskAssigned)]
    mine = [task for task in tasks if task.request_id == request_id and task.system == system]
    return [str(task.action) for task in sorted(mine, key=lambda task: task.attempt)]


@pytest.mark.parametrize("last", [1, 2, 3])
async def test_whoever_closes_a_circle_frees_the_lowest(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys, last: int
) -> None:
    after = {1: 2, 2: 3, 3: 1}
    ids = {number: UUID(int=number << 96 | 4 << 76 | 2 << 62) for number in after}
    for number in sorted(after, key=lambda number: (number == last, number)):
        await fanout.handle([opened_record(keys, ids[number], after=(ids[after[number]],), right="restriction")])
    assert {number: given(outbox, each)[-1] for number, each in ids.items()} == {1: "restrict", 2: "hold", 3: "hold"}


async def test_a_copy_that_turned_out_to_be_an_erasure_holds_up_nobody(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    unclear, erasure = uuid4(), uuid4()
    triage = opened_record(keys, unclear, right="access", decision="triage", reason="acts_for_another")
    await fanout.handle([triage])
    await fanout.handle([opened_record(keys, erasure)])
    assert given(outbox, erasure) == ["hold"]
    assert [each.body.request_id for each in outbox.said(CollectionAwaited)] == [unclear], "else nobody would say"
    await fanout.handle([opened_record(keys, unclear, right="erasure", version=2), triage])
    assert given(outbox, unclear) == ["erase"]
    await fanout.handle([raw(PROGRESS, event(RequestCollected(request_id=unclear)))])
    assert given(outbox, erasure) == ["hold", "erase"]


async def test_a_round_that_comes_after_the_end_is_not_carried_out(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    request_id = uuid4()
    await fanout.handle([opened_record(keys, request_id)])
    late = RoundOrdered(request_id=request_id, order_id=uuid4(), systems=("billing",))
    await fanout.handle([raw(PROGRESS, event(RequestStopped(request_id=request_id, finished=())))])
    await fanout.handle([raw(PROGRESS, event(late))])
    assert given(outbox, request_id) == ["erase"]


async def test_two_at_the_same_moment_see_the_copy_and_the_erasure(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys, pool: Pool
) -> None:
    copy, erasure = uuid4(), uuid4()
    seen, go_on = asyncio.Event(), asyncio.Event()
    settle = fanout.settle

    async def slowly(work: Any) -> None:
        if any(each.key == copy for each in work.outgoing):
            seen.set()
            await go_on.wait()
        await settle(work)

    fanout.settle = slowly
    first = asyncio.create_task(fanout.handle([opened_record(keys, copy, right="access")]))
    await seen.wait()
    second = asyncio.create_task(fanout.handle([opened_record(keys, erasure)]))
    await asyncio.wait({second}, timeout=0.5)  # it waits for the first; where it does not, it is done by then
    go_on.set()
    await asyncio.gather(first, second)
    assert given(outbox, erasure) == ["hold"]


async def test_one_that_was_given_up_and_comes_after_all_is_waited_for(
    fanout: Consumer, outbox: PrivateOutbox, keys: Keys
) -> None:
    copy, released, erasure = uuid4(), uuid4(), uuid4()
    await fanout.handle([opened_record(keys, released, after=(copy,), right="restriction")])
    await fanout.handle([raw(PROGRESS, event(RequestCollected(request_id=copy, let_go=released)))])
    assert given(outbox, released)[-1] == "restrict"
    await fanout.handle([opened_record(keys, copy, right="access")])
    await fanout.handle([opened_record(keys, erasure)])
    assert given(outbox, erasure) == ["hold"]
