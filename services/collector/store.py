"""The collector's tables: facts under their natural keys, and what was decided from them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeVar
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from habeas.contracts.command import CommandDecided
from habeas.contracts.result import SummaryItem
from habeas.contracts.status import StatusChanged
from habeas.contracts.vocabulary import RequestState
from services.collector.case import Case, Order, OrderKind, Result
from services.collector.memo import Memo
from shared.database import Connection, load_queries
from shared.events import (
    DeliveryResult,
    NoticeDelivered,
    PlanMade,
    PlannedSystem,
    RequestOpened,
    WithdrawalReceived,
)

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_SUMMARY: Final[TypeAdapter[tuple[SummaryItem, ...]]] = TypeAdapter(tuple[SummaryItem, ...])
_SYSTEMS: Final[TypeAdapter[tuple[PlannedSystem, ...]]] = TypeAdapter(tuple[PlannedSystem, ...])

Tasks = Mapping[UUID, str]
"""Whose each task of a request is, those of former rounds included."""

NO_TASKS: Final[Tasks] = {}


class _Plan(NamedTuple):
    systems: tuple[PlannedSystem, ...]
    tasks: Tasks

    @classmethod
    def of(cls, systems: tuple[PlannedSystem, ...]) -> Self:
        return cls(systems, {task_id: item.system for item in systems for task_id in _tasks(item)})


_REMEMBERED: Final = 512
"""Requests under way that one process knows by heart: some 5 MB."""

_opened: Final = Memo(RequestOpened.model_validate_json, _REMEMBERED)
_plan: Final = Memo(lambda text: _Plan.of(_SYSTEMS.validate_json(text)), _REMEMBERED)
_status: Final = Memo(StatusChanged.model_validate_json, _REMEMBERED)
_summary: Final = Memo(_SUMMARY.validate_json, _REMEMBERED)


class AnswerKey(NamedTuple):
    """Whose answer to which task of which request. Only the plan knows whose a task is, and it may come later: until
    then what a stranger says about a task stands beside the answer of the system that was asked, never in its place."""

    task_id: UUID
    system: str
    request_id: UUID

    def asked_of(self, tasks: Mapping[UUID, Tasks]) -> str | None:
        """The system that was given this task, as far as is known."""
        return tasks.get(self.request_id, NO_TASKS).get(self.task_id)


@dataclass(frozen=True, slots=True)
class NewResult:
    """A system's answer as it is kept: its records sealed as they came."""

    task_id: UUID
    request_id: UUID
    system: str
    ce_id: UUID
    outcome: str
    error: str | None
    """The code of what stood in its way."""
    summary: tuple[SummaryItem, ...]
    personal: str
    found: str | None
    """Identifiers for other systems, sealed for the services; None where there are none."""
    fingerprint: bytes
    kid: str
    received_at: datetime

    @property
    def key(self) -> AnswerKey:
        return AnswerKey(self.task_id, self.system, self.request_id)


@dataclass(frozen=True, slots=True)
class KnownResult:
    ce_id: UUID
    fingerprint: bytes
    kid: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """A result without a task so far. `dead_letter` is the ready body of what it becomes after a day."""

    key: AnswerKey
    dead_letter: str


@dataclass(frozen=True, slots=True)
class Records:
    """What a system sent sealed, for the assembling of the answer to the person."""

    system: str
    task_id: UUID
    personal: str
    received_at: datetime


class Saved(NamedTuple):
    status: StatusChanged
    reported: frozenset[str]
    noticed: frozenset[str]
    said: frozenset[str]
    text: str | None = None
    """The status as it was published, where that was just now."""


async def open_cases(connection: Connection, opened: Collection[RequestOpened]) -> None:
    """What intake said last of each counts, whenever it comes."""
    ordered = _newest(opened)
    texts = [item.model_dump_json() for item in ordered]
    for text, item in zip(texts, ordered, strict=True):
        _opened.note(text, item)
    await connection.execute(
        _SQL["open"],
        [item.request_id for item in ordered],
        [item.version for item in ordered],
        texts,
        [item.reference for item in ordered],
        [item.due.at if item.due else None for item in ordered],
    )


