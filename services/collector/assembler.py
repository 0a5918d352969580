"""Putting answers together: a worker beside the consumer, so that a slow object store holds up no other request.

One transaction a batch of answers: the queue's rows are locked, the objects put, the answers recorded, and only then
the cases locked and settled: a store that takes its time holds up nobody else's case. A crash on the way frees the rows
at once and leaves at most objects that nothing refers to and nothing can open, since their keys died with the process.
Every attempt puts a new object: a process that was away and comes back cannot write over the one that counts.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from obstore.store import ObjectStore

from habeas.contracts import Place
from habeas.contracts.artifacts import new_artifact_key, seal_artifact
from habeas.contracts.randomness import random_id
from habeas.contracts.result import TaskFinished
from habeas.contracts.vocabulary import SystemState
from services.collector import store
from services.collector.answer import AnswerFacts, AnswerWriter, Contribution, held
from services.collector.answer.writer import MEDIA_TYPE
from services.collector.case import Case
from services.collector.letters import opened_personal, seal_answer
from services.collector.store import Records
from shared import people
from shared.events import AnswerObject, Audience
from shared.messaging.consumer import Consumer, is_transient
from shared.messaging.work import Work
from shared.registry import Registry

_log = structlog.get_logger(__name__)

_BATCH: Final = 100
"""Answers of one transaction."""
_AT_ONCE: Final = 20
"""Answers whose records and objects are in memory together: up to 900 kB a system and answer."""
_POLL_SECONDS: Final = 1.0
_REST_AFTER_TROUBLE: Final = 5.0
_PUT_SECONDS: Final = 15.0
_POSTPONED: Final = timedelta(seconds=30)
"""Until an answer that could not be made, or put into the store, is tried again."""


class Assembler:
    def __init__(self, registry: Registry, objects: ObjectStore) -> None:
        self._writer = AnswerWriter(registry)
        self._valid = timedelta(days=registry.answer_days_valid)
        self._objects = objects
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """There is something to assemble: call it after the commit."""
        self._awake.set()

    @asynccontextmanager
    async def running(self, consumer: Consumer) -> AsyncIterator[None]:
        """Works as long as the context lasts; what is not done then, the next process does."""
        task = asyncio.create_task(self._run(consumer), name="assembler")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, consumer: Consumer) -> None:
        while True:
            self._awake.clear()
            try:
                while await self.assemble(consumer) == _BATCH:
                    pass
            except Exception as error:
                # Whatever it is (store away, database away, one answer that cannot be made), the queue outlives it.
                _log.error("assembling_failed", transient=is_transient(error), exc_info=error)
                await asyncio.sleep(_REST_AFTER_TROUBLE)
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._awake.wait()

    async def assemble(self, consumer: Consumer) -> int:
        """Assembles what is queued, up to a batch. Returns how many were claimed."""
        claimed: list[UUID] = []

        async def work_on(work: Work) -> None:
            claimed.extend(await store.claim_assemblies(work.connection, _BATCH, work.now))
            if claimed:
                await self._answer(claimed, work)

        await consumer.transact(work_on)
        return len(claimed)

    async def _answer(self, claimed: Sequence[UUID], work: Work) -> None:
        cases = await store.cases(work.connection, claimed)
        needed = [case for case in cases if case.answer_expires_at is None and not case.withdrawn]
        made: dict[UUID, tuple[str, datetime]] = {}
        for start in range(0, len(needed), _AT_ONCE):
            made |= await self._make_all(needed[start : start + _AT_ONCE], work)
        failed = [case.opened.request_id for case in needed if case.opened.request_id not in made]
        done = [request_id for request_id in claimed if request_id not in failed]
        await store.record_answers(work.connection, made, done)
        await store.postpone_assemblies(work.connection, failed, work.now + _POSTPONED)
        work.touched.update(done)

    async def _make_all(self, cases: Sequence[Case], work: Work) -> dict[UUID, tuple[str, datetime]]:
        """The answers, without those that cannot be made: they must not hold up the others."""
        records = await store.records(work.connection, [case.opened.request_id for case in cases])
        made: dict[UUID, tuple[str, datetime]] = {}

        async def attempt(case: Case) -> None:
            request_id = case.opened.request_id
            try:
                made[request_id] = await self._make(case, records[request_id], work)
            except Exception as error:
                _log.error("answer_failed", request_id=str(request_id), exc_info=error)

        async with asyncio.TaskGroup() as attempts:
            for case in cases:
                attempts.create_task(attempt(case))
                # Each writes its answer without a pause: between two of them the consumer has its turn.
                await asyncio.sleep(0)
        return made

    async def _make(self, locked: Case, records: list[Records], work: Work) -> tuple[str, datetime]:
        request_id = locked.opened.request_id
        content = self._writer.assemble(_facts(locked, records, work), _contributions(locked, records, work))
        secret = new_artifact_key()
        sealed = b"".join(seal_artifact(secret, [content]))
        # Not in a folder of its own: to make that costs a file system as much as the object.
        key = f"answers/{request_id}_{random_id()}"
        async with asyncio.timeout(_PUT_SECONDS):
            # In one piece: the object's size is bounded by what the records may hold, and parts cost as much again.
            await self._objects.put_async(key, sealed, use_multipart=False)
        expires_at = work.now + self._valid
        answer = AnswerObject(
            key=key,
            secret=secret,
            sha256=hashlib.sha256(sealed).hexdigest(),
            bytes=len(sealed),
            media_type=MEDIA_TYPE,
            expires_at=expires_at,
        )
        return seal_answer(answer, request_id, work), expires_at


def _facts(locked: Case, records: list[Records], work: Work) -> AnswerFacts:
    opened = opened_personal(locked, work)
    return AnswerFacts(
        request_id=locked.opened.request_id,
        reference=locked.opened.reference,
        right=locked.opened.right,
        regulation=locked.opened.regulation,
        jurisdiction=locked.opened.jurisdiction,
        received_at=locked.opened.received_at,
        answered_at=max(entry.received_at for entry in records),
        name=opened.subject.name,
        categories=opened.details.categories,
        period=opened.details.period,
        for_another=people.audience(opened) is Audience.REPRESENTATIVE,
    )


def _contributions(locked: Case, records: list[Records], work: Work) -> list[Contribution]:
    by_task = {(entry.task_id, entry.system): entry for entry in records}
    contributions = []
    for planned in locked.plan or ():
        entry = by_task.get((planned.task_id, planned.system)) if planned.task_id else None
        if entry is None:
            contributions.append(
                Contribution(planned.system, planned.state, reason=planned.reason, left_out=planned.left_out)
            )
            continue
        place = Place(entry.system, TaskFinished.TYPE, locked.opened.request_id, entry.task_id)
        given, labels = held(work.keyring.open(place, entry.personal))
        result = locked.results[entry.task_id]
        contributions.append(
            Contribution(
                planned.system,
                SystemState.FINISHED,
                outcome=result.outcome,
                summary=result.summary,
                records=given,
                labels=labels,
                left_out=planned.left_out,
            )
        )
    return contributions
