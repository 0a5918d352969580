"""Fan-out's tables: opened requests with their plans, what was found, the tasks that were given."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter

from services.fanout.domain import Plan
from shared.database import Connection, load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_PLAN: Final[TypeAdapter[Plan]] = TypeAdapter(Plan)


@dataclass(frozen=True, slots=True)
class Request:
    """An accepted request. `personal` is sealed."""

    request_id: UUID
    right: str
    regulation: str
    received_at: datetime
    due_at: datetime
    personal: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Systems that have finished, and the sealed identifiers they found."""

    request_id: UUID
    systems: tuple[str, ...]
    personal: str


@dataclass(frozen=True, slots=True)
class Case:
    """Everything known of a request, its row locked. `plan` is None before the first one."""

    request: Request
    plan: Plan | None
    plan_version: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class SavedPlan:
    request_id: UUID
    plan: Plan
    version: int


@dataclass(frozen=True, slots=True)
class GivenTask:
    task_id: UUID
    request_id: UUID
    system: str
    attempt: int
    due_at: datetime


async def open_requests(connection: Connection, requests: Collection[Request]) -> None:
    ordered = sorted({request.request_id: request for request in requests}.values(), key=lambda item: item.request_id)
    await connection.execute(
        _SQL["open"],
        [request.request_id for request in ordered],
        [request.right for request in ordered],
        [request.regulation for request in ordered],
        [request.received_at for request in ordered],
        [request.due_at for request in ordered],
        [request.personal for request in ordered],
    )


async def record_findings(connection: Connection, findings: Collection[Finding]) -> None:
    ordered = sorted(findings, key=lambda finding: (finding.request_id, finding.systems))
    await connection.execute(
        _SQL["find"],
        [finding.request_id for finding in ordered],
        [",".join(finding.systems) for finding in ordered],
        [finding.personal for finding in ordered],
    )


async def lock_cases(connection: Connection, request_ids: Collection[UUID]) -> list[Case]:
    """The opened ones among them, in id order. Facts are read after the lock, lest two batches miss each other's."""
    ordered = sorted(request_ids)
    await connection.execute(_SQL["remember"], ordered)
    rows = await connection.fetch(_SQL["lock"], ordered)
    findings: Mapping[UUID, list[Finding]] = defaultdict(list)
    for row in await connection.fetch(_SQL["findings"], ordered):
        findings[row["request_id"]].append(Finding(row["request_id"], tuple(row["systems"]), row["personal"]))
    return [
        Case(
            Request(
                row["request_id"], row["right"], row["regulation"], row["received_at"], row["due_at"], row["personal"]
            ),
            None if row["plan"] is None else _PLAN.validate_json(row["plan"]),
            row["plan_version"],
            tuple(findings[row["request_id"]]),
        )
        for row in rows
        if row["personal"] is not None
    ]


async def save(connection: Connection, plans: Sequence[SavedPlan], tasks: Sequence[GivenTask]) -> None:
    if plans:
        await connection.execute(
            _SQL["save_plans"],
            [saved.request_id for saved in plans],
            [_PLAN.dump_json(saved.plan).decode() for saved in plans],
            [saved.version for saved in plans],
        )
    if tasks:
        await connection.execute(
            _SQL["insert_tasks"],
            [task.task_id for task in tasks],
            [task.request_id for task in tasks],
            [task.system for task in tasks],
            [task.attempt for task in tasks],
            [task.due_at for task in tasks],
        )
