"""Sending with confirmation: all in flight at once, within a time limit of our own."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from habeas.closing import stopped
from habeas.contracts.cloudevents import CloudEvent, encode
from habeas.contracts.dead_letter import DeadLetter
from habeas.contracts.topics import DEAD_LETTER_LIMIT, MESSAGE_LIMIT
from habeas.participant.errors import PublishError
from habeas.participant.tuning import Tuning

_log = structlog.get_logger("habeas.participant")


class Publisher:
    """An idempotent producer that is replaced when it is stuck; ce_ids stay, so a repeat is recognised as one."""

    def __init__(self, options: Mapping[str, Any], tuning: Tuning) -> None:
        self._options = dict(options)
        self._tuning = tuning
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        producer = AIOKafkaProducer(
            **self._options,
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            max_batch_size=65_536,
            max_request_size=DEAD_LETTER_LIMIT,
        )
        try:
            await producer.start()
        except BaseException:
            await stopped(producer)
            raise
        self._producer = producer

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await stopped(producer)

    async def publish(self, messages: Sequence[tuple[str, CloudEvent]]) -> None:
        """Returns when Kafka has confirmed all. Raises `PublishError` when it does not within the tries."""
        pending = list(messages)
        cause = "unknown"
        for attempt in range(self._tuning.tries):
            if not pending:
                return
            if attempt:
                await asyncio.sleep(min(self._tuning.first_pause * 2**attempt, self._tuning.longest_pause))
            try:
                if self._producer is None:
                    await self.start()
                pending, errors = await self._send(pending)
            except (KafkaError, TimeoutError) as error:
                errors = [error]
            if errors:
                cause = type(errors[0]).__name__
                if any(isinstance(error, TopicAuthorizationFailedError) for error in errors):
                    break
                _log.warning("publish_retried", messages=len(pending), cause=cause)
                await self.stop()
        if pending:
            raise PublishError(
                f"{len(pending)} messages are not confirmed ({cause}): see whether Kafka is up and permits"
            )

    async def _send(
        self, messages: Sequence[tuple[str, CloudEvent]]
    ) -> tuple[list[tuple[str, CloudEvent]], list[BaseException]]:
        """Those not confirmed, with the errors."""
        producer = self._producer
        futures: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._tuning.send_timeout):
                for topic, event in messages:
                    key, value, headers = encode(event, limit=_limit(event))
                    futures.append(await producer.send(topic, key=key, value=value, headers=headers))  # type: ignore[union-attr]
                results = await asyncio.gather(*futures, return_exceptions=True)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        failed = [(message, result) for message, result in zip(messages, results, strict=True) if _is_error(result)]
        return [message for message, _ in failed], [error for _, error in failed]


def _limit(event: CloudEvent) -> int:
    return DEAD_LETTER_LIMIT if event.type == DeadLetter.TYPE else MESSAGE_LIMIT


def _is_error(result: object) -> bool:
    return isinstance(result, BaseException)
