"""A service as a process: one FastStream subscriber over all its topics, its outbox, its health, its end.

Order of things: pool, outbox, HTTP, then the broker; backwards on SIGTERM or SIGINT: the batch in hand is finished and
its offsets committed, the outbox stops, the pool closes. After `ExhaustedError` the process ends with exit code 1 and
its offsets where they were.
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg
import structlog
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from habeas.contracts import KeyFile
from habeas.settings import KafkaSettings, load
from shared.clock import Clock, clock_with
from shared.database import Pool, create_pool
from shared.loop import run_loop
from shared.messaging.consumer import Consumer, ExhaustedError, Route, Settle, nothing_to_settle
from shared.messaging.outbox import Outbox, Repair, nothing_to_repair
from shared.messaging.pauses import Pauses
from shared.messaging.polls import Polls
from shared.messaging.standing import Standing
from shared.registry import Registry, load_registry
from shared.settings import ClockSettings, ServiceSettings
from shared.telemetry import METRICS, configure_logging, exposition

_log = structlog.get_logger(__name__)

_FASTSTREAM = logging.getLogger("habeas.faststream")
"""Not FastStream's own logger, which brings a handler of its own that prints tracebacks with values."""

_FETCH_WAIT_MS = 50
"""How long the broker may hold back an answer without records. What comes on a partition that is not asked for in it
waits as long; asking more often costs an idle service more."""

_FETCH_BYTES = 256 * 1024
"""What is asked for of each partition at a time; a larger record comes all the same, alone (KIP-74)."""

_SESSION_MS = 6_000
"""How long a killed member keeps its partitions: the least that a broker allows by default."""

_STALLED_AFTER = 60.0
"""Seconds without a poll after which a process is not alive: a handler never takes that long."""

_WATCH_EVERY = 2.0

_GROUP = "habeas.{service}"


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


@dataclass(frozen=True, slots=True)
class Context(Generic[SettingsT]):
    """What a service builds its handlers from."""

    settings: SettingsT
    registry: Registry
    keys: KeyFile
    pool: Pool
    clock: Clock


@dataclass(frozen=True, slots=True)
class Parts:
    """What makes a service this one and no other."""

    routes: Sequence[Route]
    first: Sequence[Sequence[str]] = ()
    """Groups of topics that a batch is filled from, in this order and before all others, where more waits than fits."""
    settle: Settle = nothing_to_settle
    on_refused: Settle = nothing_to_settle
    repair: Repair = nothing_to_repair
    pages: Callable[[web.Application], None] | None = None
    """Adds the service's own routes to its HTTP server."""
    beside: Callable[[Consumer], AbstractAsyncContextManager[object]] | None = None
    """A worker that runs as long as the service does."""


