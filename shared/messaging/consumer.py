"""From a batch of raw records to committed effects: at least once on the wire, once in effect.

    records -> each decoded alone -> one transaction (handlers, settle, dead letters, outbox) -> commit -> publish

The caller commits the offsets afterwards. A crash before the commit leaves nothing; after it, the batch comes again and
the natural keys make it a repetition. What was not published lies in the outbox in either case.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import structlog
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_random_exponential

from habeas.contracts import ContractError, KeyFile, KeyUnknownError, Message, Reason
from shared.clock import Clock
from shared.database import Pool
from shared.events import SERVICES
from shared.messaging.outbox import Outbox
from shared.messaging.pauses import Partition, Pauses
from shared.messaging.received import Outcome, Reading, Received, Record, receive_all
from shared.messaging.work import Work
from shared.telemetry import METRICS

_log = structlog.get_logger(__name__)

Handler = Callable[[Sequence[Received[Any, Any]], Work], Awaitable[None]]
"""Records the facts of all messages of one type in a batch, set-based."""

Settle = Callable[[Work], Awaitable[None]]
"""Runs once at the end of a batch: decides about the requests in `work.touched`."""


@dataclass(frozen=True, slots=True)
class Route:
    """Which topics carry a body, and what handles it."""

    topics: tuple[str, ...]
    model: type[Message]
    handle: Handler
    opened: bool = True
    """Whether its personal part is opened for the handler. One that seldom needs it opens it itself."""


async def nothing_to_settle(_work: Work) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long trouble is borne before the service stops and its supervisor starts it anew. Seconds."""

    transient: float = 30.0
    unknown_key: float = 2.0
    unknown_key_memory: float = 60.0
    consecutive_failures: int = 20
    """Requests whose records failed in a row, whatever was tried: past that the fault is ours, not theirs."""


class ExhaustedError(Exception):
    """The service cannot go on; offsets stand where they were. Restarting takes up the same batch."""


