"""The sending loop: claim, open, render, deliver, commit at once, say that it is done.

A process shows that it lives by an advisory lock, which ends with its connection: what a killed one had claimed is
taken over in seconds, and the lease is only for one that is stopped and yet connected. Several mails are in
conversation at a time; as soon as any is answered for, its outcome is committed together with whatever else was
answered meanwhile (a group commit), because a mail that SMTP has taken and the table does not know of would be sent
twice after a crash.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Final, Protocol, Self

import asyncpg
import structlog

from habeas.contracts.catalogue import write
from habeas.contracts.topics import PROGRESS
from services.notifier import store
from services.notifier.desk import LEASE, Desk, Waiting
from services.notifier.domain import AddressError, Answered, Bounced, Deferred, Letter, Outcome, State, judge
from services.notifier.store import Claimed, Finished
from shared.clock import Clock
from shared.database import Connection, Pool
from shared.events import DeliveryResult, NoticeDelivered, Recipient
from shared.messaging.outbox import Outgoing
from shared.telemetry import METRICS

_log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 5.0
"""Between looks for leases that nobody uses."""
_FRESH: Final = timedelta(seconds=10)
"""A lease younger than that may be one that is just being handed over."""
_TROUBLE: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Outbox(Protocol):
    """As `shared.messaging.outbox.Outbox` is."""

    async def write(self, connection: Connection, records: Sequence[Outgoing]) -> None: ...

    async def publish(self, records: Sequence[Outgoing]) -> None: ...


Write = Callable[[Claimed, datetime], Letter]
"""Makes the letter of a claimed row, dated with the instant. Raises `AddressError` where it can go to nobody; where it
raises anything else, the mail is tried again later."""

Deliver = Callable[[Iterator[Letter], Answered], Awaitable[None]]
"""Takes letters, some at a time, and answers for each that it has taken, until there are no more."""


class Worker:
    """Run `run` as one task; `wake` it after notices were recorded; `stop` it and await the task.

    `conversations` times `deliver` runs side by side; further mails wait on the desk for their turn.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        write: Write,
        deliver: Deliver,
        outbox: Outbox,
        clock: Clock,
        conversations: int = 8,
        desk: Desk | None = None,
    ) -> None:
        self._pool = pool
        self._write = write
        self._deliver = deliver
        self._outbox = outbox
        self._clock = clock
        self._conversations = conversations
        self._desk = desk or Desk()
        self._stopping = False
        self._connection: Connection | None = None
        self._connections = AsyncExitStack()
        self._looked = self._claimed = 0.0
        self._answered: list[Finished] = []
        self._publishing: set[asyncio.Task[None]] = set()
        self._absent: frozenset[int] = frozenset()
        """Holders that were not present when we looked last."""

    def wake(self) -> None:
        """There is something to send: call it after the commit."""
        self._desk.wake()

    def stop(self) -> None:
        """Idempotent. `run` returns once the mails under way are answered for."""
        self._stopping, self._desk.is_staffed = True, False
        self._desk.awake.set()

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
        lanes = [asyncio.create_task(self._converse(), name="notices-lane") for _ in range(self._conversations)]
        try:
            while not self._stopping or self._desk.under_way:
                self._desk.awake.clear()
                try:
                    connection = await self._present()
                    await self._commit_answered(connection)
                    await self._fill(connection)
                except Exception as error:  # a loop that ends would send no mail any more, and nobody would know
                    self._report(error)
                    await asyncio.sleep(_POLL_SECONDS)
                    continue
                if self._desk.under_way or not self._stopping:
                    await self._wait()
            await asyncio.gather(*self._publishing, return_exceptions=True)
        finally:
            for task in (*lanes, *self._publishing):
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            await self._leave()

    def _report(self, error: Exception) -> None:
        if isinstance(error, _TROUBLE):
            _log.warning("notices_database_trouble", error=type(error).__name__)
        else:
            _log.error("notices_loop_failed", exc_info=error)

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await self._desk.awake.wait()

    async def _commit_answered(self, connection: Connection) -> None:
        answered = self._answered.copy()
        if answered:
            await self._commit(connection, answered)
            del self._answered[: len(answered)]
            for done in answered:
                self._desk.clear(done.claimed)

    async def _fill(self, connection: Connection) -> None:
        """Claims what there is room for, when there may be something and it is worth a statement."""
        now = monotonic()
        if self._stopping:
            return
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            await self._look(connection)
        room, due = self._desk.room, self._desk.more or now - self._claimed > _POLL_SECONDS
        if not due or room < max(1, self._desk.size // 4):
            return
        self._claimed, self._desk.more = now, False
        claimed = await store.claim(connection, room, self._clock(), self._desk.lease())
        self._desk.more = self._desk.more or len(claimed) == room
        self._desk.put(claimed, now)

    async def _look(self, connection: Connection) -> None:
        """For leases that nobody uses: of processes that died, and of our own that we do not know of.

        Dead is who is absent at two looks in a row: whose session alone has ended is back by then, and goes on with
        the mails that it is sending.
        """
        absent = await store.absent(connection)
        dead = await store.end_leases_of_the_dead(connection, absent & self._absent)
        self._absent = absent
        lost = await store.end_lost_leases(connection, self._desk.holder, self._desk.leases(), LEASE - _FRESH)
        if dead or lost:
            _log.warning("notices_released", of_the_dead=dead, lost=lost)
            self._desk.more = True

    async def _present(self) -> Connection:
        """The connection that shows that we live, and on which all is written. A new one after the database was away:
        then others may have taken what we had claimed and not begun."""
        if self._connection is None or not self._is_present():
            await self._leave()
            connection = await self._connections.enter_async_context(self._pool.acquire())
            try:
                await store.be_present(connection, self._desk.holder)
            except BaseException:
                await connection.close()  # it may have the lock already
                raise
            self._connection, self._desk.is_staffed, self._desk.more = connection, not self._stopping, True
            self._absent = frozenset()  # whoever lost its session as we did has yet to come back
        return self._connection

    def _is_present(self) -> bool:
        try:
            return self._connection is not None and not self._connection.is_closed()
        except (
            asyncpg.InterfaceError
        ):  # the pool has taken a broken connection back, and its proxy answers nothing more
            return False

    async def _leave(self) -> None:
        connection, self._connection, self._desk.is_staffed = self._connection, None, False
        with suppress(*_TROUBLE):
            if connection is not None:
                await connection.close()  # its lock with it, which would outlive its return to the pool
            await self._connections.aclose()

    async def _converse(self) -> None:
        """One of the lanes: mail after mail."""
        while True:
            first = await self._desk.next()
            under_way: dict[Letter, Claimed] = {}
            try:
                await self._deliver(self._letters(first, under_way), partial(self._note_answered, under_way))
            except Exception as error:  # the fault is ours; it must not hold up the mails after it
                for claimed in under_way.values():
                    self._note_failed(claimed, error)

    def _letters(self, first: Waiting, under_way: dict[Letter, Claimed]) -> Iterator[Letter]:
        """Of what waits, each made when it is asked for."""
        waiting: Waiting | None = first
        while waiting is not None:
            claimed = waiting.claimed
            if not self._is_present() or monotonic() >= waiting.begin_by:
                # By the time it is out, somebody else may have sent it; its lease is ended, and it is due again.
                self._desk.clear(claimed)
                self._desk.awake.set()
                _log.warning("notice_not_begun", notice=claimed.key.notice)
            else:
                try:
                    letter = self._write(claimed, self._clock())
                except AddressError:
                    self._note(claimed, Bounced())
                except Exception as error:  # one mail that cannot be made must not hold up the others
                    self._note_failed(claimed, error)
                else:
                    under_way[letter] = claimed
                    yield letter
            waiting = self._desk.next_at_once()

    def _note_answered(self, under_way: dict[Letter, Claimed], letter: Letter, outcome: Outcome) -> None:
        self._note(under_way.pop(letter), outcome)

    def _note_failed(self, claimed: Claimed, error: Exception) -> None:
        """The mail waits for it to be mended."""
        _log.error(
            "notice_failed",
            request_id=str(claimed.key.request_id),
            notice=claimed.key.notice,
            error=type(error).__name__,
            exc_info=error,
        )
        self._note(claimed, Deferred())

    def _note(self, claimed: Claimed, outcome: Outcome) -> None:
        verdict = judge(outcome, attempts=claimed.attempts, recorded_at=claimed.recorded_at, now=self._clock())
        self._answered.append(Finished(claimed, verdict))
        self._desk.awake.set()

    async def _commit(self, connection: Connection, finished: Sequence[Finished]) -> None:
        async with connection.transaction():
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
            if done.verdict.state is not State.ACCEPTED:
                _log.info(
                    "notice_not_accepted",
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
