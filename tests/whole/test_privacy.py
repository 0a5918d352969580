"""No personal data in clear: not in Kafka, in logs, in metrics, in file names, nor in the services' own tables.

Journeys of its own come first; then everything there is gets searched for anybody of the sample, so what other tests
have done by then is searched as well.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from stand import DeadLetters, Portal, Stand, somebody
from whole_answers import fetch, link
from whole_records import IN_CLEAR, IN_CLEAR_NAME, Wire
from whole_stores import untouched

from habeas.contracts.status import StatusChanged
from systems import sample

pytestmark = pytest.mark.xdist_group("privacy")

NAMES = frozenset(person.name for person in sample.people())
# Bounded, since what they go through is mostly sealed: one word of a hundred thousand letters.
_TWO_WORDS = re.compile(r"(?=(?<![^\W\d_])([^\W\d_]{1,24} [^\W\d_]{1,24})(?![^\W\d_]))")
_TELLING = re.compile(
    r"[\w.+-]{0,64}@example\.org|\bacc-\d{6}\b|\bcus_[0-9a-f]{14}\b|\bvis_[0-9a-f]{16}\b|\b198\.51\.100\.\d|\b2001:db8::"
)
_MARKS = ("@example.org", "acc-", "cus_", "vis_", "198.51.100.", "2001:db8::")
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")


def found_in(content: bytes | str | None) -> set[str]:
    """What in it names or identifies anybody of the sample."""
    text = content.decode(errors="replace") if isinstance(content, bytes) else content or ""
    text = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
    telling = _TELLING.findall(text) if any(mark in text for mark in _MARKS) else ()
    return set(telling) | NAMES.intersection(_TWO_WORDS.findall(text))


@dataclass(frozen=True)
class Journeys:
    person: sample.Person
    statuses: list[StatusChanged]
    token: str


@pytest.fixture(scope="module")
async def journeys(web: Portal, stand: Stand, operators: DeadLetters) -> Journeys:
    """One of each kind, with everybody's data on the way."""
    person, visitor = sample.person(304), sample.visitor(100)
    erased = await untouched(stand, range(340, 400))
    requests = [
        await web.submit(somebody(person.email, name=person.name)),
        await web.submit(somebody(erased.email, name=erased.name), "erasure"),
        await web.submit(somebody(visitor.visitor_id, identity_type="visitor_id")),
        await web.submit(somebody(sample.person(306).email, method="horoscope", name=sample.person(306).name)),
    ]
    unclear = await web.submit(somebody(sample.person(308).email, name=sample.person(308).name), "levitation")
    misplaced = Wire.of(web.submission(somebody(sample.person(310).email))).having("ce_type", b"dsr.request.sung.v1")
    place = await web.send(misplaced.value, key=misplaced.key, headers=misplaced.headers)
    in_clear = Wire.of(web.submission(somebody(sample.person(312).email))).member("personal", IN_CLEAR)
    other = await web.send(in_clear.value, key=in_clear.key, headers=in_clear.headers)
    closed = [await web.closed(request_id) for request_id in requests]
    await web.until(unclear, lambda found: found.state == "triage")
    await operators.of(place)
    await operators.of(other)
    (mail,) = stand.mails(requests[0])[str(closed[0].outcome)]
    answer = await fetch(mail)
    assert found_in(answer.words) >= {person.name, person.email}, "the search finds what is there to be found"
    statuses = [status for request_id in (*requests, unclear) for status in web.statuses(request_id)]
    return Journeys(person, statuses, link(mail).rpartition("/")[2])


async def test_no_record_names_anybody(journeys: Journeys, stand: Stand) -> None:
    """Keys, headers and values of all topics, read by a super user."""
    client = stand.kafka("operators")
    async with _consumer(**client) as consumer:
        topics = sorted(topic for topic in await consumer.topics() if topic.startswith("dsr."))
    assert len(topics) > 15
    read = 0
    async with _consumer(
        *topics, **client, auto_offset_reset="earliest", max_partition_fetch_bytes=8 << 20
    ) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(part) < end for part, end in ends.items()]):
            for part, records in (await consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    read += 1
                    for content in (record.key, record.value, *(value for _, value in record.headers)):
                        assert found_in(content) == set(), f"{part.topic} at {record.offset}"
                        written_by_others = part.topic.endswith((".submissions.v1", ".results.v1", ".tasks.v1"))
                        assert written_by_others or IN_CLEAR_NAME.encode() not in (content or b"")
    assert read > 50


@asynccontextmanager
async def _consumer(*topics: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(*topics, group_id=None, **options)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def test_no_log_names_anybody(journeys: Journeys, stand: Stand) -> None:
    logs = sorted((stand.root / "log").iterdir())
    assert len(logs) > 10
    for log in logs:
        content = log.read_bytes()
        assert found_in(content) == set(), log.name
        assert IN_CLEAR_NAME.encode() not in content, log.name


async def test_no_log_holds_a_link_s_token(journeys: Journeys, stand: Stand) -> None:
    for log in sorted((stand.root / "log").iterdir()):
        assert journeys.token.encode() not in log.read_bytes(), log.name


@pytest.mark.parametrize(
    "name", ["intake", "fanout", "collector", "notifier", "billing", "support", "analytics", "payments"]
)
async def test_no_metric_names_anybody(journeys: Journeys, stand: Stand, name: str) -> None:
    async with httpx.AsyncClient(timeout=10) as http:
        metrics = (await http.get(f"{stand.http(name)}/metrics")).text
        health = (await http.get(f"{stand.http(name)}/health/ready")).text
    assert "habeas_" in metrics
    assert found_in(metrics) | found_in(health) == set()


async def test_no_status_names_anybody(journeys: Journeys) -> None:
    assert len(journeys.statuses) > 15
    for status in journeys.statuses:
        assert found_in(status.model_dump_json()) == set()


async def test_no_file_is_named_after_anybody(journeys: Journeys, stand: Stand) -> None:
    paths = [str(path.relative_to(stand.root)) for path in stand.root.rglob("*")]
    assert len(paths) > 100
    assert found_in("\n".join(paths)) == set()


async def test_stored_answers_are_sealed(journeys: Journeys, stand: Stand) -> None:
    objects = [path for path in (stand.root / "store").rglob("*") if path.is_file()]
    assert objects
    for path in objects:
        content = path.read_bytes()
        assert found_in(content) == set()
        assert not content.startswith(b"PK")


async def test_the_services_tables_name_nobody(journeys: Journeys, stand: Stand) -> None:
    connection = await asyncpg.connect(stand.database("operators"))
    try:
        tables = await connection.fetch(
            """select format('%I.%I', schemaname, tablename) as name from pg_tables
               where schemaname in ('intake', 'fanout', 'collector', 'notifier')"""
        )
        assert len(tables) > 10
        for name in _column(tables):
            for row in _column(await connection.fetch(f"select r::text as name from {name} r")):
                assert found_in(row) | found_in(_unhexed(row)) == set(), name
    finally:
        await connection.close()


def _column(rows: list[asyncpg.Record]) -> Iterator[str]:
    return (row["name"] for row in rows)


def _unhexed(row: str) -> str:
    r"""What stands in the `bytea` columns, which PostgreSQL writes as `\x` and hexadecimal digits."""
    return " ".join(
        bytes.fromhex(digits).decode(errors="replace") for digits in re.findall(r"\\x((?:[0-9a-f]{2})+)", row)
    )
