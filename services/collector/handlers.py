"""Messages in: opened requests, plans, results, deliveries. Each is a fact; `settle` decides from all of them."""

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import orjson

from habeas.contracts import ContractError, Place, Reason
from habeas.contracts.canonical import canonical
from habeas.contracts.catalogue import read_personal, write
from habeas.contracts.dead_letter import DeadLetter
from habeas.contracts.result import ResultPersonal, TaskFinished, TaskProgressed
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.submission import Identity
from habeas.contracts.topics import DEAD_LETTERS, PROGRESS, status
from habeas.dead_letters import dead_letter
from services.collector import domain, letters, results, store
from services.collector.case import Case, Step
from services.collector.store import AnswerKey, KnownResult, NewResult, Orphan, Saved
from services.collector.writing import written
from shared.clock import Clock
from shared.database import Connection
from shared.events import (
    OPERATORS,
    CollectionAwaited,
    FoundPersonal,
    NoticeDelivered,
    OpenedPersonal,
    PlanMade,
    Recipient,
    RequestCollected,
    RequestOpened,
    RequestStopped,
    RoundOrdered,
    SubmissionRefused,
    SystemsFinished,
    WithdrawalReceived,
)
from shared.messaging.outbox import Outgoing
from shared.messaging.received import Received
from shared.messaging.work import Work
from shared.registry import Registry

ORPHAN_PATIENCE: Final = timedelta(hours=24)
"""How long a result waits for its task to become known."""

_WITH_ARTIFACTS: Final = "artifacts_not_read"
"""Artifacts are not put into answers yet: an answer that has some goes to a person, since it would not be whole."""

_TOO_MANY_FOUND: Final = "too_many_identities"
"""More than a request is given identities; passed on, they would not fit into the tasks of the others."""

_FOUND_LIMIT: Final = 50

_STATUS: Final = ("ce_type", StatusChanged.TYPE.encode())

_VERSION: Final = re.compile(rb'\{"request_id":"[0-9a-f-]{36}","reference":"[0-9A-Z-]+","version":([0-9]+)')

Finished = Received[TaskFinished, ResultPersonal]
OfTask = Received[TaskFinished | TaskProgressed, Any]


