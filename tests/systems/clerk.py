"""Brings tasks to one of the systems without Kafka; its functions, its store and the library's desk are real."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from habeas.contracts.catalogue import read
from habeas.contracts.result import ResultPersonal, TaskFinished
from habeas.contracts.sealing import Keyring
from habeas.participant import Participant
from habeas.participant.desk import Desk
from tests.participant.tasks import a_keyring, opened, personal_in, task_for


@dataclass(frozen=True)
class Reply:
    body: TaskFinished
    personal: ResultPersonal

    @property
    def did(self) -> dict[tuple[str, str], int]:
        """Counts by category and what was done."""
        counts: dict[tuple[str, str], int] = {}
        for item in self.body.summary:
            key = (item.category, str(item.did))
            counts[key] = counts.get(key, 0) + item.count
        return counts

    @property
    def identities(self) -> list[tuple[str, str]]:
        return [(found.identity_type, found.identity_value) for found in self.personal.identities]

    def data(self, category: str) -> list[dict[str, Any]]:
        return [record.data for record in self.personal.records if record.category == category]


@dataclass
class Clerk:
    participant: Participant[Any]
    keyring: Keyring = field(init=False)
    _desk: Desk[Any] | None = None

    def __post_init__(self) -> None:
        self.keyring = a_keyring(self.participant.name)

    async def start(self) -> None:
        """As the process's start; again, as its restart."""
        await self.stop()
        self._desk = self.participant.desk()
        await self._desk.store.open()
        await self._desk.tidy()

    async def stop(self) -> None:
        if self._desk is not None:
            await self._desk.store.close()
            self._desk = None

    async def ask(self, action: str, *identities: tuple[str, str], request_id: UUID | None = None) -> Reply:
        assert self._desk is not None
        task = task_for(self.participant.name, self.keyring, action, *identities, request_id=request_id)
        finished = await self._desk.work([opened(task, self.keyring)], (), self.keyring)
        assert finished.stopped is None
        body = read(finished.answers[0], TaskFinished)
        return Reply(body, personal_in(body, self.keyring))


def occurrences(folder: Path, text: str) -> dict[str, int]:
    """How often `text` stands in the bytes of which file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (count := path.read_bytes().count(text.encode())):
            found[path.name] = count
    return found
