"""What the tests of the core and of the services are made with: records as Kafka gives them, and a real outbox whose
records go to topics of the tests' own, so that no running service ever sees them."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from habeas.contracts import CloudEvent, KeyFile, Message, PersonalModel, Place
from habeas.contracts.catalogue import read, read_personal, seal_personal, write
from habeas.contracts.cloudevents import decode, encode
from habeas.contracts.dead_letter import DeadLetter, RawRecord
from habeas.contracts.sealing import new_key
from habeas.contracts.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS
from shared.database import Connection, Pool
from shared.messaging.outbox import Outbox, Outgoing, Repair, nothing_to_repair
from shared.registry import load_registry

ROOT = Path(__file__).parents[2]
REGISTRY = load_registry(ROOT / "registry" / "ale.toml")
NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
PARTICIPANTS = (*REGISTRY.participants, "services", "operators")

Body = TypeVar("Body", bound=Message)
_offsets = itertools.count(1)


@dataclass(frozen=True)
class Raw:
    """A record as aiokafka gives it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    partition: int = 0
    offset: int = field(default_factory=lambda: next(_offsets))
    timestamp: int = int(NOW.timestamp() * 1000)

    def again(self) -> "Raw":
        """The same content, published once more."""
        return replace(self, offset=next(_offsets))


def raw(topic: str, event: CloudEvent) -> Raw:
    key, value, headers = encode(event)
    return Raw(topic, key, value, headers)


@dataclass
class Clock:
    """Stands still until it is told otherwise."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass(frozen=True)
class Keys:
    """A key file that holds everybody's keys."""

    path: Path

    @classmethod
    def new(cls, folder: Path, participants: Sequence[str] = PARTICIPANTS) -> "Keys":
        made = cls(folder / "keys.json")
        made.write([new_key(name) for name in participants])
        return made

    def write(self, keys: Sequence[dict[str, Any]]) -> None:
        """By renaming, as an operator does."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"keys": list(keys)}))
        new.replace(self.path)

    def add(self, key: dict[str, Any]) -> None:
        self.write([*json.loads(self.path.read_text())["keys"], key])

    @property
    def file(self) -> KeyFile:
        return KeyFile(self.path)

    def seal(
        self,
        participant: str,
        model: type[Message],
        subject: UUID,
        personal: PersonalModel,
        task_id: UUID | None = None,
    ) -> str:
        return seal_personal(self.file.keyring(), Place(participant, model.TYPE, subject, task_id), personal)

    def open(self, said: "Said", participant: str = "services") -> Any:
        """The personal part of what was said."""
        model = said.model.PERSONAL
        assert model is not None
        place = Place(participant, said.model.TYPE, said.body_key, getattr(said.body, "task_id", None))
        return read_personal(self.file.keyring(), place, said.body.personal, model)


@dataclass(frozen=True)
class Said:
    """One event that left through the outbox."""

    topic: str
    event: CloudEvent
    model: type[Message]
    body: Any

    @property
    def body_key(self) -> UUID:
        return self.event.subject


class PrivateOutbox(Outbox):
    """The real outbox on real Kafka and PostgreSQL; topics are renamed on the way in, and what was sent is noted."""

    def __init__(
        self,
        pool: Pool,
        client: dict[str, Any],
        rename: Callable[[str], str],
        repair: Repair = nothing_to_repair,
        **options: Any,
    ) -> None:
        super().__init__(pool, client, repair, **options)
        self._rename = rename
        self.sent: list[Outgoing] = []

    async def write(self, connection: Connection, records: Sequence[Outgoing]) -> None:
        renamed = [replace(record, topic=self._rename(record.topic)) for record in records]
        await super().write(connection, renamed)
        for record, written in zip(records, renamed, strict=True):
            record.row = written.row

    async def publish(self, records: Sequence[Outgoing]) -> None:
        await super().publish([replace(record, topic=self._rename(record.topic)) for record in records])
        self.sent.extend(records)

    def take(self) -> list[Outgoing]:
        """What was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent

    def said(self, model: type[Message]) -> list[Said]:
        """The bodies of one type among what was sent and not taken."""
        return [said(record, model) for record in self.sent if ce_type(record) == model.TYPE]

    def dead_letters(self) -> list[DeadLetter]:
        return [each.body for each in self.said(DeadLetter)]


def ce_type(record: Outgoing) -> str:
    return dict(record.headers)["ce_type"].decode()


def said(record: Outgoing, model: type[Message]) -> Said:
    limit = DEAD_LETTER_LIMIT if record.topic == DEAD_LETTERS else 1_048_576
    event = decode(str(record.key).encode(), record.value, record.headers, limit)
    return Said(record.topic, event, model, read(event, model))


def as_raw(record: Outgoing) -> Raw:
    """What was sent, as its readers get it."""
    return Raw(record.topic, str(record.key).encode(), record.value, record.headers)


def event(body: Message, *, source: str = "tests", now: datetime = NOW, ce_id: UUID | None = None) -> CloudEvent:
    return write(body, subject=getattr(body, body.KEY), source=source, now=now, new_id=lambda: ce_id or uuid4())


def buried(keys: Keys, letter: DeadLetter) -> RawRecord:
    """The record that a dead letter carries."""
    place = Place("operators", DeadLetter.TYPE, letter.dead_letter_id)
    return read_personal(keys.file.keyring(), place, letter.personal, RawRecord)