async def record_withdrawals(connection: Connection, withdrawals: Collection[WithdrawalReceived]) -> None:
    ordered = sorted({item.request_id: item for item in withdrawals}.values(), key=lambda item: item.request_id)
    await connection.execute(
        _SQL["withdraw"], [item.request_id for item in ordered], [item.received_at for item in ordered]
    )


async def await_cases(connection: Connection, request_ids: Collection[UUID]) -> None:
    """Others come after these."""
    await connection.execute(_SQL["await"], sorted(request_ids))


async def decided(connection: Connection, command_ids: Collection[UUID]) -> Mapping[UUID, CommandDecided]:
    """What was decided before, by command."""
    rows = await connection.fetch(_SQL["decided"], list(command_ids))
    return {row["command_id"]: CommandDecided.model_validate_json(row["body"]) for row in rows}


async def record_decision(connection: Connection, decision: CommandDecided, order: Order | None, now: datetime) -> None:
    """`order` where the command was accepted."""
    await connection.execute(_SQL["decide"], decision.command_id, decision.model_dump_json())
    if order is not None:
        await connection.execute(_SQL["order"], order.command_id, decision.request_id, order.kind, order.argument, now)


async def unopened(connection: Connection, request_ids: Collection[UUID]) -> frozenset[UUID]:
    """Those of which intake has said nothing."""
    rows = await connection.fetch(_SQL["opened"], list(request_ids))
    return frozenset(request_ids) - {row["request_id"] for row in rows}


async def record_plans(connection: Connection, plans: Collection[PlanMade]) -> None:
    ordered = _newest(plans)
    texts = [_SYSTEMS.dump_json(plan.systems).decode() for plan in ordered]
    for text, plan in zip(texts, ordered, strict=True):
        _plan.note(text, _Plan.of(plan.systems))
    await connection.execute(
        _SQL["plan"], [plan.request_id for plan in ordered], [plan.version for plan in ordered], texts
    )


async def record_results(connection: Connection, results: Collection[NewResult]) -> frozenset[AnswerKey]:
    """Those that are the first answer of their system to their task."""
    ordered = sorted(results, key=lambda result: (result.request_id, result.task_id, result.system))
    rows = await connection.fetch(
        _SQL["record_results"],
        [result.task_id for result in ordered],
        [result.request_id for result in ordered],
        [result.system for result in ordered],
        [result.ce_id for result in ordered],
        [result.outcome for result in ordered],
        [_SUMMARY.dump_json(result.summary).decode() for result in ordered],
        [result.personal for result in ordered],
        [result.found for result in ordered],
        [result.fingerprint for result in ordered],
        [result.kid for result in ordered],
        [result.received_at for result in ordered],
        [result.error for result in ordered],
    )
    return frozenset(map(_key, rows))


async def replace_result(
    connection: Connection, result: NewResult, superseded: UUID, unless_noticed: Collection[str]
) -> bool:
    """Puts a system's newer answer in place of `superseded`, as long as a person is still looking at the case, or the
    others are still at work and the first answer was none; not once the person is told how it ended (the marks
    `unless_noticed`), or gets a copy without it."""
    row = await connection.fetchval(
        _SQL["replace_result"],
        result.task_id,
        result.ce_id,
        result.outcome,
        _SUMMARY.dump_json(result.summary).decode(),
        result.personal,
        result.found,
        result.fingerprint,
        result.kid,
        result.received_at,
        superseded,
        result.system,
        result.request_id,
        result.error,
        list(unless_noticed),
    )
    return row is not None


async def known_results(connection: Connection, request_ids: Collection[UUID]) -> Mapping[AnswerKey, KnownResult]:
    rows = await connection.fetch(_SQL["known_results"], list(request_ids))
    return {_key(row): KnownResult(row["ce_id"], row["fingerprint"], row["kid"]) for row in rows}


async def planned_tasks(connection: Connection, request_ids: Collection[UUID]) -> Mapping[UUID, Tasks]:
    """By request, of those that have a plan."""
    rows = await connection.fetch(_SQL["plans"], list(request_ids))
    return {row["request_id"]: _plan(row["systems"]).tasks for row in rows}


