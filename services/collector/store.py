"""The collector's tables: facts under their natural keys, and what was decided from them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeVar
from uuid import UUID

import asyncpg
import orjson
from pydantic import TypeAdapter

from habeas.contracts.command import CommandDecided
from habeas.contracts.result import SummaryItem
from habeas.contracts.status import StatusChanged
from habeas.contracts.vocabulary import RequestState
from services.collector.case import Case, Order, OrderKind, Planned, Result
from services.collector.memo import Memo
from services.collector.writing import as_json
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
    systems: tuple[Planned, ...]
    tasks: Tasks

    @classmethod
    def of(cls, systems: Iterable[PlannedSystem]) -> Self:
        rows = tuple([Planned.of(item) for item in systems])
        tasks = {item.task_id: item.system for item in rows if item.task_id is not None}
        for item in rows:
            for past in item.earlier:
                tasks[past.task_id] = item.system
        return cls(rows, tasks)


# Of how many requests under way one process knows what by heart: some 8 MB in all. In a flood plans come long before
# the answers to them.
_opened: Final = Memo(RequestOpened.model_validate_json, 384)
_plan: Final = Memo(lambda text: _Plan.of(_SYSTEMS.validate_json(text)), 1536)
_status: Final = Memo(StatusChanged.model_validate_json, 768)
_summary: Final = lru_cache(maxsize=512)(_SUMMARY.validate_json)

_NUMBER: Final = attrgetter("int")
"""Ids in the order that PostgreSQL has them, without a function of ours for each comparison."""


class AnswerKey(NamedTuple):
    """Whose answer to which task of which request. Only the plan knows whose a task is, and it may come later: until
    then what a stranger says about a task stands beside the answer of the system that was asked, never in its place."""

    task_id: UUID
    system: str
    request_id: UUID

    def asked_of(self, tasks: Mapping[UUID, Tasks]) -> str | None:
        """The system that was given this task, as far as is known."""
        return tasks.get(self.request_id, NO_TASKS).get(self.task_id)


@dataclass(slots=True)  # not frozen, as `Case`
class NewResult:
    """A system's answer, and what is made of it."""

    key: AnswerKey
    ce_id: UUID
    outcome: str
    error: str | None
    """The code of what stood in its way."""
    summary: tuple[SummaryItem, ...]
    found: str | None
    """Identifiers for other systems, sealed for the services; None where there are none."""
    body: bytes
    """As it came, its records sealed by the system."""


class KnownResult(NamedTuple):
    """What tells whether a recorded answer comes again."""

    ce_id: UUID
    digest: bytes | None
    """SHA-256 of the answer as it came; of one from before that was kept there is a keyed fingerprint instead."""
    fingerprint: bytes | None = None
    kid: str | None = None


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
    texts = [as_json(item) for item in ordered]
    for text, item in zip(texts, ordered, strict=True):
        _opened.note(item.request_id, text, item)
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
    await connection.execute(_SQL["await"], sorted(request_ids, key=_NUMBER))


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
    texts = [as_json(plan.systems) for plan in ordered]
    for text, plan in zip(texts, ordered, strict=True):
        _plan.note(plan.request_id, text, _Plan.of(plan.systems))
    await connection.execute(
        _SQL["plan"], [plan.request_id for plan in ordered], [plan.version for plan in ordered], texts
    )


async def record_results(
    connection: Connection, results: Collection[NewResult], received_at: datetime
) -> frozenset[AnswerKey]:
    """Those to whose task their system has answered before."""
    ordered = sorted(results, key=lambda result: (result.key.request_id.int, result.key.task_id.int, result.key.system))
    rows = await connection.fetch(
        _SQL["record_results"],
        [result.key.task_id for result in ordered],
        [result.key.request_id for result in ordered],
        [result.key.system for result in ordered],
        [result.ce_id for result in ordered],
        [result.outcome for result in ordered],
        [as_json(result.summary) for result in ordered],
        _seldom([result.error for result in ordered]),
        _seldom([result.found for result in ordered]),
        [result.body for result in ordered],
        received_at,
    )
    return frozenset(map(_key, rows))


async def replace_result(
    connection: Connection, result: NewResult, received_at: datetime, superseded: UUID, unless_noticed: Collection[str]
) -> bool:
    """Puts a system's newer answer in place of `superseded`, as long as a person is still looking at the case, or the
    others are still at work and the first answer was none; not once the person is told how it ended (the marks
    `unless_noticed`), or gets a copy without it."""
    row = await connection.fetchval(
        _SQL["replace_result"],
        result.key.task_id,
        result.key.request_id,
        result.key.system,
        result.ce_id,
        result.outcome,
        as_json(result.summary),
        result.error,
        result.found,
        result.body,
        received_at,
        superseded,
        list(unless_noticed),
    )
    return row is not None


async def known_results(connection: Connection, request_ids: Collection[UUID]) -> Mapping[AnswerKey, KnownResult]:
    rows = await connection.fetch(_SQL["known_results"], list(request_ids))
    return {_key(row): KnownResult(row["ce_id"], row["digest"], row["fingerprint"], row["kid"]) for row in rows}


async def result_body(connection: Connection, key: AnswerKey) -> bytes:
    """A recorded answer as it came."""
    return bytes(await connection.fetchval(_SQL["result_body"], *key))


