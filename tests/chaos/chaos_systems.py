"""Stand-ins for the four systems: each under its own principal and key, and each doing what the script says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID, uuid5

from chaos_script import LOCATING, NEEDED, Answering, Manner, Script, Twist
from chaos_wire import Voice

from habeas.contracts import Keyring, Message, Place
from habeas.contracts.catalogue import read, seal_personal, write
from habeas.contracts.cloudevents import CloudEvent, decode, encode
from habeas.contracts.result import Record, ResultPersonal, SummaryItem, TaskError, TaskFinished, TaskProgressed
from habeas.contracts.submission import Identity
from habeas.contracts.task import TaskAssigned, TaskCancelled
from habeas.contracts.topics import results, tasks

_DID: Final[Mapping[str, str]] = {
    "access": "disclosed",
    "export": "exported",
    "erase": "deleted",
    "restrict": "restricted",
    "object": "stopped",
}
_COPYING: Final = frozenset({"access", "export"})
_KEPT_UNTIL: Final = date(2035, 12, 31)


@dataclass
class Foreseen:
    """The ce_ids of what is wrong on purpose: each record of theirs must become a dead letter, and no other."""

    records: set[UUID] = field(default_factory=set)
    reasons: dict[UUID, str] = field(default_factory=dict)
    """Of those among them whose reason is certain."""
    rejected: set[UUID] = field(default_factory=set)
    """Those among them that a portal has to be told of."""
    failed_again: set[UUID] = field(default_factory=set)
    """Requests whose hopeless system has failed for the second time."""


@dataclass
class System:
    name: str
    keyring: Keyring = field(repr=False)
    speaker: Voice
    scripts: Mapping[UUID, Script] = field(repr=False)
    foreseen: Foreseen = field(repr=False)
    afterwards: float = 1.0
    """Seconds from the cancellation to the late answer of a system that was silent."""
    unknown: int = 0
    """Tasks for requests that nobody submitted."""
    _meeting: dict[UUID, asyncio.Task[None]] = field(default_factory=dict)
    _cancelled: dict[UUID, asyncio.Event] = field(default_factory=dict)
    _again: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async with self.speaker.hearing([tasks(self.name)], self.hear):
            try:
                yield
            finally:
                under_way = [*self._meeting.values(), *self._again]
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)
        await self.speaker.close()

    @property
    def troubles(self) -> list[BaseException]:
        """What the stand-in itself stumbled over."""
        ended = [task for task in self._meeting.values() if task.done() and not task.cancelled()]
        return [error for task in ended if (error := task.exception()) is not None]

    @property
    def busy(self) -> int:
        return sum(not task.done() for task in self._meeting.values())

    def hear(self, record: Any) -> None:
        event = decode(record.key, record.value, record.headers)
        if event.type == TaskCancelled.TYPE:
            self._until_cancelled(read(event, TaskCancelled).task_id).set()
        elif event.type == TaskAssigned.TYPE:
            self._meet(read(event, TaskAssigned))

    def _meet(self, task: TaskAssigned) -> None:
        script = self.scripts.get(task.request_id)
        if script is None:
            self.unknown += 1
            return
        before = self._meeting.get(task.task_id)
        if before is None:
            self._meeting[task.task_id] = asyncio.create_task(self._answer(script, task))
        elif before.done():  # told once more: the same answer once more
            again = asyncio.create_task(self._say(self._finished(script, task, "answer")))
            self._again.add(again)
            again.add_done_callback(self._again.discard)

    def _until_cancelled(self, task_id: UUID) -> asyncio.Event:
        return self._cancelled.setdefault(task_id, asyncio.Event())

    async def _answer(self, script: Script, task: TaskAssigned) -> None:
        answering = script.answers[self.name]
        if script.troubled == self.name and script.twist is Twist.WITHDRAWN:
            await self._until_cancelled(task.task_id).wait()
            await asyncio.sleep(self.afterwards)
        await asyncio.sleep(answering.delay)
        answer = self._finished(script, task, "answer")
        if _fails(script, self.name, task):
            if task.attempt > 1:
                self.foreseen.failed_again.add(task.request_id)
            await self._say(answer)
            return
        match answering.manner:
            case Manner.AT_ONCE | Manner.LATE:
                await self._say(answer)
            case Manner.TWICE:
                await self._say(answer)
                await self._say(self._finished(script, task, "again"))
            case Manner.OTHERWISE:
                await self._say(answer)
                await self._say(self._wrong(self._finished(script, task, "otherwise")))
            case Manner.RUBBISH:
                await self._garble(self._wrong(self._finished(script, task, "rubbish")))
                await self._say(answer)
            case Manner.PROGRESS:
                await self._say(self._working(task))
                await self._say(answer)
            case Manner.AFTERTHOUGHT:
                await self._say(answer)
                await self._say(self._working(task))

    def _wrong(self, event: CloudEvent) -> CloudEvent:
        self.foreseen.records.add(event.id)
        return event

    async def _say(self, event: CloudEvent) -> None:
        await self.speaker.say(results(self.name), event)

    async def _garble(self, event: CloudEvent) -> None:
        key, value, headers = encode(event)
        await self.speaker.send(results(self.name), key, value[: len(value) // 2], headers)

    def _finished(self, script: Script, task: TaskAssigned, which: str) -> CloudEvent:
        answering = script.answers[self.name]
        failed = _fails(script, self.name, task)
        outcome = "failed" if failed else answering.outcome
        if which == "otherwise":
            outcome = "refused" if outcome != "refused" else "nothing_held"
        locating = (script.right, self.name) in LOCATING
        told = outcome in {"completed", "partial"} and not locating
        place = Place(self.name, TaskFinished.TYPE, task.request_id, task.task_id)
        personal = ResultPersonal(
            records=_records(task, answering) if told and task.action in _COPYING else (),
            identities=self._found(script) if outcome in {"completed", "partial"} else (),
        )
        body = TaskFinished(
            task_id=task.task_id,
            request_id=task.request_id,
            system=self.name,
            outcome=outcome,
            summary=_summary(task, answering, outcome) if told else (),
            error=TaskError(code="handler_failed", retryable=True) if failed else None,
            personal=seal_personal(self.keyring, place, personal),
        )
        return self._event(body, task, which)

    def _found(self, script: Script) -> tuple[Identity, ...]:
        if self.name != "billing":
            return ()
        value = script.request_id.hex
        return tuple(
            Identity(identity_type=kind, identity_value=f"{kind}-{value}")
            for kind in NEEDED.values()
            if kind in script.found
        )

    def _working(self, task: TaskAssigned) -> CloudEvent:
        body = TaskProgressed(task_id=task.task_id, request_id=task.request_id, state="working")
        return self._event(body, task, "working")

    def _event(self, body: Message, task: TaskAssigned, which: str) -> CloudEvent:
        return write(
            body,
            subject=task.request_id,
            source=f"systems/{self.name}",
            now=datetime.now(UTC),
            new_id=lambda: uuid5(task.task_id, which),
        )


def _fails(script: Script, system: str, task: TaskAssigned) -> bool:
    return script.is_retried and script.troubled == system and (task.attempt == 1 or script.twist is Twist.HOPELESS)


def _summary(task: TaskAssigned, answering: Answering, outcome: str) -> tuple[SummaryItem, ...]:
    done = SummaryItem(category=task.scope[0].category, did=_DID[str(task.action)], count=answering.records)
    if outcome != "partial":
        return (done,)
    if task.action == "erase":
        kept = SummaryItem(
            category=task.scope[-1].category, did="retained", count=1, ground="accounting_records", until=_KEPT_UNTIL
        )
        return done, kept
    return (done,)


def _records(task: TaskAssigned, answering: Answering) -> tuple[Record, ...]:
    return tuple(
        Record(
            id=f"{task.task_id}/{number}",
            category=task.scope[0].category,
            origin="provided",
            data={"line": f"record {number} of {task.request_id}"},
        )
        for number in range(answering.records)
    )
