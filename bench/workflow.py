"""The workflow in one process, without Kafka: what a service says is handed to those that read it.

All systems answer together, and all mails are taken as sent.
"""

import cProfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson

from bench.load import PORTAL, Kind, submissions_of
from bench.offline import WithoutKafka
from bench.pipe import StalledError
from bench.systems import System
from habeas.contracts import KeyFile
from habeas.contracts.catalogue import write
from habeas.contracts.topics import OUTCOMES, PROGRESS, results, sender, status, submissions, tasks
from habeas.contracts.vocabulary import Right
from services.collector.assembler import Assembler
from shared.events import DeliveryResult, NoticeDelivered, Recipient
from shared.messaging.consumer import Consumer
from shared.messaging.outbox import Outgoing
from shared.objects import open_store
from shared.registry import Registry

STORE: Final = "memory:///"
ASSEMBLING: Final = "assembling"

_BATCH: Final = 500
_TURNS: Final = 50
"""Over all services, after which what is not closed never will be."""


class _Record(NamedTuple):
    """As it comes from Kafka."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    offset: int = 0
    partition: int = 0
    timestamp: int = 0


@dataclass
class Service:
    name: str
    consumer: Consumer
    outbox: WithoutKafka
    waiting: list[_Record] = field(default_factory=list)
    batches: int = 0
    said: int = 0
    bytes_said: int = 0


class Workflow:
    """The services in this process, and what goes from one to the other."""

    def __init__(
        self, services: Mapping[str, Service], keys: KeyFile, registry: Registry, profiled: str | None
    ) -> None:
        self.services = services
        self.cpu = dict.fromkeys((*services, ASSEMBLING), 0.0)
        """Seconds."""
        self.profile: cProfile.Profile | None = None
        self._profiled = profiled
        self._keyring = keys.keyring()
        systems = {name: System(name, self._keyring) for name in registry.systems}
        self._tasks = {tasks(name): system for name, system in systems.items()}
        self._headers = {name: system.headers(datetime.now(UTC)) for name, system in systems.items()}
        self._assembler = Assembler(registry, open_store(STORE))
        self._closed: set[bytes] = set()

    async def carry(self, kind: Kind, requests: int) -> None:
        """From submissions to `closed`. Raises `StalledError`."""
        batch = submissions_of(kind, requests, self._keyring)
        intake = self.services["intake"]
        intake.waiting += [_Record(submissions(PORTAL), each.key, each.value, each.headers) for each in batch]
        self._closed.clear()
        for _ in range(_TURNS):
            for service in self.services.values():
                await self._handle(service)
            if kind.right is Right.ACCESS:
                await self._assemble(self.services["collector"])
            if len(self._closed) == requests and not any(each.waiting for each in self.services.values()):
                return
        raise StalledError(f"{requests - len(self._closed)} of {requests} requests were never closed")

    async def _handle(self, service: Service) -> None:
        waiting, service.waiting = service.waiting, []
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            service.batches += 1
            with self._spent(service.name):
                await service.consumer.handle(batch)
        self._deliver(service)

    async def _assemble(self, service: Service) -> None:
        with self._spent(ASSEMBLING):
            while await self._assembler.assemble(service.consumer):
                pass
        self._deliver(service)

    def _deliver(self, service: Service) -> None:
        said, service.outbox.taken = service.outbox.taken, []
        service.said += len(said)
        service.bytes_said += sum(len(each.value or b"") for each in said)
        for each in said:
            for record in self._follows(each):
                for reader in self.services.values():
                    if record.topic in reader.consumer.topics:
                        reader.waiting.append(record)

    def _follows(self, said: Outgoing) -> Iterable[_Record]:
        """What others read: the record itself, a system's answer to it, or that a mail was accepted."""
        key = str(said.key).encode()
        if said.topic in self._tasks:
            system = sender(said.topic) or ""
            answer = self._tasks[said.topic].answer(said.value or b"")
            yield _Record(results(system), key, answer, self._headers[system](key))
        elif said.topic == OUTCOMES:
            asked = orjson.loads(said.value or b"")
            now = datetime.now(UTC)
            body = NoticeDelivered(
                request_id=said.key,
                notice=asked["notice"],
                recipient=Recipient(asked["recipient"]),
                ordinal=asked["ordinal"],
                result=DeliveryResult.ACCEPTED,
                at=now,
            )
            sent = Outgoing.of(PROGRESS, write(body, subject=said.key, source="habeas/notifier", now=now))
            yield _Record(PROGRESS, key, sent.value, sent.headers)
        else:
            if said.topic == status(PORTAL) and orjson.loads(said.value or b"")["state"] == "closed":
                self._closed.add(key)
            yield _Record(said.topic, key, said.value, said.headers)

    @contextmanager
    def _spent(self, name: str) -> Iterator[None]:
        """CPU time of this process in the block goes to `name`'s account."""
        profile = self.profile if name == self._profiled else None
        if profile is not None:
            profile.enable()
        began = time.process_time()
        try:
            yield
        finally:
            self.cpu[name] += time.process_time() - began
            if profile is not None:
                profile.disable()
