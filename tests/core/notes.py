"""The smallest service: every note it reads is a row, and every new row is said once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID, uuid4

from habeas.contracts.base import Message, PersonalModel, Sealed
from shared.database import Pool
from shared.messaging.consumer import Route
from shared.messaging.outbox import Outbox
from shared.messaging.received import Received
from shared.messaging.work import Work
from tests.core.workbench import Keys, Raw, event, raw

TABLE = "CREATE TABLE notes (request_id uuid PRIMARY KEY, number integer NOT NULL, settled integer NOT NULL DEFAULT 0)"


class Note(Message):
    TYPE: ClassVar[str] = "dsr.test.note.v1"

    request_id: UUID
    number: int


class Noted(Note):
    TYPE: ClassVar[str] = "dsr.test.noted.v1"


class SecretPersonal(PersonalModel):
    words: str


class SecretNote(Message):
    TYPE: ClassVar[str] = "dsr.test.secret.v1"
    PERSONAL: ClassVar[type[PersonalModel] | None] = SecretPersonal

    request_id: UUID
    personal: Sealed


async def _nothing(_numbers: Sequence[int]) -> None:
    pass


@dataclass
class Notes:
    read: str
    written: str
    before: Callable[[Sequence[int]], Awaitable[None]] = _nothing
    """What a test wants to happen in the transaction, before anything is written."""
    batches: list[list[int]] = field(default_factory=list)
    """The numbers of each batch that was tried."""
    secrets: list[str] = field(default_factory=list)
    refused: list[Any] = field(default_factory=list)

    @property
    def routes(self) -> tuple[Route, ...]:
        return Route((self.read,), Note, self.note), Route((self.read,), SecretNote, self.hear)

    async def note(self, batch: Sequence[Received[Note, None]], work: Work) -> None:
        numbers = [received.body.number for received in batch]
        self.batches.append(numbers)
        await self.before(numbers)
        rows = await work.connection.fetch(
            """
            INSERT INTO notes (request_id, number) SELECT * FROM unnest($1::uuid[], $2::int[])
            ON CONFLICT DO NOTHING RETURNING request_id, number
            """,
            [received.request_id for received in batch],
            numbers,
        )
        for row in rows:
            work.send(self.written, Noted(**row), subject=row["request_id"])
            work.touched.add(row["request_id"])

    async def hear(self, batch: Sequence[Received[SecretNote, SecretPersonal]], _work: Work) -> None:
        self.secrets.extend(received.personal.words for received in batch)

    async def settle(self, work: Work) -> None:
        await work.connection.execute(
            "UPDATE notes SET settled = settled + 1 WHERE request_id = ANY($1::uuid[])", list(work.touched)
        )

    @staticmethod
    def number_of(value: bytes) -> int:
        return Noted.model_validate_json(value).number

    def records(self, numbers: Sequence[int]) -> list[Raw]:
        return [self.record(number) for number in numbers]

    def record(self, number: int, request_id: UUID | None = None) -> Raw:
        return raw(self.read, event(Note(request_id=request_id or uuid4(), number=number)))

    def secret(self, keys: Keys, words: str) -> Raw:
        request_id = uuid4()
        sealed = keys.seal("services", SecretNote, request_id, SecretPersonal(words=words))
        return raw(self.read, event(SecretNote(request_id=request_id, personal=sealed)))


async def noted(pool: Pool) -> list[int]:
    return sorted(row["number"] for row in await pool.fetch("SELECT number FROM notes WHERE settled = 1"))


async def waiting(pool: Pool, outbox: Outbox | None = None) -> int:
    """Records that are still owed to Kafka; given the outbox, without those that it would take away in a moment."""
    if outbox is not None:
        await outbox.tidy()
    return int(await pool.fetchval("SELECT coalesce(sum(count), 0) FROM outbox"))


class Gate:
    """Lets a test stop a handler at a known place."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, _numbers: Sequence[int]) -> None:
        self.reached.set()
        await self.open.wait()
