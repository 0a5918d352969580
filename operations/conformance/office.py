"""The services' side of one system: writes its tasks, reads its answers and dead letters, and forgets nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from habeas.contracts import topics
from habeas.contracts.catalogue import read, read_personal, write
from habeas.contracts.cloudevents import CloudEvent, decode, encode
from habeas.contracts.dead_letter import DeadLetter, RawRecord
from habeas.contracts.errors import ContractError
from habeas.contracts.result import ResultPersonal, TaskFinished, TaskProgressed
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.task import TaskAssigned, TaskCancelled, TaskReminded
from operations.conformance.check import ContractBrokenError, broken_if
from operations.errors import OperationsError, UsageError

Body = TaskAssigned | TaskReminded | TaskCancelled
Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Raw:
    """A record's parts as Kafka has them."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, opened."""

    record: Any
    """aiokafka's ConsumerRecord."""
    event: CloudEvent
    body: TaskFinished
    personal: ResultPersonal

    @property
    def outcome(self) -> str:
        return str(self.body.outcome)

    @property
    def identities(self) -> set[tuple[str, str]]:
        return {(found.identity_type, found.identity_value) for found in self.personal.identities}

    def content(self) -> tuple[object, ...]:
        """What it says, however it is sealed and spelled."""
        return self.body.model_dump(exclude={"personal"}), self.personal.model_dump()


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, opened."""

    body: DeadLetter
    record: RawRecord


class Office:
    """`async with Office(system, keyring, kafka, others) as office:`; reads from then on.

    `others` are the systems on whose topics nothing of this one may come to stand.
    """

    def __init__(self, system: str, keyring: Keyring, kafka: Mapping[str, Any], others: Sequence[str] = ()) -> None:
        self.system = system
        self.keyring = keyring
        self.requests: set[UUID] = set()
        """Every request that was asked about."""
        self.results: list[Any] = []
        self.letters: list[Any] = []
        self.elsewhere: list[Any] = []
        """Records on the topics of `others`, whoever wrote them."""
        self._kafka = dict(kafka)
        self._others = others
        self._by_task: dict[UUID, list[Any]] = defaultdict(list)
        self._news = asyncio.Condition()
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        own = [topics.tasks(self.system), topics.results(self.system), topics.dead_letters(self.system)]
        strange = [name for other in self._others for name in (topics.results(other), topics.dead_letters(other))]
        self._producer = AIOKafkaProducer(**self._kafka, enable_idempotence=True, max_request_size=2_097_152)
        self._consumer = AIOKafkaConsumer(
            *own[1:],
            *strange,
            **self._kafka,
            group_id=None,
            auto_offset_reset="latest",
            max_partition_fetch_bytes=2 * topics.DEAD_LETTER_LIMIT,
            fetch_max_wait_ms=100,
        )
        try:
            await self._producer.start()
            await self._consumer.start()
            await self._see_topics(own)
            for place in self._consumer.assignment():
                await self._consumer.position(place)
        except KafkaError as error:
            await self._close()
            raise OperationsError(f"Kafka cannot be used: {type(error).__name__}. Is the stack up?") from None
        except BaseException:
            await self._close()
            raise
        self._reading = asyncio.create_task(self._read(), name="read answers")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        await self._close()

    async def _see_topics(self, names: Sequence[str]) -> None:
        existing = await self._consumer.topics()
        if missing := [name for name in names if name not in existing]:
            raise UsageError(
                f"There is no topic {missing[0]}, or this principal may not see it. Add [systems.{self.system}] to "
                "the registry, and start the local stack with it (`habeas up --registry FILE`)."
            )

    async def _close(self) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    async def _read(self) -> None:
        own = {topics.results(self.system): self.results, topics.dead_letters(self.system): self.letters}
        try:
            async for record in self._consumer:
                async with self._news:
                    own.get(record.topic, self.elsewhere).append(record)
                    task_id = _task_id(record.value)
                    if record.topic == topics.results(self.system) and task_id and not _is_progress(record):
                        self._by_task[task_id].append(record)
                    self._news.notify_all()
        except Exception as error:
            async with self._news:
                self._error = error
                self._news.notify_all()

    # Asking

    def event(self, body: Body) -> CloudEvent:
        return write(body, subject=body.request_id, source="habeas/fanout", now=datetime.now(UTC))

    def raw(self, body: Body) -> Raw:
        return Raw(*encode(self.event(body)))

    async def send(self, *bodies: Body) -> None:
        sent = [await self._put(self.raw(body), None) for body in bodies]
        for body in bodies:
            self.requests.add(body.request_id)
        await asyncio.gather(*sent)

    async def send_raw(self, raw: Raw, partition: int = 0) -> int:
        """Write a record as it is; returns its offset."""
        return int((await (await self._put(raw, partition))).offset)

    async def _put(self, raw: Raw, partition: int | None) -> Any:
        return await self._producer.send(
            topics.tasks(self.system), key=raw.key, value=raw.value, headers=list(raw.headers), partition=partition
        )

    # Hearing

    def count(self, task_id: UUID) -> int:
        """How many answers to this task have come so far."""
        return len(self._by_task[task_id])

    async def answers(self, task_id: UUID, count: int, patience: float) -> list[Said]:
        """All answers to a task as soon as there are `count`. Raises ContractBrokenError when they do not come."""
        await self._until(
            lambda: len(self._by_task[task_id]) >= count,
            patience,
            "no answer came" if count == 1 else "no answer came when it was asked again",
        )
        return [self.opened(record) for record in self._by_task[task_id]]

    async def anything(self, patience: float) -> None:
        """Wait for one more answer to whatever task."""
        before = len(self.results)
        await self._until(lambda: len(self.results) > before, patience, "no answer came")

    async def letter(self, partition: int, offset: int, patience: float) -> Letter:
        """The dead letter of a task record. Raises ContractBrokenError when it does not come or cannot be read."""
        found: list[Letter] = []

        def come() -> bool:
            for record in self.letters:
                letter = _letter(record, self.system, self.keyring)
                if (letter.body.topic, letter.body.partition, letter.body.offset) == (where, partition, offset):
                    found.append(letter)
            return bool(found)

        where = topics.tasks(self.system)
        await self._until(come, patience, f"no dead letter came on {topics.dead_letters(self.system)}")
        return found[0]

    async def _until(self, come: Callable[[], bool], patience: float, otherwise: str) -> None:
        try:
            async with asyncio.timeout(patience), self._news:
                while not come():
                    if self._error is not None:
                        raise OperationsError(f"Kafka cannot be read: {type(self._error).__name__}.")
                    await self._news.wait()
        except TimeoutError:
            raise ContractBrokenError(f"{otherwise} within {patience:g} s") from None

    def opened(self, record: Any) -> Said:
        """An answer, read as the collector reads it. Raises ContractBrokenError with what is wrong."""
        try:
            event = decode(record.key, record.value, record.headers)
            broken_if(event.type != TaskFinished.TYPE, f"an answer has the type `{event.type}`")
            body = read(event, TaskFinished)
            place = Place(self.system, event.type, body.request_id, body.task_id)
            return Said(record, event, body, read_personal(self.keyring, place, body.personal, ResultPersonal))
        except ContractError as error:
            raise ContractBrokenError(
                f"an answer breaks the contract: {error.reason} {error.pointer}".strip()
            ) from None


def _letter(record: Any, system: str, keyring: Keyring) -> Letter:
    try:
        event = decode(record.key, record.value, record.headers, limit=topics.DEAD_LETTER_LIMIT)
        body = read(event, DeadLetter)
        place = Place(system, DeadLetter.TYPE, body.dead_letter_id)
        return Letter(body, read_personal(keyring, place, body.personal, RawRecord))
    except ContractError as error:
        raise ContractBrokenError(f"a dead letter breaks the contract: {error.reason} {error.pointer}") from None


def _is_progress(record: Any) -> bool:
    return dict(record.headers).get("ce_type") == TaskProgressed.TYPE.encode()


def _task_id(value: bytes | None) -> UUID | None:
    try:
        return UUID(orjson.loads(value or b"")["task_id"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
