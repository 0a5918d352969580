"""Publishing with confirmation: many calls at once over one idempotent producer, which is replaced when it is stuck."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from habeas.closing import stopped
from habeas.contracts.cloudevents import CloudEvent, encode
from habeas.contracts.topics import MESSAGE_LIMIT, submissions
from habeas.portal.connecting import AUTHORIZATION, FIRST_PAUSE, LONGEST_PAUSE, started
from habeas.portal.errors import ClosedError, DeniedError, NotConfirmedError, PortalError

_log = structlog.get_logger("habeas.portal")


class Publisher:
    def __init__(self, portal: str, kafka: Mapping[str, Any], patience: float) -> None:
        self._portal = portal
        self._kafka = dict(kafka)
        self._patience = patience
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()
        self._open = False

    async def start(self) -> None:
        """Raises `UnreachableError`."""
        self._open = True
        try:
            await self._current()
        except BaseException:
            self._open = False
            raise

    async def stop(self) -> None:
        """Waits for what is on its way, within bounds."""
        self._open = False
        producer, self._producer = self._producer, None
        if producer is not None:
            await stopped(producer)
        await asyncio.gather(*self._retired)

    async def publish(self, event: CloudEvent) -> None:
        """Returns when Kafka has confirmed `event`, whatever it takes within the time limit.

        Tried again it keeps its ce_id. Raises `NotConfirmedError`, `DeniedError`, `ClosedError`, and `ContractError`
        where it is too large.
        """
        record = encode(event)
        cause, pause = "no answer", FIRST_PAUSE
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    producer = await self._current()
                    try:
                        await self._send(producer, *record)
                    except AUTHORIZATION:
                        raise DeniedError(self._portal, "write to", submissions(self._portal)) from None
                    except (KafkaError, OSError, TimeoutError) as error:
                        cause = type(error).__name__
                        _log.warning("publish_retried", ce_type=event.type, ce_id=str(event.id), cause=cause)
                        self._retire(producer)
                    else:
                        return
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
        except TimeoutError:
            raise NotConfirmedError(event, self._patience, cause) from None
        except PortalError as error:
            if isinstance(error, (DeniedError, ClosedError)):
                raise
            raise NotConfirmedError(event, self._patience, str(error)) from None

    async def _send(
        self, producer: AIOKafkaProducer, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        # An idempotent producer never gives a record up by itself: half of the patience is left for a new one.
        async with asyncio.timeout(self._patience / 2):
            await producer.send_and_wait(submissions(self._portal), value, key=key, headers=headers)

    async def _current(self) -> AIOKafkaProducer:
        async with self._replacing:
            if not self._open:
                raise ClosedError
            if self._producer is None:
                self._producer = await started(
                    self._make,
                    portal=self._portal,
                    patience=self._patience,
                    verb="write to",
                    what=submissions(self._portal),
                )
            return self._producer

    def _make(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._kafka, enable_idempotence=True, acks="all", max_request_size=MESSAGE_LIMIT, max_batch_size=65_536
        )

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """Take it out of use, unless another call has done so; what else it carries goes by a new one."""
        if self._producer is not producer:
            return
        self._producer = None
        task = asyncio.create_task(stopped(producer), name="habeas.portal: close a producer")
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)
