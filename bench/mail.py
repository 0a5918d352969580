"""What a mail costs: CPU microseconds in the notifier for each of an erasure's two mails, by part.

    python -m bench.mail [--mails 1000] [--database postgresql://user:password@host/database] [--profile PART]

Each figure is the median of five loops, in CPU time of the process. The SMTP server is `bench.sink`, a process of its
own that is not counted. With a database (its user must be allowed to create a schema, which is dropped at the end) the
whole way is measured too: batches of notices as Kafka hands them over, recorded, sent, and said to be delivered, with
everything but Kafka's own client.
"""

import argparse
import asyncio
import cProfile
import pstats
import secrets
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import orjson

from habeas.contracts import KeyFile, Place
from habeas.contracts.catalogue import seal_personal, write
from habeas.contracts.cloudevents import encode
from habeas.contracts.sealing import new_key
from habeas.contracts.status import Due
from habeas.contracts.topics import OUTCOMES
from operations.migrate import migrations_of
from services.notifier.app import NotifierSettings, assemble
from services.notifier.domain import Accepted, Letter, Mail, Outcome
from services.notifier.mails import MailRenderer
from services.notifier.smtp import Postman
from shared.clock import system_clock
from shared.database import Pool, create_pool
from shared.events import SERVICES, NoticePersonal, NoticeRequested, Recipient, StatementItem
from shared.loop import run_loop
from shared.messaging.consumer import Consumer
from shared.messaging.outbox import Outbox, Outgoing
from shared.messaging.received import Reading, receive_all
from shared.messaging.service import Context
from shared.registry import load_registry
from shared.telemetry import configure_logging

_LOOPS: Final = 5
_BATCH: Final = 200
_NOW: Final = datetime(2026, 3, 11, 8, tzinfo=UTC)
_REGISTRY: Final = Path(__file__).parents[1] / "registry" / "ale.toml"
_DUE: Final = Due(
    at=datetime(2026, 4, 2, 21, 59, 59, tzinfo=UTC),
    on=date(2026, 4, 2),
    rule="GDPR Art. 12(3): 1 month from receipt on 2026-03-02. Computed.",
    original_at=datetime(2026, 4, 2, 21, 59, 59, tzinfo=UTC),
)

Loop = Callable[[], Awaitable[None]]
"""One turn over all mails."""


def _statement(number: int) -> tuple[StatementItem, ...]:
    """Every person has other numbers."""
    kept = StatementItem(
        system="billing",
        category="invoices",
        did="retained",
        count=number % 90,
        ground="accounting_records",
        until=date(2034, 12, 31),
    )
    return (
        kept,
        StatementItem(system="support", category="support_conversations", did="deleted", count=number % 7 + 1),
        StatementItem(system="analytics", category="visits", did="anonymized", count=number % 1100),
        StatementItem(system="payments", category="charges", did="retained", count=number % 30),
    )


