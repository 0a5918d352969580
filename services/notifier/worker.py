"""The sending loop: claim, open, render, deliver, commit at once, say that it is done.

Claims are short and small, so that a mail is out long before its lease ends. A process shows that it lives by an
advisory lock, which ends with its connection: what a killed one had claimed is taken over in seconds, and the lease is
only for one that is stopped and yet connected. Several mails are under way at a time; as
soon as any is answered for, its outcome is committed together with whatever else was answered meanwhile (a group
commit), because a mail that SMTP has taken and the table does not know of would be sent twice after a crash.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from secrets import randbelow
from time import monotonic
from typing import Final, Protocol, Self
from uuid import uuid4

import asyncpg
import structlog

from habeas.contracts.catalogue import write
from habeas.contracts.topics import PROGRESS
from services.notifier import store
from services.notifier.domain import AddressError, Bounced, Deferred, Mail, Outcome, State, judge
from services.notifier.store import Claimed, Finished
from shared.clock import Clock
from shared.database import Connection, Pool
from shared.events import DeliveryResult, NoticeDelivered, Recipient
from shared.messaging.outbox import Outgoing
from shared.telemetry import METRICS

_log = structlog.get_logger(__name__)

LEASE: Final = timedelta(minutes=5)
"""Longer than the slowest mail: connecting, talking and waiting for a free connection each have their time-outs."""

_POLL_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 5.0
"""Between looks for leases whose process is dead."""
_TROUBLE: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Outbox(Protocol):
    """As `shared.messaging.outbox.Outbox` is."""

    async def write(self, connection: Connection, records: Sequence[Outgoing]) -> None: ...

    async def publish(self, records: Sequence[Outgoing]) -> None: ...


Open = Callable[[Claimed], Mail]
"""The opened mail of a claimed row. May raise: the mail is then tried again later."""

Post = Callable[[Mail, datetime], Awaitable[Outcome]]
"""Renders and delivers a mail dated with the instant. Raises `AddressError` where no address can be made of it."""


class Worker:
    """Run `run` as one task; `wake` it after notices were recorded; `stop` it and await the task."""

    def __init__(
        self,
        *,
        pool: Pool,
        open_mail: Open,
        post: Post,
        outbox: Outbox,
        clock: Clock,
        in_flight: int = 8,
        awake: asyncio.Event | None = None,
    ) -> None:
        self._pool = pool
        self._open = open_mail
        self._post = post
        self._outbox = outbox
        self._clock = clock
        self._in_flight = in_flight
        self._awake = awake or asyncio.Event()
        self._stopping = False
        self._holder = randbelow(2**31 - 1) + 1
        self._presence: Connection | None = None
        self._presences = AsyncExitStack()
        self._looked = 0.0
        self._sending: set[asyncio.Task[Finished]] = set()
        self._publishing: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There is something to send: call it after the commit."""
        self._awake.set()

    def stop(self) -> None:
        """Idempotent. `run` returns once the mails under way are answered for."""
        self._stopping = True
        self._awake.set()

    @asynccontextmanager
    async def running(self, grace: float = 40.0) -> AsyncIterator[Self]:
        """Runs as long as the block does; at its end mails under way get `grace` seconds to be answered for."""
        task = asyncio.create_task(self.run(), name="notices")
        try:
            yield self
        finally:
            self.stop()
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await task

    async def run(self) -> None:
        """Until `stop`. Trouble with the database is waited out: the rows and their leases outlive it."""
        try:
            while not self._stopping or self._sending:
                self._awake.clear()
                try:
                    await self._commit_answered()
                    await self._fill()
                except Exception as error:  # a loop that ends would send no mail any more, and nobody would know
                    self._report(error)
                    await asyncio.sleep(_POLL_SECONDS)
                    continue
                if self._sending or not self._stopping:
                    await self._wait()
            await asyncio.gather(*self._publishing, return_exceptions=True)
        finally:
            await self._leave()
            for task in (*self._sending, *self._publishing):
                task.cancel()

    def _report(self, error: Exception) -> None:
        if isinstance(error, _TROUBLE):
            _log.warning("notices_database_trouble", error=type(error).__name__)
        else:
            _log.error("notices_loop_failed", exc_info=error)

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await self._awake.wait()

    async def _commit_answered(self) -> None:
        answered = {task for task in self._sending if task.done()}
        if answered:
            await self._commit([task.result() for task in answered])
            self._sending -= answered

    async def _fill(self) -> None:
        """Claims what there is room for."""
        room = self._in_flight - len(self._sending)
        if self._stopping or room <= 0:
            return
        await self._be_present()
        async with self._pool.acquire() as connection:
            if monotonic() - self._looked > _LOOK_SECONDS:
                self._looked = monotonic()
                ended = await store.end_leases_of_the_dead(connection)
                if ended:
                    _log.warning("notices_of_the_dead", notices=ended)
            claimed = await store.claim(connection, room, self._clock(), uuid4(), LEASE, self._holder)
        for notice in claimed:
            task = asyncio.create_task(self._send(notice), name="notice")
            task.add_done_callback(lambda _: self._awake.set())
            self._sending.add(task)

    async def _be_present(self) -> None:
        """Before anything is claimed, and again after the database was away."""
        if not self._is_present():
            await self._leave()
            connection = await self._presences.enter_async_context(self._pool.acquire())
            await store.be_present(connection, self._holder)
            self._presence = connection

    def _is_present(self) -> bool:
        try:
            return self._presence is not None and not self._presence.is_closed()
        except (
            asyncpg.InterfaceError
        ):  # the pool has taken a broken connection back, and its proxy answers nothing more
            return False

    async def _leave(self) -> None:
        self._presence = None
        with suppress(*_TROUBLE):
            await self._presences.aclose()

    async def _send(self, claimed: Claimed) -> Finished:
        now = self._clock()
        outcome: Outcome
        try:
            outcome = await self._post(self._open(claimed), now)
        except AddressError:
            outcome = Bounced()
        except Exception as error:  # one mail that cannot be made must not hold up the others; it waits to be mended
            _log.error(
                "notice_failed",
                request_id=str(claimed.key.request_id),
                notice=claimed.key.notice,
                error=type(error).__name__,
                exc_info=error,
            )
            outcome = Deferred()
        verdict = judge(outcome, attempts=claimed.attempts, recorded_at=claimed.recorded_at, now=self._clock())
        return Finished(claimed, verdict)

    async def _commit(self, finished: Sequence[Finished]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            held = await store.finish(connection, finished)
            counted = [done for done in finished if done.claimed.key in held]
            records = [record for done in counted for record in _delivered(done)]
            await self._outbox.write(connection, records)
        if records:
            # Beside the loop: a slow Kafka must not keep the outcomes of other mails from being committed.
            task = asyncio.create_task(self._outbox.publish(records), name="notices-delivered")
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)
        for done in counted:
            METRICS.notices.labels(notice=done.claimed.key.notice, result=done.verdict.state.value).inc()
            _log.info(
                "notice_tried",
                request_id=str(done.claimed.key.request_id),
                notice=done.claimed.key.notice,
                recipient=done.claimed.key.recipient,
                result=done.verdict.state.value,
                code=done.verdict.code,
                attempts=done.claimed.attempts,
            )
        if len(counted) < len(finished):
            _log.warning("notice_lease_lost", notices=len(finished) - len(counted))


_RESULTS: Final = {State.ACCEPTED: DeliveryResult.ACCEPTED, State.BOUNCED: DeliveryResult.BOUNCED}


def _delivered(done: Finished) -> tuple[Outgoing, ...]:
    """What the collector is told: the end of a mail's way, not the waits on it."""
    key, verdict = done.claimed.key, done.verdict
    result = _RESULTS.get(verdict.state)
    if result is None:
        return ()
    body = NoticeDelivered(
        request_id=key.request_id,
        notice=key.notice,
        recipient=Recipient(key.recipient),
        ordinal=key.ordinal,
        result=result,
        at=verdict.at,
    )
    event = write(body, subject=key.request_id, source="habeas/notifier", now=verdict.at)
    return (Outgoing.of(PROGRESS, event),)
