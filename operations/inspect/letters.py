"""Dead letters: found, opened and replayed.

What was replayed is noted beside them, in their own topic, as `dsr.dead-letter.replayed.v1`: whoever comes next sees
it, and it is forgotten with the letter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import Field

from habeas.contracts.base import ByteCount, Count, Id, Message, Timestamp
from habeas.contracts.catalogue import read, read_personal, write
from habeas.contracts.cloudevents import CloudEvent, decode
from habeas.contracts.dead_letter import DeadLetter, RawRecord
from habeas.contracts.errors import ContractError, HabeasError, Reason
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS, dead_letters, tasks
from operations.errors import OperationsError
from operations.inspect.kafka import bounds, records_between
from operations.topology import OPERATORS

Telling = Callable[[int, int], None]
"""Is told how many records were read, and of how many."""

ACCOUNT = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class Replayed(Message):
    """A dead letter's record was published again."""

    TYPE: ClassVar[str] = "dsr.dead-letter.replayed.v1"
    KEY: ClassVar[str] = "dead_letter_id"

    dead_letter_id: Id
    replayed_at: Timestamp
    by: Annotated[str, Field(pattern=ACCOUNT)]
    topic: str
    """Where it went, and where it stands there."""
    partition: Count
    offset: ByteCount


class UnreplayableError(OperationsError):
    """A dead letter whose record cannot or must not be published again."""


@dataclass(frozen=True, slots=True)
class Pile:
    """The services' dead letters, or a system's own."""

    system: str | None = None

    @property
    def topic(self) -> str:
        return dead_letters(self.system) if self.system else DEAD_LETTERS

    @property
    def reader(self) -> str:
        """Under whose key they are sealed."""
        return self.system or OPERATORS


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter without its record: that may be large, and is fetched when it is wanted."""

    body: DeadLetter = field(repr=False)
    at: TopicPartition
    offset: int
    replayed: Replayed | None = None

    @property
    def id(self) -> UUID:
        return self.body.dead_letter_id


@dataclass(frozen=True, slots=True)
class Search:
    """Which dead letters. `since` is compared with when they were refused."""

    ids: frozenset[UUID] = frozenset()
    reason: str | None = None
    since: datetime | None = None

    def takes(self, body: DeadLetter) -> bool:
        return (
            (not self.ids or body.dead_letter_id in self.ids)
            and self.reason in (None, str(body.reason))
            and (self.since is None or body.refused_at >= self.since)
        )


@dataclass(slots=True)
class Found:
    letters: list[Letter]
    """By the time they were refused."""
    strange: int = 0
    """Records of the topic that are no dead letters."""


async def find_letters(
    consumer: AIOKafkaConsumer, search: Search, written_since: datetime | None, progress: Telling
) -> Found:
    """Those that are there now. `written_since` spares reading what Kafka has from before."""
    start, end = await bounds(consumer, written_since)
    total = sum(end[each] - start[each] for each in start)
    letters: dict[UUID, Letter] = {}
    replays: dict[UUID, Replayed] = {}
    strange = done = 0
    async for record in records_between(consumer, start, end):
        done += 1
        progress(done, total)
        try:
            body = _read(record)
        except ContractError:
            strange += 1
            continue
        if isinstance(body, Replayed):
            replays[body.dead_letter_id] = body
        elif search.takes(body):
            place = TopicPartition(record.topic, record.partition)
            # The sealed record is dropped: ten thousand of them would not fit into memory.
            letters[body.dead_letter_id] = Letter(body.model_copy(update={"personal": ""}), place, record.offset)
    found = [
        Letter(each.body, each.at, each.offset, replays.get(each.id))
        for each in sorted(letters.values(), key=lambda letter: (letter.body.refused_at, letter.id))
    ]
    return Found(found, strange)


async def whole_letters(
    consumer: AIOKafkaConsumer, letters: Collection[Letter]
) -> AsyncIterator[tuple[Letter, DeadLetter]]:
    """Each of these with its sealed record, read again."""
    wanted = {(each.at, each.offset): each for each in letters}
    start: dict[TopicPartition, int] = {}
    end: dict[TopicPartition, int] = {}
    for at, offset in wanted:
        start[at] = min(start.get(at, offset), offset)
        end[at] = max(end.get(at, 0), offset + 1)
    async for record in records_between(consumer, start, end):
        letter = wanted.get((TopicPartition(record.topic, record.partition), record.offset))
        if letter is not None:
            yield letter, read(_event(record), DeadLetter)


def opened(body: DeadLetter, pile: Pile, keyring: Keyring) -> RawRecord:
    """The refused record. Raises OperationsError where this key file does not open it."""
    try:
        return read_personal(
            keyring, Place(pile.reader, DeadLetter.TYPE, body.dead_letter_id), body.personal, RawRecord
        )
    except HabeasError as error:
        raise OperationsError(
            f"The record of {body.dead_letter_id} cannot be opened ({error}): HABEAS_KEYS has to hold the key of "
            f"{pile.reader} that sealed it."
        ) from None


def restored(
    body: DeadLetter, record: RawRecord, pile: Pile
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    """Key, value and headers to publish again. Raises UnreplayableError."""
    topic = body.topic
    # Whoever writes a system's dead letters is that system: its word may not send us to anybody else's topic.
    allowed = topic == tasks(pile.system) if pile.system else topic.startswith("dsr.") and "dead-letters" not in topic
    if not allowed:
        raise UnreplayableError(
            f"{body.dead_letter_id} names {topic}, where a dead letter of {pile.topic} cannot be from."
        )
    key, value, headers = record.restored()
    if (value is None and body.bytes) or (not headers and "headers were too many" in body.detail):
        raise UnreplayableError(
            f"{body.dead_letter_id} did not keep its record whole ({body.detail}): have its sender send it again."
        )
    return key, value, headers


def mark(letter: Letter, sent: Any, by: str, now: datetime) -> CloudEvent:
    """The note that a letter's record was published again, where Kafka put it."""
    body = Replayed(
        dead_letter_id=letter.id, replayed_at=now, by=by, topic=sent.topic, partition=sent.partition, offset=sent.offset
    )
    return write(body, subject=letter.id, source=f"habeas/{OPERATORS}", now=now)


def _read(record: Any) -> DeadLetter | Replayed:
    event = _event(record)
    match event.type:
        case DeadLetter.TYPE:
            return read(event, DeadLetter)
        case Replayed.TYPE:
            return read(event, Replayed)
    raise ContractError(Reason.TYPE_UNEXPECTED, "ce_type", "stands on no topic of dead letters")


def _event(record: Any) -> CloudEvent:
    return decode(record.key, record.value, record.headers, limit=DEAD_LETTER_LIMIT)