async def record_orphans(connection: Connection, orphans: Collection[Orphan], since: datetime) -> None:
    ordered = sorted(orphans, key=lambda orphan: orphan.key)
    await connection.execute(
        _SQL["record_orphans"],
        *_columns([orphan.key for orphan in ordered]),
        [orphan.dead_letter for orphan in ordered],
        [since] * len(ordered),
    )


async def claim_orphans(connection: Connection, before: datetime) -> list[Orphan]:
    rows = await connection.fetch(_SQL["claim_orphans"], before)
    return [Orphan(_key(row), row["dead_letter"]) for row in rows]


async def settle_orphans(connection: Connection, kept: Collection[AnswerKey], dropped: Collection[AnswerKey]) -> None:
    """`kept` have found their tasks; the results of `dropped` go."""
    await connection.execute(_SQL["keep_orphans"], *_columns(kept))
    await connection.execute(_SQL["drop_results"], *_columns(dropped))


async def record_progress(connection: Connection, progressed: Mapping[AnswerKey, str]) -> None:
    """The state that each system says its task is in."""
    ordered = sorted(progressed)
    await connection.execute(_SQL["record_progress"], *_columns(ordered), [progressed[key] for key in ordered])


async def record_deliveries(connection: Connection, deliveries: Collection[NoticeDelivered]) -> None:
    ordered = sorted(deliveries, key=lambda item: (item.request_id, item.notice, item.recipient, item.ordinal))
    await connection.execute(
        _SQL["record_deliveries"],
        [item.request_id for item in ordered],
        [item.notice for item in ordered],
        [item.recipient for item in ordered],
        [item.ordinal for item in ordered],
        [item.result for item in ordered],
        [item.at for item in ordered],
    )


async def lock_cases(
    connection: Connection, request_ids: Collection[UUID], marketing: Set[tuple[str, str]] = frozenset()
) -> list[Case]:
    """The opened ones among them, in id order. Facts are read after the lock, lest two batches miss each other's."""
    ordered = sorted(request_ids)
    rows = await connection.fetch(_SQL["lock"], ordered)
    if len(rows) < len(ordered):  # facts that came before their request lock it too
        await connection.execute(_SQL["remember"], ordered)
        rows = await connection.fetch(_SQL["lock"], ordered)
    return await _with_facts(connection, rows, marketing)


async def cases(connection: Connection, request_ids: Collection[UUID]) -> list[Case]:
    """As `lock_cases`, to look at only: they may change while one does."""
    return await _with_facts(connection, await connection.fetch(_SQL["cases"], sorted(request_ids)), frozenset())


async def _with_facts(
    connection: Connection, rows: Sequence[asyncpg.Record], marketing: Set[tuple[str, str]]
) -> list[Case]:
    facts = {
        fact["request_id"]: fact for fact in await connection.fetch(_SQL["facts"], [row["request_id"] for row in rows])
    }
    if not facts:
        return []
    request_ids = list(facts)
    answers = _by_request(await connection.fetch(_SQL["results"], request_ids))
    rarer = _by_request(await connection.fetch(_SQL["rarer_facts"], request_ids))
    found = []
    for row in rows:
        request_id = row["request_id"]
        fact = facts.get(request_id)
        if fact is None:  # of which intake has said nothing yet
            continue
        plan = None if fact["plan"] is None else _plan(fact["plan"])
        case = Case(
            opened=_opened(fact["opened"]),
            plan=None if plan is None else plan.systems,
            results={
                task_id: Result(system, outcome, _summary(summary), error, sealed)
                for _, task_id, system, outcome, summary, error, sealed in answers.get(request_id, ())
                if plan is None or plan.tasks.get(task_id) == system
            },
            status=None if row["status"] is None else _status(row["status"]),
            reported=frozenset(row["reported"]),
            noticed=frozenset(row["noticed"]),
            marketing=marketing,
            withdrawn=row["withdrawn_at"] is not None,
            awaited=row["awaited"],
            said=frozenset(row["said"]),
        )
        if request_id in rarer:
            _add(case, NO_TASKS if plan is None else plan.tasks, rarer[request_id])
        found.append(case)
    return found


