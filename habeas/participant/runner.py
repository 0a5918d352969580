"""The loop: a batch of records in, work, answers and dead letters out, confirmed, then the offsets."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Generic

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from habeas.contracts import topics
from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.errors import ContractError, KeyUnknownError
from habeas.contracts.sealing import KeyFile
from habeas.contracts.task import TaskCancelled
from habeas.dead_letters import RawKafkaRecord, dead_letter
from habeas.participant.answers import Resource
from habeas.participant.desk import Desk
from habeas.participant.errors import StartError
from habeas.participant.health import Health
from habeas.participant.inbox import Assigned, Inbound, read_task
from habeas.participant.publisher import Publisher
from habeas.participant.tuning import Tuning

_log = structlog.get_logger("habeas.participant")
_FETCH = 2 * topics.MESSAGE_LIMIT  # has to cover the largest record, or its partition stands still


class Runner(Generic[Resource]):
    def __init__(
        self,
        system: str,
        *,
        desk: Desk[Resource],
        keys: KeyFile,
        kafka: Mapping[str, Any],
        health: Health,
        now: Callable[[], datetime],
        tuning: Tuning,
    ) -> None:
        self._system = system
        self._desk = desk
        self._keys = keys
        self._kafka = dict(kafka)
        self._health = health
        self._now = now
        self._tuning = tuning
        self._publisher = Publisher(kafka, tuning)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set: then the batch in hand is finished, committed, and the group left.

        Raises `TaskStoppedError`, `Unavailable`, `PublishError` when a restart is called for, `StartError` when Kafka
        cannot be reached to begin with.
        """
        consumer = AIOKafkaConsumer(
            **self._kafka,
            group_id=f"dsr.{self._system}.tasks",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FETCH,
            max_poll_records=self._tuning.batch,
            fetch_max_wait_ms=100,
            session_timeout_ms=int(self._tuning.session * 1000),
            heartbeat_interval_ms=int(self._tuning.session * 1000 / 3),
        )
        consumer.subscribe([topics.tasks(self._system)], listener=_Membership(self._health))
        try:
            await self._connect(consumer)
            while not stop.is_set():
                self._health.polled()
                polled = await consumer.getmany(
                    timeout_ms=int(self._tuning.poll * 1000), max_records=self._tuning.batch
                )
                records = [record for part in polled.values() for record in part]
                if records:
                    await self._batch(records, stop)
                    await self._commit(consumer, records)
        finally:
            self._health.ready = False
            await self._publisher.stop()
            await consumer.stop()

    async def _connect(self, consumer: AIOKafkaConsumer) -> None:
        try:
            async for attempt in self._desk.retrying(lambda error: isinstance(error, (KafkaError, OSError))):
                with attempt:
                    await self._publisher.start()
            async for attempt in self._desk.retrying(lambda error: isinstance(error, (KafkaError, OSError))):
                with attempt:
                    await consumer.start()
        except (KafkaError, OSError) as error:
            raise StartError(
                f"Kafka cannot be reached ({type(error).__name__}): see HABEAS_KAFKA_BOOTSTRAP_SERVERS and credentials"
            ) from error

    async def _batch(self, records: Sequence[RawKafkaRecord], stop: asyncio.Event) -> None:
        began = monotonic()
        self._health.add("habeas_participant_records_total", len(records))
        sources: dict[int, RawKafkaRecord] = {}
        tasks: list[Assigned] = []
        cancelled: list[TaskCancelled] = []
        letters: list[tuple[RawKafkaRecord, ContractError]] = []
        for record, read in await self._read(records, stop):
            match read:
                case Assigned():
                    tasks.append(read)
                    sources[id(read)] = record
                case TaskCancelled():
                    cancelled.append(read)
                case ContractError():
                    letters.append((record, read))
        finished = await self._desk.work(tasks, cancelled, self._keys.keyring())
        letters += [(sources[id(task)], error) for task, error in finished.conflicts]
        await self._publisher.publish(
            [
                *((topics.results(self._system), answer) for answer in finished.answers),
                *((topics.dead_letters(self._system), self._letter(record, error)) for record, error in letters),
            ]
        )
        for action, outcome in finished.outcomes:
            self._health.add("habeas_participant_tasks_total", action=action, outcome=outcome)
        self._health.add("habeas_participant_answers_published_total", len(finished.answers))
        self._health.add("habeas_participant_batches_total")
        self._health.add("habeas_participant_batch_seconds_total", round(monotonic() - began, 6))
        if finished.stopped is not None:
            raise finished.stopped

    async def _read(
        self, records: Sequence[RawKafkaRecord], stop: asyncio.Event
    ) -> list[tuple[RawKafkaRecord, Inbound | ContractError]]:
        """Each record on its own. For a key not in the key file yet we look again, within bounds."""
        read = [(record, self._read_one(record)) for record in records]
        for pause in self._tuning.key_pauses:
            if stop.is_set() or not any(isinstance(result, KeyUnknownError) for _, result in read):
                break
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                self._health.polled()
            read = [
                (record, self._read_one(record) if isinstance(result, KeyUnknownError) else result)
                for record, result in read
            ]
        return read

    def _read_one(self, record: RawKafkaRecord) -> Inbound | ContractError:
        try:
            return read_task(record, self._system, self._keys.keyring())
        except ContractError as error:
            return error

    def _letter(self, record: RawKafkaRecord, error: ContractError) -> CloudEvent:
        self._health.add("habeas_participant_dead_letters_total", reason=error.reason)
        _log.warning(
            "record_refused",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=error.reason,
            pointer=error.pointer,
        )
        return dead_letter(
            record,
            error,
            keyring=self._keys.keyring(),
            reader=self._system,
            refused_by=self._system,
            now=self._now(),
        )

    async def _commit(self, consumer: AIOKafkaConsumer, records: Sequence[RawKafkaRecord]) -> None:
        offsets: dict[TopicPartition, int] = {}
        for record in records:
            place = TopicPartition(record.topic, record.partition)
            offsets[place] = max(offsets.get(place, 0), record.offset + 1)
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # Another member has the partitions now: it meets these records again and finds their answers.
            _log.warning("commit_lost", cause=type(error).__name__)


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Ready once the group has been joined, with or without a partition of one's own."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def on_partitions_revoked(self, revoked: object) -> None: ...

    async def on_partitions_assigned(self, assigned: object) -> None:  # noqa: ARG002
        self._health.ready = True