class Service:
    """One running service."""

    def __init__(self, name: str, context: Context[Any], parts: Parts, kafka: KafkaSettings) -> None:
        self.name = name
        self._settings = context.settings
        self._kafka = kafka
        client = kafka.client_options()
        self.outbox = Outbox(context.pool, client, parts.repair)
        self.consumer = Consumer(
            name,
            parts.routes,
            context.pool,
            self.outbox,
            context.keys,
            context.clock,
            parts.settle,
            parts.on_refused,
            pauses=Pauses(context.settings.pause_after),
            overlapping=True,
        )
        self._standing = Standing(self.consumer.pauses)
        self._pool = context.pool
        self._parts = parts
        self._broker = KafkaBroker(
            kafka.bootstrap_servers.split(","),
            client_id=f"habeas-{name}",
            security=_security(kafka),
            allow_auto_create_topics=False,
            apply_types=False,
            graceful_timeout=context.settings.graceful_seconds,
            logger=_FASTSTREAM,
            log_level=logging.DEBUG,
        )
        self._app = FastStream(self._broker, logger=_FASTSTREAM, lifespan=self._lifespan, on_shutdown=[self._leave])
        self._subscriber: BatchSubscriber = self._broker.subscriber(
            *self.consumer.topics,
            batch=True,
            group_id=_GROUP.format(service=name),
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            no_reply=True,
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_bytes=16 * _FETCH_BYTES,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_SESSION_MS // 3,
            # A request has the same partition on every topic: so one replica has all that is said about it.
            partition_assignment_strategy=(RangePartitionAssignor,),
            listener=self._standing,
            parser=self._parse,
            decoder=_raw,
        )
        self._subscriber(self._consume)
        # FastStream's own sleeps after each empty poll, as long as that was: six hops of a request would add up.
        self._subscriber.get_msg = Polls(parts.first, context.settings.batch_records).poll  # type: ignore[method-assign]
        self._polled = time.monotonic()
        self._exhausted: str | None = None
        self._leaving = False

    async def run(self) -> int:
        """Until SIGTERM, SIGINT or exhaustion. Returns the exit code."""
        await self._app.run(log_level=logging.DEBUG)
        return 1 if self._exhausted else 0

    async def _consume(self, records: Sequence[Any]) -> None:
        if self._exhausted:
            await asyncio.sleep(0.2)  # the stop is under way; taking nothing more leaves the offsets where they are
            raise ExhaustedError(self._exhausted)
        try:
            held = await self.consumer.handle(records)
            if held:
                self._standing.hold(self._consumer_in_use(), held)
        except Exception as error:  # FastStream would log it, seek back and go round for ever
            self._exhausted = advice(error)
            _log.critical("service_exhausted", then="stops, to be started anew", cause=advice(error), exc_info=error)
            self._app.exit()
            raise ExhaustedError(self._exhausted) from None  # FastStream logs its text: never that of a driver's error

    async def _parse(self, records: tuple[Any, ...]) -> KafkaAckableMessage:
        # FastStream's own parser loses a whole batch over one header that is null or not UTF-8: it never sees headers.
        consumer = self._consumer_in_use()
        return KafkaAckableMessage(raw_message=records, body=b"", headers={}, consumer=consumer)

    def _consumer_in_use(self) -> AIOKafkaConsumer:
        consumer = self._subscriber.consumer
        if consumer is None:  # a batch that outlived its consumer: its offsets are no longer ours to commit
            raise ExhaustedError("the consumer was closed under a batch")
        return consumer

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await self.outbox.start()
            stack.push_async_callback(self.outbox.stop)
            await stack.enter_async_context(self._http())
            if self._parts.beside is not None:
                await stack.enter_async_context(self._parts.beside(self.consumer))
            watch = asyncio.create_task(self._watch(), name="lag-watch")
            stack.callback(watch.cancel)
            yield

    async def _leave(self) -> None:
        self._leaving = True

    @asynccontextmanager
    async def _http(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_get("/metrics", _metrics)
        if self._parts.pages is not None:
            self._parts.pages(app)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._settings.http_host, self._settings.http_port).start()
            _log.info("http_listening", address=runner.addresses[0][:2])
            yield
        finally:
            await runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        age = time.monotonic() - self._last_poll()
        return _answer(age < _STALLED_AFTER, {"last_poll_seconds": round(age, 1)})

    async def _ready(self, _request: web.Request) -> web.Response:
        consumer = self._subscriber.consumer
        findings = {
            "consuming": consumer is not None and bool(consumer.assignment()) and not self._leaving,
            "database": await _answers(self._pool),
            "exhausted": self._exhausted is not None,
            "paused": [
                {"topic": topic, "partition": number, "offset": offset}
                for (topic, number), offset in self._standing.among(consumer).items()
            ],
        }
        ready = findings["consuming"] and findings["database"] and not findings["exhausted"] and not findings["paused"]
        return _answer(bool(ready), findings)

    def _last_poll(self) -> float:
        """When the consumer last asked for records: FastStream's loop sets it in aiokafka's subscription state."""
        consumer: AIOKafkaConsumer | None = self._subscriber.consumer
        if consumer is not None:
            reading = consumer.assignment() - consumer.paused()
            if not reading:  # a replica beyond the partitions has nothing to ask for, and is well
                self._polled = time.monotonic()
            for partition in reading:
                polled = consumer.last_poll_timestamp(partition)
                if polled:
                    self._polled = max(self._polled, time.monotonic() - max(0.0, time.time() - polled / 1000))
        return self._polled

    async def _watch(self) -> None:
        """Lag and poll age as metrics; a stall shows here even while the process lives."""
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            METRICS.poll_age.set(time.monotonic() - self._last_poll())
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                METRICS.outbox_stale.set(await self.outbox.stale())
            consumer: AIOKafkaConsumer | None = self._subscriber.consumer
            if consumer is None:
                continue
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._standing.follow(consumer, self._pool)
            try:
                partitions: set[TopicPartition] = consumer.assignment()
                lag: dict[str, int] = {}
                for partition in partitions:
                    high = consumer.highwater(partition)
                    if high is not None:
                        lag[partition.topic] = lag.get(partition.topic, 0) + high - await consumer.position(partition)
                for topic, records in lag.items():
                    METRICS.lag.labels(topic).set(records)
            except KafkaError as error:
                _log.debug("lag_unknown", error=type(error).__name__)


async def _raw(message: KafkaAckableMessage) -> Any:
    return message.raw_message


async def _answers(pool: Pool) -> bool:
    try:
        async with asyncio.timeout(2):
            await pool.fetchval("SELECT 1")
    except Exception:
        return False
    return True


def _answer(healthy: bool, findings: dict[str, Any]) -> web.Response:
    return web.json_response({"ok": healthy, **findings}, status=200 if healthy else 503)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _security(kafka: KafkaSettings) -> BaseSecurity:
    options = kafka.client_options()
    ssl_context = options.get("ssl_context")
    use_ssl = kafka.security_protocol.endswith("SSL")
    if not kafka.security_protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=ssl_context, use_ssl=use_ssl)
    mechanism = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
    return mechanism[kafka.sasl_mechanism](
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        ssl_context=ssl_context,
        use_ssl=use_ssl,
    )


async def _serve(
    name: str,
    assemble: Callable[[Context[SettingsT]], Parts],
    settings: SettingsT,
    kafka: KafkaSettings,
    clock: Clock,
) -> int:
    registry = load_registry(settings.registry)
    pool = await create_pool(settings.database_url, schema=name)
    try:
        context = Context(settings, registry, KeyFile(settings.keys), pool, clock)
        context.keys.keyring()  # a missing key file is told at start, not at the first message
        return await Service(name, context, assemble(context), kafka).run()
    finally:
        async with asyncio.timeout(10):
            await pool.close()


def run(
    name: str,
    assemble: Callable[[Context[SettingsT]], Parts],
    settings: type[SettingsT],
    clock: Clock | None = None,
) -> None:
    """The `main` of a service: settings from the environment, then until told to stop. Exits the process.

    Without a `clock` it is the environment's: the system's, or a local stack's that can be advanced.
    """
    configure_logging(name)
    try:
        chosen = clock or clock_with(load(ClockSettings).clock_offset_file)
        code = run_loop(_serve(name, assemble, load(settings), load(KafkaSettings), chosen))
    except Exception as error:
        _log.critical("service_failed", advice=advice(error), exc_info=error)
        code = 1
    sys.exit(code)


def advice(error: Exception) -> str:
    """What to do about a failed start; only errors of our own speak, since drivers' texts may quote values."""
    ours = type(error).__module__.split(".")[0] in {"habeas", "shared"}
    return str(error) if ours else "see error and where: is everything up, migrated and its topology applied?"