def _add(case: Case, tasks: Tasks, rarer: Sequence[asyncpg.Record]) -> None:
    """What most cases have none of."""
    orders: list[Order] = []
    working: set[UUID] = set()
    deliveries: dict[str, DeliveryResult] = {}
    for fact, _, named, word, other, at in rarer:
        match fact:
            case "order":
                orders.append(Order(named, OrderKind(word), other))
            case "working" if tasks.get(named) == word:
                working.add(named)
            case "delivery":
                deliveries[word] = DeliveryResult(other)
            case "answer":
                case.answer_object, case.answer_expires_at = word, at
    case.orders, case.working, case.deliveries = tuple(orders), working, deliveries


def _by_request(rows: Sequence[asyncpg.Record]) -> Mapping[UUID, list[asyncpg.Record]]:
    found: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        found[row["request_id"]].append(row)
    return found


async def save(connection: Connection, saved: Sequence[Saved]) -> None:
    """A status that was rolled back is in no row, and so never taken for one that was said."""
    if not saved:
        return
    texts = [item.text or item.status.model_dump_json() for item in saved]
    for text, item in zip(texts, saved, strict=True):
        _status.note(text, item.status)
    await connection.execute(
        _SQL["save"],
        [item.status.request_id for item in saved],
        [item.status.version for item in saved],
        texts,
        [item.status.since if item.status.state == RequestState.CLOSED else None for item in saved],
        [",".join(sorted(item.reported)) for item in saved],
        [",".join(sorted(item.noticed)) for item in saved],
        [",".join(sorted(item.said)) for item in saved],
    )


async def queue_assemblies(connection: Connection, request_ids: Collection[UUID], now: datetime) -> None:
    await connection.execute(_SQL["queue_assemblies"], list(request_ids), now)


async def claim_assemblies(connection: Connection, limit: int, now: datetime) -> list[UUID]:
    """Locked until the transaction ends; others skip them."""
    return [row["request_id"] for row in await connection.fetch(_SQL["claim_assemblies"], limit, now)]


async def postpone_assemblies(connection: Connection, request_ids: Collection[UUID], until: datetime) -> None:
    if request_ids:
        await connection.execute(_SQL["postpone_assemblies"], list(request_ids), until)


async def records(connection: Connection, request_ids: Collection[UUID]) -> Mapping[UUID, list[Records]]:
    rows = await connection.fetch(_SQL["records"], list(request_ids))
    found: dict[UUID, list[Records]] = defaultdict(list)
    for row in rows:
        found[row["request_id"]].append(
            Records(
                row["system"],
                row["task_id"],
                row["personal"],
                row["received_at"],
            )
        )
    return found


async def record_answers(
    connection: Connection, answers: Mapping[UUID, tuple[str, datetime]], finished: Collection[UUID]
) -> None:
    """Request id to sealed object and expiry. `finished` leave the queue, with or without an answer."""
    await connection.execute(
        _SQL["record_answers"],
        list(answers),
        [sealed for sealed, _ in answers.values()],
        [expires_at for _, expires_at in answers.values()],
        list(finished),
    )


async def newer_statuses(connection: Connection, versions: Mapping[UUID, int]) -> list[StatusChanged]:
    """The newest status of each of these requests that has one above the version given."""
    rows = await connection.fetch(_SQL["newer_statuses"], list(versions), list(versions.values()))
    return [_status(row["status"]) for row in rows]


_Versioned = TypeVar("_Versioned", RequestOpened, PlanMade)


def _newest(items: Collection[_Versioned]) -> list[_Versioned]:
    """The highest version of each request's, in the order of their ids."""
    newest = {item.request_id: item for item in sorted(items, key=lambda item: item.version)}
    return [newest[request_id] for request_id in sorted(newest)]


def _tasks(item: PlannedSystem) -> tuple[UUID, ...]:
    """All that the system was given for the request."""
    return (*(past.task_id for past in item.earlier), *((item.task_id,) if item.task_id else ()))


def _key(row: asyncpg.Record) -> AnswerKey:
    return AnswerKey(row["task_id"], row["system"], row["request_id"])


def _columns(keys: Collection[AnswerKey]) -> tuple[list[UUID], list[str], list[UUID]]:
    return [key.task_id for key in keys], [key.system for key in keys], [key.request_id for key in keys]
