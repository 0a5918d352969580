"""Brings tasks to one of the systems without Kafka; its functions, its store and the library's desk are real."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from habeas.contracts.catalogue import read, seal_personal
from habeas.contracts.result import ResultPersonal, TaskFinished
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.submission import Correction, Period
from habeas.contracts.task import ScopeItem, TaskAssigned, TaskCancelled, TaskDetails
from habeas.participant import Participant
from habeas.participant.desk import Desk
from tests.participant.tasks import a_keyring, opened, personal_in, personal_of, task_for

_REGISTRY = tomllib.loads((Path(__file__).resolve().parents[2] / "registry" / "ale.toml").read_text())


def scope_of(system: str, *categories: str, purposes: Sequence[str] | None = None) -> tuple[ScopeItem, ...]:
    """The registry's categories of a system, or these alone; with all their purposes, or those among `purposes`."""
    return tuple(
        ScopeItem(
            category=found["name"],
            purposes=tuple(each for each in found["purposes"] if purposes is None or each in purposes),
            basis=found["basis"],
            instruction=found["at_erasure"]["instruction"],
        )
        for found in _REGISTRY["systems"][system]["categories"]
        if not categories or found["name"] in categories
    )


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

    @property
    def code(self) -> str | None:
        """Why the task ended without having been done."""
        return self.body.error.code if self.body.error else None

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

    async def ask(
        self,
        action: str,
        *identities: tuple[str, str],
        request_id: UUID | None = None,
        task_id: UUID | None = None,
        attempt: int = 1,
        right: str | None = None,
        scope: Sequence[ScopeItem] | None = None,
        period: Period | None = None,
        due_at: datetime | None = None,
        corrections: Sequence[Correction] = (),
    ) -> Reply:
        """Without `scope`, all that the registry says the system holds."""
        assert self._desk is not None
        name = self.participant.name
        request_id, task_id = request_id or uuid4(), task_id or uuid4()
        personal = personal_of(*identities).model_copy(
            update={"details": TaskDetails(corrections=tuple(corrections))},
        )
        changes = {"right": right, "due_at": due_at, "period": period}
        task = task_for(
            name,
            self.keyring,
            action,
            request_id=request_id,
            task_id=task_id,
            attempt=attempt,
            scope=scope_of(name) if scope is None else tuple(scope),
            personal=seal_personal(self.keyring, Place(name, TaskAssigned.TYPE, request_id, task_id), personal),
            **{key: value for key, value in changes.items() if value is not None},
        )
        finished = await self._desk.work([opened(task, self.keyring)], (), self.keyring)
        assert finished.stopped is None
        body = read(finished.answers[0], TaskFinished)
        return Reply(body, personal_in(body, self.keyring))

    async def cancel(self, reply: Reply) -> None:
        """The task that got this answer."""
        assert self._desk is not None
        cancelled = TaskCancelled(task_id=reply.body.task_id, request_id=reply.body.request_id, reason="request_ended")
        assert (await self._desk.work((), [cancelled], self.keyring)).stopped is None


def occurrences(folder: Path, text: str) -> dict[str, int]:
    """How often `text` stands in the bytes of which file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (count := path.read_bytes().count(text.encode())):
            found[path.name] = count
    return found