@dataclass(slots=True)
class Consumer:
    """Handles batches for one service."""

    service: str
    routes: Sequence[Route]
    pool: Pool
    outbox: Outbox
    keys: KeyFile
    clock: Clock
    settle: Settle = nothing_to_settle
    on_refused: Settle = nothing_to_settle
    """Runs where records were refused, for a service that has to tell somebody about `work.refused`."""
    patience: Patience = Patience()
    pauses: Pauses = field(default_factory=Pauses)
    overlapping: bool = False
    """Whether a batch is sent to Kafka while the next one is handled. Else it is sent when `handle` returns."""
    _readings: dict[str, dict[str, Reading]] = field(init=False)
    _handlers: dict[str, Handler] = field(init=False)
    _unknown_kids: dict[str, float] = field(init=False, default_factory=dict)
    _failed_in_a_row: set[bytes | None] = field(init=False, default_factory=set)
    """By key, so that one request cannot stop a service, however many bad records it has."""

    def __post_init__(self) -> None:
        self._readings = defaultdict(dict)
        for route in self.routes:
            for topic in route.topics:
                self._readings[topic][route.model.TYPE] = Reading(route.model, route.opened)
        self._handlers = {route.model.TYPE: route.handle for route in self.routes}

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self._readings)

    async def handle(self, records: Sequence[Record]) -> Mapping[Partition, int]:
        """Take `records` into effect. Raises `ExhaustedError`, or asyncpg's errors; never skips.

        Returns, for each partition that is paused, the offset from which on it was left out: it is to be read again
        from there.
        """
        started = time.monotonic()
        if not self.pauses.known:
            async for attempt in self._retrying():
                with attempt:
                    await self.pauses.load(self.pool)
        self.pauses.begin()
        await self._take(records)
        METRICS.batches.observe(time.monotonic() - started)
        METRICS.batch_records.observe(len(records))
        return self.pauses.held

    async def transact(self, work_on: Callable[[Work], Awaitable[None]]) -> None:
        """One transaction of the service's own making (a timer, a worker): commit, then publish."""
        async with self.pool.acquire() as connection, connection.transaction():
            work = Work(self.service, connection, self.keys.keyring(), self.clock())
            await work_on(work)
            await self.settle(work)
            if work.refused:
                await self.on_refused(work)
            await self.outbox.write(connection, work.outgoing)
        for told in work.after_commit:
            told()
        for record, error in work.refused:
            METRICS.dead_letters.labels(error.reason).inc()
            _log.warning("record_refused", topic=record.topic, offset=record.offset, reason=error.reason)
        await (self.outbox.publish_beside if self.overlapping else self.outbox.publish)(work.outgoing)

    async def _take(self, records: Sequence[Record]) -> None:
        try:
            async for attempt in self._retrying():
                with attempt:
                    await self._transact(records)
        except Exception as error:
            if is_transient(error):
                raise ExhaustedError(
                    f"gave up after {self.patience.transient:.0f} s of {type(error).__name__}"
                ) from None
            await self._isolate(records, error)
        else:
            self._failed_in_a_row.clear()

    def _retrying(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_delay(self.patience.transient),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            before_sleep=_note_retry,
            reraise=True,
        )

    async def _isolate(self, records: Sequence[Record], error: Exception) -> None:
        """Something in `records` cannot be handled: halve until it stands alone, and bury that one."""
        if len(records) > 1:
            middle = len(records) // 2
            await self._take(records[:middle])
            await self._take(records[middle:])
            return
        self._failed_in_a_row.add(records[0].key)
        METRICS.handler_failures.inc()
        _log.error("record_failed", topic=records[0].topic, offset=records[0].offset, exc_info=error)
        if len(self._failed_in_a_row) > self.patience.consecutive_failures:
            raise ExhaustedError(
                f"records of {len(self._failed_in_a_row)} requests in a row failed: the fault is in the service"
            ) from None
        failure = ContractError(Reason.HANDLER_FAILED, "", type(error).__name__)

        async def bury(work: Work) -> None:
            work.bury(records[0], failure)

        await self.transact(bury)

    async def _transact(self, records: Sequence[Record]) -> None:
        received, refused = await self._decode(records)
        if not (received or refused or self.pauses.unwritten):
            return

        async def work_on(work: Work) -> None:
            work.opened = {
                (message.event.type, message.request_id, message.body.personal): message.personal
                for batch in received.values()
                for message in batch
                if message.personal is not None and message.participant == SERVICES
            }
            for record, error in refused:
                work.bury(record, error)
            for ce_type, batch in received.items():
                await self._handlers[ce_type](batch, work)
            if self.pauses.unwritten:
                await self.pauses.write(work)

        await self.transact(work_on)

    async def _decode(
        self, records: Sequence[Record]
    ) -> tuple[Mapping[str, list[Received[Any, Any]]], list[tuple[Record, ContractError]]]:
        received: dict[str, list[Received[Any, Any]]] = {route.model.TYPE: [] for route in self.routes}
        refused: list[tuple[Record, ContractError]] = []
        counts: Counter[tuple[str, str]] = Counter()
        pauses = self.pauses
        for record, heard in zip(records, self._receive(records), strict=True):
            if pauses.standing and pauses.holds(record):
                continue
            outcome = await self._receive_later(record, heard) if isinstance(heard, KeyUnknownError) else heard
            if isinstance(outcome, ContractError):
                if not pauses.refuse(record):
                    refused.append((record, outcome))
                    counts[record.topic, "refused"] += 1
                continue
            if pauses.runs:
                pauses.accept(record)
            if outcome is not None:
                received[outcome.body.TYPE].append(outcome)
            counts[record.topic, outcome.body.TYPE if outcome else "other"] += 1
        for (topic, kind), count in counts.items():
            METRICS.records.labels(topic, kind).inc(count)
        return {ce_type: batch for ce_type, batch in received.items() if batch}, refused

    def _receive(self, records: Sequence[Record]) -> Sequence[Outcome]:
        return receive_all(records, self._readings, self.keys.keyring())

    async def _receive_later(self, record: Record, error: KeyUnknownError) -> Outcome:
        """A record under an unknown key: a rotation may be on its way here.

        Waiting once per participant and minute keeps a flood bounded.
        """
        give_up = time.monotonic() + self.patience.unknown_key
        outcome: Outcome = error
        while isinstance(outcome, KeyUnknownError):
            now = time.monotonic()
            if self._unknown_kids.get(outcome.participant, 0.0) > now:
                break
            if now >= give_up:
                self._unknown_kids[outcome.participant] = now + self.patience.unknown_key_memory
                break
            await asyncio.sleep(0.25)
            (outcome,) = self._receive([record])
        return outcome


def is_transient(error: BaseException) -> bool:
    """Whether the same batch may well succeed in a moment: connections, locks, servers on their way up or down.

    asyncpg's refusal of a value is an `InterfaceError` and a `ValueError`: that one no time will heal.
    """
    return not isinstance(error, ValueError) and isinstance(
        error,
        (
            KafkaError,
            OSError,
            TimeoutError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,  # the server ended the session while we were speaking
            asyncpg.PostgresSystemError,
            asyncpg.PostgresConnectionError,
            asyncpg.InsufficientResourcesError,
            asyncpg.OperatorInterventionError,
            asyncpg.TransactionRollbackError,
            asyncpg.ReadOnlySQLTransactionError,
            asyncpg.LockNotAvailableError,
        ),
    )


def _note_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    METRICS.retries.inc()
    _log.warning("batch_retried", attempt=state.attempt_number, error=type(error).__name__)
