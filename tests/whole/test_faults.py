"""Processes killed, stopped and ended under load: nothing lost, nothing done twice.

One group, so that one worker runs them one after the other; whatever else runs beside them is only delayed.
"""

from __future__ import annotations

import asyncio
import json
import signal
from uuid import UUID

import asyncpg
import pytest
from stand import Portal, Stand, eventually, somebody
from whole_faults import (
    SERVICES,
    check_all_closed_once,
    end_sessions,
    flood,
    metric,
    replicas,
    restarted,
    some,
    strike,
    written,
)
from whole_records import Wire, quiet
from whole_stores import rows_with

from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.status import StatusChanged
from habeas.contracts.topics import submissions
from systems import sample

pytestmark = pytest.mark.xdist_group("faults")


@pytest.mark.parametrize(
    ("name", "first", "state"),
    [
        ("intake", 400, "received"),
        ("fanout", 440, "received"),
        ("collector", 480, "in_progress"),
        ("notifier", 520, "closed"),
    ],
)
async def test_a_service_killed_under_load_loses_nothing(
    web: Portal, stand: Stand, name: str, first: int, state: str
) -> None:
    before = stand.process(name).pid
    requests = await flood(web, range(first, first + 30))
    await some(web, requests, state)
    strike(stand, name)
    requests += await flood(web, range(first + 30, first + 35))  # while it is away
    await check_all_closed_once(web, stand, requests)
    await restarted(stand, name, before)


async def test_all_services_killed_at_once_lose_nothing(web: Portal, stand: Stand) -> None:
    requests = await flood(web, range(560, 590))
    await some(web, requests, "in_progress", 5)
    for name in SERVICES:
        strike(stand, name)
    await check_all_closed_once(web, stand, requests)


async def test_a_system_that_stands_still_is_waited_for_in_sight_of_all(web: Portal, stand: Stand) -> None:
    strike(stand, "support", signal.SIGSTOP)
    try:
        requests = await flood(web, range(600, 605))
        for request_id in requests:
            status = await web.until(
                request_id,
                lambda found: (
                    {each.system for each in found.systems if each.state == "finished"}
                    == {"billing", "analytics", "payments"}
                ),
            )
            assert status.state == "in_progress"
            assert {each.system: each.state for each in status.systems}["support"] == "asked"
            assert web.statuses(request_id)[-1].state == "in_progress"
    finally:
        strike(stand, "support", signal.SIGCONT)
    await check_all_closed_once(web, stand, requests)


async def test_a_killed_system_answers_as_it_would_have(web: Portal, stand: Stand) -> None:
    """Erasures: an answer made anew after the crash would say that nothing was held."""
    known = [each for each in map(sample.person, range(610, 660)) if each.contract_until is not None]
    people = [each for each in known if await rows_with(stand, "accounts", each.email)][:10]
    before = {name: stand.process(name).pid for name in ("billing", "payments")}
    requests = await asyncio.gather(
        *(web.submit(somebody(person.email, name=person.name), "erasure") for person in people)
    )
    await some(web, list(requests), "in_progress")
    for name in before:
        strike(stand, name)
    for request_id in requests:
        status = await web.closed(request_id)
        assert status.outcome == "partially_completed"
        assert {each.system: each.state for each in status.systems if each.system != "support"} == dict.fromkeys(
            ("billing", "analytics", "payments"), "finished"
        )
        assert {each.system: each.outcome for each in status.systems}["billing"] == "completed"
    for name, pid in before.items():
        await restarted(stand, name, pid)


async def test_ended_database_sessions_lose_nothing(web: Portal, stand: Stand) -> None:
    requests: list[UUID] = []
    for first in (660, 670, 680):
        requests += await flood(web, range(first, first + 10))
        await some(web, requests, "in_progress", len(requests) - 5)
        ended = [await end_sessions(stand, name) for name in (*SERVICES, "billing")]
        assert sum(ended) > 0
    await check_all_closed_once(web, stand, requests)


async def test_services_told_to_stop_under_load_leave_with_exit_code_0(web: Portal, stand: Stand) -> None:
    async with replicas(stand, "fanout", "collector", "notifier") as leaving:
        requests = await flood(web, range(700, 730))
        await some(web, requests, "in_progress", 3)
        codes = await asyncio.gather(*(each.stop() for each in leaving))
    assert codes == [0, 0, 0]
    await check_all_closed_once(web, stand, requests)


async def test_a_stopping_service_finishes_the_batch_in_hand_and_commits_it(helpdesk: Portal, stand: Stand) -> None:
    """Both processes hold one record each when one is told to stop; the other must not meet its record again."""
    taken = 'habeas_records_total{topic="dsr.portal.helpdesk.submissions.v1"'
    database = await asyncpg.connect(stand.database("operators"))
    try:
        async with replicas(stand, "intake") as (leaving,):
            staying, before = await metric(stand.http("intake"), taken), await written(stand, submissions("helpdesk"))
            lock = database.transaction()
            await lock.start()
            await database.execute("lock table intake.requests in access exclusive mode")
            events = await one_for_each_partition(helpdesk)

            async def in_hand() -> bool:
                return await leaving.metric(taken) > 0 and await metric(stand.http("intake"), taken) > staying

            await eventually(in_hand)
            left = await leaving.metric(taken)
            stopping = asyncio.create_task(leaving.stop())
            await eventually(leaving.is_leaving)
            await lock.rollback()
            assert await stopping == 0
    finally:
        await database.close()
    events += await one_for_each_partition(helpdesk)
    for event in events:
        assert (await helpdesk.closed(event.subject)).outcome == "nothing_held"
    handled = await metric(stand.http("intake"), taken) - staying + left
    assert handled == await written(stand, submissions("helpdesk")) - before


async def one_for_each_partition(helpdesk: Portal) -> list[CloudEvent]:
    events = [quiet(helpdesk) for _ in range(len(await helpdesk.producer.partitions_for(submissions("helpdesk"))))]
    for partition, event in enumerate(events):
        wire = Wire.of(event)
        await helpdesk.send(wire.value, key=wire.key, headers=wire.headers, partition=partition)
    return events


async def test_after_all_that_the_highest_version_stands_last_on_the_compacted_topic(web: Portal, stand: Stand) -> None:
    """What was sent late, by a sweeper, is followed by the newest word."""
    connection = await asyncpg.connect(stand.database("operators"))

    async def swept() -> bool:
        return not await connection.fetchval("select exists (select from collector.outbox)")

    try:
        await eventually(swept)
    finally:
        await connection.close()

    consumer = web.watch.consumer
    ends = await consumer.end_offsets(consumer.assignment())

    async def read_to_the_end() -> bool:
        return all([await consumer.position(partition) >= end for partition, end in ends.items()])

    await eventually(read_to_the_end)
    last: dict[bytes, int] = {}
    highest: dict[bytes, int] = {}
    for record in web.watch.records:
        if dict(record.headers)["ce_type"] == StatusChanged.TYPE.encode():
            last[record.key] = json.loads(record.value)["version"]
            highest[record.key] = max(last[record.key], highest.get(record.key, 0))
    assert len(last) > 100
    assert last == highest
