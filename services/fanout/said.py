"""What fan-out says of a plan: tasks to systems, and the plan itself to the collector.

Most of a message is the same for all requests that share a plan. So it is made and checked once for the plan, and each
request's message is a copy with its own members put in.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from habeas.contracts.submission import Details, Identity
from habeas.contracts.task import TaskAssigned, TaskCancelled, TaskDetails, TaskPersonal, TaskSubject
from habeas.contracts.topics import PROGRESS, tasks
from habeas.contracts.vocabulary import STOPPING, Action, Right
from services.fanout import domain
from services.fanout.plan import Asked, Assignment, Plan, PlanItem, Reason
from services.fanout.store import Request
from shared.events import LeftOutCategory, PastTask, PlanMade, PlannedSystem
from shared.messaging.work import Work

_DATED: Final = frozenset({Action.ACCESS, Action.EXPORT})
"""A copy can be of a period; nothing else is limited so."""

_NO_DETAILS: Final = TaskDetails()

_NOBODY: Final = UUID(int=0)
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNSEALED: Final = "-..----------------..----------------------"


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a request is about, opened: every identity known so far, and what was asked for."""

    identities: Sequence[Identity]
    details: Details


def task_id(request_id: UUID, system: str, attempt: int) -> UUID:
    """The natural key as an id: an attempt has the same id wherever it is computed. A UUID of version 5 (RFC 9562)."""
    name = f"{system}/{attempt}".encode()
    digest = hashlib.sha1(request_id.bytes + name, usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


def say_plan(
    plan: Plan, version: int, request: Request, person: Person, work: Work, *, policy: str, former: Plan | None = None
) -> None:
    """The plan, and the tasks that it gives and the `former` one did not. `policy` is the registry's version."""
    systems = []
    for item, forms in zip(plan.items, _forms(plan, request.right, request.regulation, policy), strict=True):
        if item.assignment is None:
            systems.append(forms.planned)
            continue
        ids = [task_id(request.request_id, item.system, attempt) for attempt in range(1, len(item.given) + 1)]
        for attempt in range(_given(former, item.system), len(item.given)):
            _ask(forms.tasks[attempt], item.assignment, ids[attempt], request, person, work)
        own: dict[str, Any] = {"due_at": item.assignment.due_at(request.received_at, request.due_at)}
        if isinstance(item, Asked):
            own["task_id"] = ids.pop()
        if ids:
            own["earlier"] = tuple(
                past.model_copy(update={"task_id": past_id})
                for past, past_id in zip(forms.planned.earlier, ids, strict=True)
            )
        systems.append(forms.planned.model_copy(update=own))
    made = PlanMade(request_id=request.request_id, version=version, systems=tuple(systems))
    work.send(PROGRESS, made, subject=request.request_id)


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


def _ask(
    form: TaskAssigned, assignment: Assignment, identifier: UUID, request: Request, person: Person, work: Work
) -> None:
    personal = TaskPersonal(
        subject=TaskSubject(identities=domain.identities_for(assignment, person.identities)),
        details=_details(form, person.details),
    )
    own = {
        "task_id": identifier,
        "request_id": request.request_id,
        "due_at": request.due_at
        if form.action is Action.HOLD
        else assignment.due_at(request.received_at, request.due_at),
        "period": person.details.period if form.action in _DATED else None,
        "personal": work.seal(
            TaskAssigned, personal, subject=request.request_id, participant=form.system, task_id=identifier
        ),
    }
    work.send(tasks(form.system), form.model_copy(update=own), subject=request.request_id)


def _details(form: TaskAssigned, details: Details) -> TaskDetails:
    """What concerns the system's categories, and no more (data minimisation, Art. 5(1)(c))."""
    if form.action is Action.RECTIFY:
        categories = {entry.category for entry in form.scope}
        return TaskDetails(corrections=tuple(entry for entry in details.corrections if entry.category in categories))
    if form.right in STOPPING:
        concerned = {purpose for entry in form.scope for purpose in entry.purposes}
        return TaskDetails(purposes=tuple(purpose for purpose in details.purposes if purpose in concerned))
    return _NO_DETAILS


def _given(plan: Plan | None, system: str) -> int:
    return len(plan[system].given) if plan else 0


@dataclass(frozen=True, slots=True)
class _Forms:
    """A system's messages, but for what is of one request alone."""

    tasks: tuple[TaskAssigned, ...]
    """By attempt."""
    planned: PlannedSystem


@lru_cache(maxsize=1024)
def _forms(plan: Plan, right: str, regulation: str, policy: str) -> tuple[_Forms, ...]:
    return tuple(
        _Forms(
            tuple(
                TaskAssigned(
                    task_id=_NOBODY,
                    request_id=_NOBODY,
                    system=item.system,
                    attempt=attempt,
                    action=action,
                    right=Right(right),
                    regulation=regulation,
                    policy_version=policy,
                    scope=item.assignment.scope,
                    due_at=_NEVER,
                    personal=_UNSEALED,
                )
                for attempt, action in enumerate(item.given, 1)
                if item.assignment is not None
            ),
            _planned(item),
        )
        for item in plan.items
    )


def _planned(item: PlanItem) -> PlannedSystem:
    asked = isinstance(item, Asked)
    return PlannedSystem(
        system=item.system,
        state=item.state,
        action=item.assignment.action if item.assignment else None,
        task_id=_NOBODY if asked else None,
        attempt=len(item.given) if asked else 0,
        due_at=_NEVER if item.assignment else None,
        reason=item.reason,
        earlier=tuple(
            PastTask(task_id=_NOBODY, action=action) for action in (item.given[:-1] if asked else item.given)
        ),
        left_out=tuple(LeftOutCategory(category=out.category, ground=out.ground) for out in item.left_out),
        categories=tuple(entry.category for entry in item.assignment.scope) if item.assignment else (),
    )