class Handlers:
    def __init__(self, registry: Registry, clock: Clock, wake_assembler: Callable[[], None]) -> None:
        self._registry = registry
        self._clock = clock
        self._wake_assembler = wake_assembler
        self.marketing = frozenset(
            (system.name, category.name)
            for system in registry.systems.values()
            for category in system.categories
            if category.marketing
        )

    async def opened(self, batch: Sequence[Received[RequestOpened, OpenedPersonal]], work: Work) -> None:
        await store.open_cases(work.connection, [received.body for received in batch])
        work.touched.update(received.request_id for received in batch)

    async def withdrawn(self, batch: Sequence[Received[WithdrawalReceived, None]], work: Work) -> None:
        await store.record_withdrawals(work.connection, [received.body for received in batch])
        work.touched.update(received.request_id for received in batch)

    async def awaited(self, batch: Sequence[Received[CollectionAwaited, None]], work: Work) -> None:
        await store.await_cases(work.connection, {received.request_id for received in batch})
        work.touched.update(received.request_id for received in batch)

    async def refused(self, batch: Sequence[Received[SubmissionRefused, None]], work: Work) -> None:
        """Only the collector writes to a portal's status topic, so intake's refusals are told from here."""
        for body in (received.body for received in batch):
            rejected = SubmissionRejected(request_id=body.request_id, ce_id=body.ce_id, errors=body.errors)
            work.send(status(body.portal), rejected, subject=body.ce_id)

    async def planned(self, batch: Sequence[Received[PlanMade, None]], work: Work) -> None:
        await store.record_plans(work.connection, [received.body for received in batch])
        work.touched.update(received.request_id for received in batch)

    async def delivered(self, batch: Sequence[Received[NoticeDelivered, None]], work: Work) -> None:
        bodies = [received.body for received in batch]
        await store.record_deliveries(work.connection, bodies)
        work.touched.update(
            body.request_id
            for body in bodies
            if body.notice in domain.DECISIVE and body.recipient is Recipient.REQUESTER
        )

    async def progressed(self, batch: Sequence[Received[TaskProgressed, None]], work: Work) -> None:
        tasks = await store.planned_tasks(work.connection, {received.request_id for received in batch})
        own = [received for received in batch if not _is_foreign(received, _key(received).asked_of(tasks), work)]
        await store.record_progress(work.connection, {_key(received): received.body.state for received in own})
        work.touched.update(received.request_id for received in own)

    async def finished(self, batch: Sequence[Finished], work: Work) -> None:
        """The first answer to a task counts; the same again is nothing; another is a conflict unless it supersedes."""
        own = [received for received in batch if _is_own(received, work)]
        tasks = await store.planned_tasks(work.connection, {received.request_id for received in own})
        first: dict[AnswerKey, Finished] = {}
        again: list[Finished] = []
        unknown: list[AnswerKey] = []
        for received in own:
            key = _key(received)
            asked = key.asked_of(tasks)
            if _is_foreign(received, asked, work):
                continue
            work.touched.add(key.request_id)
            if first.setdefault(key, received) is not received:
                again.append(received)
            elif asked is None:
                unknown.append(key)
        new = [self._new_result(received, key, work) for key, received in first.items()]
        before = await store.record_results(work.connection, new, work.now)
        if before or again:
            await self._repeated([*(first[key] for key in first if key in before), *again], work)
        orphans = [_orphan(first[key], key, work) for key in unknown if key not in before]
        if orphans:
            await store.record_orphans(work.connection, orphans, work.now)

    async def _repeated(self, repeated: Sequence[Finished], work: Work) -> None:
        known = dict(await store.known_results(work.connection, {received.request_id for received in repeated}))
        for received in repeated:
            known[_key(received)] = await self._repeat(received, known[_key(received)], work)

    def _new_result(self, received: Finished, key: AnswerKey, work: Work) -> NewResult:
        body, personal = received.body, received.personal
        summary, found = body.summary, None
        outcome: str = _WITH_ARTIFACTS if body.artifacts else body.outcome
        if personal.records:
            summary = (*summary, *results.left_out(summary, personal.records))
        if personal.identities:
            system = self._registry.systems[received.participant]
            identities = tuple([item for item in personal.identities if item.identity_type in system.provides])
            if len(identities) > _FOUND_LIMIT:
                outcome = _TOO_MANY_FOUND
            elif identities:
                found = work.seal(SystemsFinished, FoundPersonal(identities=identities), subject=key.request_id)
        return NewResult(key, received.event.id, outcome, results.error_code(body), summary, found, received.event.data)

    async def _repeat(self, received: Finished, known: KnownResult, work: Work) -> KnownResult:
        """What is known of the task afterwards."""
        digest = hashlib.sha256(received.event.data).digest()
        if digest == known.digest or await _says_the_same(received, known, work):
            return known
        superseded = received.body.supersedes
        if superseded is not None:
            newer = self._new_result(received, _key(received), work)
            if await store.replace_result(work.connection, newer, work.now, superseded, domain.FINAL_MARKS):
                return KnownResult(newer.ce_id, digest)
        work.refuse(
            received,
            Reason.CONFLICT,
            "/task_id",
            "answered otherwise before: an answer under review is replaced by naming its ce_id in supersedes",
        )
        return known

    async def settle(self, work: Work) -> None:
        """Say what follows from the facts of every touched request."""
        if not work.touched:
            return
        cases = await store.lock_cases(work.connection, work.touched, self.marketing)
        for case in cases:
            if case.opened.reachable is None or case.opened.audience is None:
                case.opened = letters.with_reader(case, work)
        # All go through each step before the next one begins, as they do when they are received: it takes less time.
        steps = [domain.advance(case, work.now) for case in cases]
        texts = [self._say(case, step, work) for case, step in zip(cases, steps, strict=True)]
        for case, step in zip(cases, steps, strict=True):
            newest = step.status or case.status
            for told in step.notices:
                letters.ask_for(told, case, newest.reason if newest else None, self._registry, work)
        changed = zip(cases, steps, texts, strict=True)
        await store.save(work.connection, [found for each in changed if (found := _saved(*each)) is not None])
        assemble = [case.opened.request_id for case, step in zip(cases, steps, strict=True) if step.assemble]
        if assemble:
            await store.queue_assemblies(work.connection, assemble, work.now)
            work.after_commit.append(self._wake_assembler)

    def _say(self, case: Case, step: Step, work: Work) -> str | None:
        """To the portal and to fan-out. Returns the status as it is published, where there is a new one."""
        request_id, text = case.opened.request_id, None
        if step.status is not None:
            said = written(StatusChanged, vars(step.status))
            text = work.send(status(case.opened.portal), said, subject=request_id).data.decode()
        if step.report:
            self._report(case, step.report, work)
        if step.collected:
            work.send(PROGRESS, RequestCollected(request_id=request_id), subject=request_id)
        if step.stop is not None:
            work.send(PROGRESS, RequestStopped(request_id=request_id, finished=step.stop), subject=request_id)
        for each in step.rounds:
            body = RoundOrdered(
                request_id=request_id,
                order_id=each.order_id,
                systems=each.systems,
                action=each.action,
                categories=each.categories,
            )
            work.send(PROGRESS, body, subject=request_id)
        return text

    def _report(self, case: Case, systems: tuple[str, ...], work: Work) -> None:
        """Tell fan-out who has finished, with everything found so far."""
        request_id = case.opened.request_id
        identities: list[Identity] = []
        for result in case.results.values():
            if result.found is not None and result.system in systems:
                found = work.open(SystemsFinished, FoundPersonal, result.found, subject=request_id)
                identities.extend(found.identities)
        body = SystemsFinished(
            request_id=request_id,
            systems=systems,
            personal=work.seal(SystemsFinished, FoundPersonal(identities=tuple(identities)), subject=request_id),
        )
        work.send(PROGRESS, body, subject=request_id)

    async def expire_orphans(self, work: Work) -> None:
        """Results that no task was ever given for go to the dead letters after a day."""
        orphans = await store.claim_orphans(work.connection, work.now - ORPHAN_PATIENCE)
        tasks = await store.planned_tasks(work.connection, {orphan.key.request_id for orphan in orphans})
        kept = [orphan for orphan in orphans if orphan.key.asked_of(tasks) == orphan.key.system]
        dropped = [orphan for orphan in orphans if orphan.key.asked_of(tasks) != orphan.key.system]
        for orphan in dropped:
            letter = DeadLetter.model_validate_json(orphan.dead_letter)
            work.send(DEAD_LETTERS, letter, subject=letter.dead_letter_id)
        await store.settle_orphans(work.connection, [orphan.key for orphan in kept], [orphan.key for orphan in dropped])

    async def repair(self, connection: Connection, sent: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Statuses that were overtaken on their way: the newest is said once more, to stand last."""
        versions, topics = {}, {}
        for record in sent:
            if record.value is not None and _STATUS in record.headers:
                versions[record.key] = _version(record.value)
                topics[record.key] = record.topic
        if not versions:
            return ()
        newer = await store.newer_statuses(connection, versions)
        now = self._clock()
        return [
            Outgoing.of(
                topics[newest.request_id],
                write(newest, subject=newest.request_id, source="habeas/collector", now=now),
            )
            for newest in newer
        ]


def _saved(case: Case, step: Step, text: str | None) -> Saved | None:
    """What has become of the case; None where nothing has, or nothing can be said of it yet."""
    newest, said = step.status or case.status, step.said
    if newest is None or not (step.status or step.report or step.notices or said):
        return None
    return Saved(
        newest,
        case.reported.union(step.report) if step.report else case.reported,
        case.noticed.union([told.mark for told in step.notices]) if step.notices else case.noticed,
        case.said | said,
        text,
    )


def _version(written: bytes) -> int:
    """Of a status that we have written: it stands near the beginning, where nothing can be taken for it."""
    found = _VERSION.match(written)
    return int(found[1] if found else orjson.loads(written)["version"])


def _is_own(received: Finished, work: Work) -> bool:
    own = received.body.system == received.participant
    if not own:
        work.refuse(received, Reason.MEMBER_INVALID, "/system", "must be the system whose topic this is")
    return own


def _is_foreign(received: OfTask, asked: str | None, work: Work) -> bool:
    """Whether the task was given to another system. Without a plan nobody can tell yet."""
    foreign = asked is not None and asked != received.participant
    if foreign:
        work.refuse(received, Reason.TASK_FOREIGN, "/task_id", "this task was given to another system")
    return foreign


def _key(received: OfTask) -> AnswerKey:
    return AnswerKey(received.body.task_id, received.participant, received.request_id)


async def _says_the_same(received: Finished, known: KnownResult, work: Work) -> bool:
    """Whether what is known of this task was only spelled, or sealed, otherwise."""
    content = canonical(received.body, received.personal)
    try:
        if known.digest is None:
            return work.keyring.fingerprint(known.kid or "", content) == known.fingerprint
        before = TaskFinished.model_validate_json(await store.result_body(work.connection, _key(received)))
        place = Place(received.participant, TaskFinished.TYPE, before.request_id, before.task_id)
        return content == canonical(before, read_personal(work.keyring, place, before.personal, ResultPersonal))
    except ContractError:  # the key was destroyed: told apart by its id alone
        return received.event.id == known.ce_id


def _orphan(received: Finished, key: AnswerKey, work: Work) -> Orphan:
    error = ContractError(Reason.TASK_UNKNOWN, "/task_id", "no such task was given within a day of this answer")
    letter = dead_letter(
        received.record,
        error,
        keyring=work.keyring,
        reader=OPERATORS,
        refused_by=work.service,
        now=work.now,
    )
    return Orphan(key, letter.data.decode())