async def planned_tasks(connection: Connection, request_ids: Collection[UUID]) -> Mapping[UUID, Tasks]:
    """By request, of those that have a plan."""
    rows = await connection.fetch(_SQL["plans"], list(request_ids))
    return {row["request_id"]: _plan(row["request_id"], row["systems"]).tasks for row in rows}


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
    ordered = sorted(deliveries, key=lambda item: (item.request_id.int, item.notice, item.recipient, item.ordinal))
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
    ordered = sorted(request_ids, key=_NUMBER)
    rows = await connection.fetch(_SQL["lock"], ordered)
    if len(rows) < len(ordered):  # facts that came before their request lock it too
        await connection.execute(_SQL["remember"], ordered)
        rows = await connection.fetch(_SQL["lock"], ordered)
    return await _with_facts(connection, rows, marketing)


async def cases(connection: Connection, request_ids: Collection[UUID]) -> list[Case]:
    """As `lock_cases`, to look at only: they may change while one does."""
    return await _with_facts(connection, await connection.fetch(_SQL["cases"], list(request_ids)), frozenset())


async def _with_facts(
    connection: Connection, rows: Sequence[asyncpg.Record], marketing: Set[tuple[str, str]]
) -> list[Case]:
    """Without those of which intake has said nothing yet."""
    opened = [row for row in rows if row["opened"]]
    if not opened:
        return []
    first: dict[UUID, asyncpg.Record] = {}
    others: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for fact in await connection.fetch(_SQL["facts"], [row["request_id"] for row in opened]):
        if fact["fact"] == "opened":
            first[fact["request_id"]] = fact
        else:
            others[fact["request_id"]].append(fact)
    found = []
    for request_id, _, status, reported, noticed, said, awaited, withdrawn_at in opened:
        _, _, _, body, systems, *_ = first[request_id]
        plan = None if systems is None else _plan(request_id, systems)
        case = Case(
            opened=_opened(request_id, body),
            plan=None if plan is None else plan.systems,
            status=None if status is None else _status(request_id, status),
            reported=frozenset(reported),
            noticed=frozenset(noticed),
            marketing=marketing,
            withdrawn=withdrawn_at is not None,
            awaited=awaited,
            said=frozenset(said),
        )
        if request_id in others:
            _add(case, None if plan is None else plan.tasks, others[request_id])
        found.append(case)
    return found


def _add(case: Case, tasks: Tasks | None, facts: Sequence[asyncpg.Record]) -> None:
    """`tasks` are None as long as there is no plan, and nobody can tell whose each is."""
    results: dict[UUID, Result] = {}
    orders: list[tuple[datetime, UUID, Order]] = []
    working: set[UUID] = set()
    deliveries: list[tuple[datetime, str, str]] = []
    for fact, _, named, word, other, summary, error, sealed, at in facts:
        match fact:
            case "result":
                if tasks is None or tasks.get(named) == word:
                    results[named] = Result(word, other, _summary(summary), error, sealed)
            case "order":
                orders.append((at, named, Order(named, OrderKind(word), other)))
            case "working" if tasks is not None and tasks.get(named) == word:
                working.add(named)
            case "delivery":
                deliveries.append((at, word, other))
            case "answer":
                case.answer_object, case.answer_expires_at = word, at
    case.results, case.working = results, working
    case.deliveries = {notice: DeliveryResult(result) for _, notice, result in sorted(deliveries)}
    case.orders = tuple([order for _, _, order in sorted(orders, key=lambda each: each[:2])])


async def save(connection: Connection, saved: Sequence[Saved]) -> None:
    """A status that was rolled back is in no row, and so never taken for one that was said."""
    if not saved:
        return
    texts = [item.text or as_json(item.status) for item in saved]
    for text, item in zip(texts, saved, strict=True):
        _status.note(item.status.request_id, text, item.status)
    await connection.execute(
        _SQL["save"],
        [item.status.request_id for item in saved],
        [item.status.version for item in saved],
        texts,
        [item.status.since if item.status.state == RequestState.CLOSED else None for item in saved],
        _seldom([",".join(sorted(item.reported)) for item in saved]),
        _seldom([",".join(sorted(item.noticed)) for item in saved]),
        _seldom([",".join(sorted(item.said)) for item in saved]),
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
                row["personal"] or orjson.loads(row["body"])["personal"],
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
    return [_status(row["request_id"], row["status"]) for row in rows]


_Versioned = TypeVar("_Versioned", RequestOpened, PlanMade)


def _newest(items: Collection[_Versioned]) -> list[_Versioned]:
    """The highest version of each request's, in the order of their ids."""
    newest = {item.request_id: item for item in sorted(items, key=lambda item: item.version)}
    return [newest[request_id] for request_id in sorted(newest, key=_NUMBER)]


def _seldom(values: list[str | None] | list[str]) -> Sequence[str | None]:
    """A column that seldom has anything: without elements it is NULL in each row, and costs nothing."""
    return values if any(values) else ()


def _key(row: asyncpg.Record) -> AnswerKey:
    return AnswerKey(row["task_id"], row["system"], row["request_id"])


def _columns(keys: Collection[AnswerKey]) -> tuple[list[UUID], list[str], list[UUID]]:
    return [key.task_id for key in keys], [key.system for key in keys], [key.request_id for key in keys]
