"""The other side of a system, for tests: hands out its tasks, reads its answers and dead letters."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from habeas.contracts import topics
from habeas.contracts.catalogue import read, read_personal, write
from habeas.contracts.cloudevents import CloudEvent, decode, encode
from habeas.contracts.dead_letter import DeadLetter, RawRecord
from habeas.contracts.result import ResultPersonal, TaskFinished
from habeas.contracts.sealing import KeyFile, Place
from habeas.contracts.task import TaskAssigned, TaskCancelled, TaskReminded
from habeas.settings import KafkaSettings
from tests.participant.tasks import task_for

PATIENCE = 45.0


@dataclass(frozen=True)
class Said:
    """One answer as it stood in Kafka."""

    record: ConsumerRecord
    event: CloudEvent
    body: TaskFinished
    personal: ResultPersonal


@dataclass(frozen=True)
class Refused:
    body: DeadLetter
    record: RawRecord


def kafka_settings(env: Mapping[str, str]) -> KafkaSettings:
    prefix = "HABEAS_KAFKA_"
    return KafkaSettings(**{key.removeprefix(prefix).lower(): value for key, value in env.items() if prefix in key})


class Office:
    """`async with Office("billing", operators=stack.env("operators"), system=stack.env("billing")) as office:`"""

    def __init__(self, name: str, *, operators: Mapping[str, str], system: Mapping[str, str]) -> None:
        self.name = name
        self.keys = KeyFile(Path(system["HABEAS_KEYS"]))
        self._options = kafka_settings(operators).client_options()
        self._said: dict[Any, list[ConsumerRecord]] = defaultdict(list)
        self._refused: dict[Any, list[ConsumerRecord]] = defaultdict(list)

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(**self._options, enable_idempotence=True, max_request_size=2_097_152)
        await self._producer.start()
        self._results = await self._reader(topics.results(self.name))
        self._letters = await self._reader(topics.dead_letters(self.name))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()
        await self._results.stop()
        await self._letters.stop()

    async def _reader(self, topic: str) -> AIOKafkaConsumer:
        """Reads from now on."""
        consumer = AIOKafkaConsumer(**self._options, enable_auto_commit=False, max_partition_fetch_bytes=4_194_304)
        await consumer.start()
        async with asyncio.timeout(PATIENCE):  # a topic is made before every broker's metadata know of it
            while not (partitions := await _partitions(consumer, topic)):
                await consumer._client.force_metadata_update()
        consumer.assign([TopicPartition(topic, number) for number in sorted(partitions)])
        await consumer.seek_to_end()
        for place in consumer.assignment():
            await consumer.position(place)
        return consumer

    def assigned(self, action: str, *identities: tuple[str, str], **options: Any) -> TaskAssigned | TaskReminded:
        """A task for the system, sealed for it."""
        return task_for(self.name, self.keys.keyring(), action, *identities, **options)

    def event(self, body: TaskAssigned | TaskReminded | TaskCancelled) -> CloudEvent:
        return write(body, subject=body.request_id, source="habeas/fanout", now=datetime.now(UTC))

    async def send(self, *bodies: TaskAssigned | TaskReminded | TaskCancelled) -> None:
        for body in bodies:
            key, value, headers = encode(self.event(body))
            await self.send_raw(key, value, headers)

    async def send_raw(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> tuple[int, int]:
        """Partition and offset it came to stand at."""
        sent = await self._producer.send_and_wait(
            topics.tasks(self.name), key=key, value=value, headers=headers, partition=0
        )
        return sent.partition, sent.offset

    async def ask(self, action: str, *identities: tuple[str, str], **options: Any) -> Said:
        task = self.assigned(action, *identities, **options)
        await self.send(task)
        return await self.answer(task.task_id)

    async def answer(self, task_id: UUID) -> Said:
        """The next answer to that task; others that come first are kept for whoever asks for them."""
        record = await self._next(self._results, self._said, task_id)
        event = decode(record.key, record.value, record.headers)
        body = read(event, TaskFinished)
        place = Place(self.name, TaskFinished.TYPE, body.request_id, body.task_id)
        return Said(record, event, body, read_personal(self.keys.keyring(), place, body.personal, ResultPersonal))

    async def dead_letter(self, offset: int) -> Refused:
        """The dead letter of the task record at `offset` of partition 0."""
        record = await self._next(self._letters, self._refused, offset)
        event = decode(record.key, record.value, record.headers, limit=topics.DEAD_LETTER_LIMIT)
        body = read(event, DeadLetter)
        place = Place(self.name, DeadLetter.TYPE, body.dead_letter_id)
        return Refused(body, read_personal(self.keys.keyring(), place, body.personal, RawRecord))

    @staticmethod
    async def _next(
        consumer: AIOKafkaConsumer, kept: dict[Any, list[ConsumerRecord]], wanted: object
    ) -> ConsumerRecord:
        """Topics have partitions: what was sent first need not come first."""
        async with asyncio.timeout(PATIENCE):
            while not kept[wanted]:
                record = await consumer.getone()
                body = orjson.loads(record.value)
                kept[UUID(body["task_id"]) if "task_id" in body else body["offset"]].append(record)
        return kept[wanted].pop(0)


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    await consumer._client.add_topic(topic)
    return consumer.partitions_for_topic(topic) or set()
