"""What fan-out says of a plan: tasks to systems, and the plan itself to the collector."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from habeas.contracts.forms import Written
from habeas.contracts.task import TaskAssigned, TaskCancelled
from habeas.contracts.topics import PROGRESS, tasks
from habeas.contracts.vocabulary import Action
from services.fanout.forms import PLAN_MADE, Person, SystemForms, TaskForm, forms_of
from services.fanout.plan import Asked, Plan, PlanItem, Reason
from services.fanout.store import Request
from shared.events import PastTask, PlannedSystem
from shared.messaging.work import Work

_DATED: Final = frozenset({Action.ACCESS, Action.EXPORT})
"""A copy can be of a period; nothing else is limited so."""


@dataclass(slots=True)
class Decided:
    """A request's plan, to be told."""

    plan: Plan
    version: int
    request: Request
    person: Person
    former: Plan | None = None
    """The version before."""


def task_id(request_id: UUID, system: str, attempt: int) -> UUID:
    """The natural key as an id: an attempt has the same id wherever it is computed. A UUID of version 5 (RFC 9562)."""
    name = f"{system}/{attempt}".encode()
    digest = hashlib.sha1(request_id.bytes + name, usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


def say_plans(decided: Sequence[Decided], work: Work, *, policy: str) -> None:
    """The plans, and the tasks that each gives and its former one did not. `policy` is the registry's version.

    All go through each step before the next one begins, as they do when they are received: it takes less time.
    """
    shares = [_shares(each, policy) for each in decided]
    asked = [task for of_one in shares for share in of_one for task in _new(share)]
    personal = [task.form.personal(task.of.person) for task in asked]
    sealed = [
        work.seal(TaskAssigned, said, subject=task.request_id, participant=task.form.system, task_id=task.task_id)
        for task, said in zip(asked, personal, strict=True)
    ]
    bodies = [_body(task, text) for task, text in zip(asked, sealed, strict=True)]
    systems = [[_planned(share) for share in of_one] for of_one in shares]
    for each, rows in zip(decided, systems, strict=True):
        request_id = each.request.request_id
        made = PLAN_MADE.fill(request_id=request_id, version=each.version, systems=rows)
        work.send(PROGRESS, made, subject=request_id)
    # The plans first: an answer that is read before its plan costs its reader twice as much.
    for task, body in zip(asked, bodies, strict=True):
        work.send(task.form.topic, body, subject=task.request_id)


def cancel(plan: Plan, request: Request, finished: frozenset[str], work: Work) -> None:
    """The last task of each system that has not answered. One that answers all the same has crossed it: no harm."""
    for item in plan.items:
        if item.given and item.system not in finished:
            body = TaskCancelled(
                task_id=task_id(request.request_id, item.system, len(item.given)),
                request_id=request.request_id,
                reason=Reason.REQUEST_ENDED,
            )
            work.send(tasks(item.system), body, subject=request.request_id)


@dataclass(slots=True)
class _Share:
    """A system's share in what was decided."""

    of: Decided
    item: PlanItem
    forms: SystemForms
    task_ids: list[UUID]
    """By attempt."""
    due_at: datetime | None


@dataclass(slots=True)
class _Task:
    """One that the system is to be given."""

    of: Decided
    request_id: UUID
    form: TaskForm
    task_id: UUID
    due_at: datetime | None


def _shares(decided: Decided, policy: str) -> list[_Share]:
    request = decided.request
    return [
        _Share(
            decided,
            item,
            forms,
            [task_id(request.request_id, item.system, attempt) for attempt in range(1, len(item.given) + 1)],
            item.assignment.due_at(request.received_at, request.due_at) if item.assignment else None,
        )
        for item, forms in zip(
            decided.plan.items, forms_of(decided.plan, request.right, request.regulation, policy), strict=True
        )
    ]


def _new(share: _Share) -> list[_Task]:
    """What the former plan did not give."""
    request, former = share.of.request, share.of.former
    given = len(former[share.item.system].given) if former else 0
    return [
        _Task(
            share.of,
            request.request_id,
            form,
            identifier,
            request.due_at if form.action is Action.HOLD else share.due_at,
        )
        for form, identifier in zip(share.forms.tasks[given:], share.task_ids[given:], strict=True)
    ]


def _body(task: _Task, personal: str) -> Written[TaskAssigned]:
    return task.form.body.fill(
        task_id=task.task_id,
        request_id=task.request_id,
        due_at=task.due_at,
        period=task.of.person.details.period if task.form.action in _DATED else None,
        personal=personal,
    )


def _planned(share: _Share) -> Written[PlannedSystem]:
    given, ids = share.item.given, share.task_ids
    last = len(ids) - 1 if isinstance(share.item, Asked) else len(ids)
    earlier = [PastTask(task_id=ids[past], action=given[past]) for past in range(last)]
    return share.forms.planned.fill(
        task_id=ids[last] if last < len(ids) else None, due_at=share.due_at, earlier=earlier
    )