def _mails(count: int) -> list[Mail]:
    return [_mail(number, kind) for number in range(count // 2) for kind in ("acknowledged", "partially_completed")]


def _mail(number: int, kind: str) -> Mail:
    person = NoticePersonal(
        email=f"ana.{number}@example.com",
        name=("Ana Müller", "Ben Smith", "Łukasz Żółć", "Chi Nguyen")[number % 4],
        statement=() if kind == "acknowledged" else _statement(number),
    )
    body = NoticeRequested(
        request_id=uuid4(),
        notice=kind,
        recipient=Recipient.REQUESTER,
        reference=f"HB-{secrets.token_hex(2).upper()}-{secrets.token_hex(2).upper()}",
        right="erasure",
        regulation="eu-gdpr",
        jurisdiction="DE-BY",
        received_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
        due=_DUE,
        personal="a..aaaaaaaaaaaaaaaa.a.aaaaaaaaaaaaaaaaaaaaaa",
    )
    return Mail(body, person)


@dataclass(frozen=True, slots=True)
class _Record:
    """As it comes from Kafka."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    offset: int
    topic: str = OUTCOMES
    partition: int = 0
    timestamp: int = 0


def _records(mails: Sequence[Mail], keys: KeyFile) -> list[_Record]:
    records = []
    for offset, mail in enumerate(mails):
        subject = mail.notice.request_id
        sealed = seal_personal(keys.keyring(), Place(SERVICES, NoticeRequested.TYPE, subject), mail.personal)
        event = write(
            mail.notice.model_copy(update={"personal": sealed}), subject=subject, source="habeas/collector", now=_NOW
        )
        records.append(_Record(*encode(event), offset))
    return records


class _WithoutKafka(Outbox):
    """The outbox's table is written and emptied; what lies between is Kafka's client, and not measured here."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool, {})
        self._said = asyncio.Semaphore(0)

    async def _send(self, records: Sequence[Outgoing]) -> list[Outgoing]:
        for _ in records:
            self._said.release()
        return list(records)

    async def until_said(self, count: int) -> None:
        async with asyncio.timeout(120):
            for _ in range(count):
                await self._said.acquire()


@asynccontextmanager
async def _sink() -> AsyncIterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.sink", "--port", str(port))
    try:
        async with asyncio.timeout(20):
            while True:
                with suppress(ConnectionRefusedError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield f"smtp://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _schema(url: str) -> AsyncIterator[Pool]:
    name = f"bench_mail_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE SCHEMA {name}; SET search_path = {name}")
    pool = None
    try:
        for migration in migrations_of("notifier"):
            await connection.execute(migration.sql)
        pool = await create_pool(url, schema=name)
        yield pool
    finally:
        if pool is not None:
            await pool.close()
        await connection.execute(f"DROP SCHEMA {name} CASCADE")
        await connection.close()


async def _parts(mails: Sequence[Mail], keys: KeyFile, smtp: str, stack: AsyncExitStack) -> dict[str, Loop]:
    renderer = MailRenderer(load_registry(_REGISTRY))
    records = _records(mails, keys)
    letters = [renderer.letter(mail, _NOW) for mail in mails]
    postman = Postman(smtp)
    stack.push_async_callback(postman.close)

    async def take_in() -> None:
        receive_all(records, {OUTCOMES: {NoticeRequested.TYPE: Reading(NoticeRequested)}}, keys.keyring())

    async def compose() -> None:
        for mail in mails:
            renderer.letter(mail, _NOW)

    def answered(_letter: Letter, outcome: Outcome) -> None:
        if not isinstance(outcome, Accepted):
            raise SystemExit(f"the SMTP server of the measurement said {outcome}")

    async def deliver() -> None:
        waiting = iter(letters)
        await asyncio.gather(*(postman.deliver(waiting, answered) for _ in range(4)))

    return {"receive": take_in, "compose": compose, "smtp": deliver}


async def _whole(mails: int, keys: KeyFile, smtp: str, pool: Pool, stack: AsyncExitStack) -> Loop:
    settings = NotifierSettings.model_construct(
        smtp_url=smtp, smtp_connections=8, public_url="https://privacy.example", store_url="memory:///"
    )
    parts = assemble(Context(settings, load_registry(_REGISTRY), keys, pool, system_clock))
    outbox = _WithoutKafka(pool)
    consumer = Consumer("notifier", parts.routes, pool, outbox, keys, system_clock)
    assert parts.beside is not None
    await stack.enter_async_context(parts.beside(consumer))

    async def turn() -> None:
        records = prepared.pop()
        for start in range(0, len(records), _BATCH):
            await consumer.handle(records[start : start + _BATCH])
        await outbox.until_said(len(records))

    prepared = [_records(_mails(mails), keys) for _ in range(_LOOPS + 1)]
    return turn


async def _measured(turn: Loop, mails: int) -> tuple[float, float]:
    """Microseconds of CPU for one mail, and mails a second."""
    await turn()
    spent, paces = [], []
    for _ in range(_LOOPS):
        before, began = time.process_time(), time.perf_counter()
        await turn()
        spent.append((time.process_time() - before) / mails * 1e6)
        paces.append(mails / (time.perf_counter() - began))
    return statistics.median(spent), statistics.median(paces)


async def _main(mails: int, database: str | None, profile: str | None) -> None:
    configure_logging("bench")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        (Path(folder) / "keys.json").write_bytes(orjson.dumps({"keys": [new_key(SERVICES)]}))
        keys = KeyFile(Path(folder) / "keys.json")
        smtp = await stack.enter_async_context(_sink())
        parts = await _parts(_mails(mails), keys, smtp, stack)
        if database:
            pool = await stack.enter_async_context(_schema(database))
            parts["whole"] = await _whole(mails, keys, smtp, pool, stack)
        print(f"{'part':10}{'CPU µs a mail':>15}{'mails/s':>10}")
        for name, turn in parts.items():
            profiler = cProfile.Profile(time.process_time)
            if name == profile:
                profiler.enable()
            cpu, pace = await _measured(turn, mails)
            profiler.disable()
            print(f"{name:10}{cpu:15.0f}{pace:10.0f}", flush=True)
            if name == profile:
                pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=1000, help="in a loop")
    parser.add_argument("--database", help="where a schema may be created for a moment")
    parser.add_argument("--profile", help="a part to profile: receive, compose, smtp or whole")
    given = parser.parse_args()
    run_loop(_main(given.mails, given.database, given.profile))
