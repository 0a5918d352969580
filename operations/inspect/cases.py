"""Requests as they stand, from the collector's case file. Nothing in it names a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from habeas.contracts.result import SummaryItem
from habeas.contracts.status import StatusChanged
from operations.errors import OperationsError
from operations.inspect.database import SQL
from shared.database import Connection
from shared.events import PlannedSystem

COUNTED = 100_000
"""Further requests than this are not counted one by one."""

_SUMMARY: Final[TypeAdapter[tuple[SummaryItem, ...]]] = TypeAdapter(tuple[SummaryItem, ...])
_SYSTEMS: Final[TypeAdapter[tuple[PlannedSystem, ...]]] = TypeAdapter(tuple[PlannedSystem, ...])


class UnknownRequestError(OperationsError):
    """No request has this id or reference."""

    def __init__(self, named: str) -> None:
        super().__init__(
            f"There is no request {named}. Check the spelling against `habeas requests --all`. One submitted a moment "
            "ago may still be on its way (`habeas ps`), and what was refused as a message stands under `habeas "
            "dead-letters list`."
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests. `due_before` is a day of the controller's calendar: due dates before it."""

    now: datetime
    overdue: bool = False
    due_before: date | None = None
    state: str | None = None
    right: str | None = None
    closed_too: bool = False

    @property
    def looks_at_open(self) -> bool:
        return self.state != "closed"

    @property
    def looks_at_closed(self) -> bool:
        return self.state == "closed" or (self.closed_too and self.state is None)

    @property
    def narrowed(self) -> bool:
        """Whether less than all of the open (or closed) ones is asked for."""
        return self.overdue or any((self.due_before, self.state, self.right))

    def open_arguments(self) -> tuple[datetime | str | None, ...]:
        bound = day = None
        if self.due_before is not None:
            # The index holds instants: the last second of a day is over everywhere a day later at the latest.
            bound = datetime.combine(self.due_before, time(), UTC) + timedelta(days=1)
            day = self.due_before.isoformat()
        return self.now if self.overdue else None, bound, day, self.state, self.right

    def closed_arguments(self) -> tuple[bool | str | None, ...]:
        return self.overdue, self.due_before.isoformat() if self.due_before else None, self.right


@dataclass(frozen=True, slots=True)
class Found:
    requests: Sequence[StatusChanged]
    total: int
    """How many there are, shown or not; beyond COUNTED it stays there."""

    @property
    def counted_all(self) -> bool:
        return self.total <= COUNTED


@dataclass(frozen=True, slots=True)
class Attempt:
    """A task that a system was given, and what it said."""

    system: str
    task_id: UUID
    action: str | None
    current: bool
    """Whether the plan counts on this one; False for a round that is over."""
    due_at: datetime | None
    state: str | None
    outcome: str | None
    answered_at: datetime | None
    summary: tuple[SummaryItem, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    notice: str
    recipient: str
    ordinal: int
    result: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of one request. `status` is None until the collector has published one."""

    request_id: UUID
    opened: Mapping[str, Any]
    status: StatusChanged | None
    plan: tuple[PlannedSystem, ...]
    attempts: tuple[Attempt, ...]
    deliveries: tuple[Delivery, ...]


def is_overdue(status: StatusChanged, now: datetime) -> bool:
    """Whether the collector says so, or the open request's due time has passed since it last spoke."""
    return status.overdue or (status.state != "closed" and status.due is not None and status.due.at < now)


async def find_requests(connection: Connection, wanted: Wanted, limit: int) -> Found:
    """The open ones, soonest due first, then the closed ones, latest first; at most `limit`."""
    rows: list[Any] = []
    total = 0
    if wanted.looks_at_open:
        arguments = wanted.open_arguments()
        rows += await connection.fetch(SQL["open_requests"], *arguments, limit)
        total += await connection.fetchval(SQL["count_open"], *arguments, COUNTED + 1)
    if wanted.looks_at_closed:
        closed = wanted.closed_arguments()
        rows += await connection.fetch(SQL["closed_requests"], *closed, limit - len(rows))
        total += await connection.fetchval(SQL["count_closed"], *closed, COUNTED + 1)
    return Found([StatusChanged.model_validate_json(row["status"]) for row in rows], min(total, COUNTED + 1))


async def find_case(connection: Connection, named: UUID | str) -> Case:
    """The request with this id or reference. Raises UnknownRequestError."""
    query = SQL["case_by_id"] if isinstance(named, UUID) else SQL["case_by_reference"]
    row = await connection.fetchrow(query, named)
    if row is None:
        raise UnknownRequestError(str(named))
    request_id = row["request_id"]
    systems = await connection.fetchval(SQL["plan"], request_id)
    plan = _SYSTEMS.validate_json(systems) if systems else ()
    results = await connection.fetch(SQL["results"], request_id)
    progressed = await connection.fetch(SQL["progressed"], request_id)
    deliveries = await connection.fetch(SQL["deliveries"], request_id)
    return Case(
        request_id=request_id,
        opened=orjson.loads(row["opened"]),
        status=StatusChanged.model_validate_json(row["status"]) if row["status"] else None,
        plan=plan,
        attempts=tuple(_attempts(plan, results, progressed)),
        deliveries=tuple(Delivery(**each) for each in deliveries),
    )


def _attempts(plan: Sequence[PlannedSystem], results: Sequence[Any], progressed: Sequence[Any]) -> list[Attempt]:
    """Each system's tasks, oldest first. A result for a task that nobody was given is nobody's answer, and left out."""
    said = {(row["task_id"], row["system"]): row for row in results}
    working = {(row["task_id"], row["system"]): row["state"] for row in progressed}
    found = []
    for item in plan:
        tasks: list[tuple[UUID, str | None, datetime | None]] = [
            (past.task_id, past.action, None) for past in item.earlier
        ]
        if item.task_id is not None:
            tasks.append((item.task_id, item.action, item.due_at))
        for task_id, action, due_at in tasks:
            answer = said.get((task_id, item.system))
            found.append(
                Attempt(
                    system=item.system,
                    task_id=task_id,
                    action=action,
                    current=task_id == item.task_id,
                    due_at=due_at,
                    state=working.get((task_id, item.system)),
                    outcome=answer["outcome"] if answer else None,
                    answered_at=answer["received_at"] if answer else None,
                    summary=_SUMMARY.validate_json(answer["summary"]) if answer else (),
                )
            )
    return found
