"""What fan-out says of a plan: tasks to systems, and the plan itself to the collector.

Most of a message is the same for all requests that share a plan. So it is made, checked and written once for the plan,
and each request's own members are put in.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from habeas.contracts.forms import Form, Written
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

# What stands in the place of a request's own members.
_NOBODY: Final = UUID(int=0)
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNSEALED: Final = "-..----------------..----------------------"

_NO_DETAILS: Final = Form(TaskDetails()).fill()
_SUBJECT: Final = Form(TaskSubject(identities=()), "identities")
_PERSONAL: Final = Form(TaskPersonal(subject=TaskSubject(identities=())), "subject", "details")
_PLAN_MADE: Final = Form(PlanMade(request_id=_NOBODY, version=1, systems=()), "request_id", "version", "systems")


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
        assignment = item.assignment
        due_at = assignment.due_at(request.received_at, request.due_at) if assignment else None
        ids = [task_id(request.request_id, item.system, attempt) for attempt in range(1, len(item.given) + 1)]
        for attempt in range(_given(former, item.system), len(item.given)):
            _ask(forms.tasks[attempt], ids[attempt], due_at, request, person, work)
        asked = ids.pop() if isinstance(item, Asked) else None
        earlier = [PastTask(task_id=past, action=action) for past, action in zip(ids, item.given, strict=False)]
        systems.append(forms.planned.fill(task_id=asked, due_at=due_at, earlier=earlier))
    made = _PLAN_MADE.fill(request_id=request.request_id, version=version, systems=systems)
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
    task: "_Task", identifier: UUID, due_at: datetime | None, request: Request, person: Person, work: Work
) -> None:
    personal = _PERSONAL.fill(
        subject=_SUBJECT.fill(identities=domain.identities_for(task.assignment, person.identities)),
        details=_details(task, person.details),
    )
    body = task.form.fill(
        task_id=identifier,
        request_id=request.request_id,
        due_at=request.due_at if task.action is Action.HOLD else due_at,
        period=person.details.period if task.action in _DATED else None,
        personal=work.seal(
            TaskAssigned, personal, subject=request.request_id, participant=task.system, task_id=identifier
        ),
    )
    work.send(tasks(task.system), body, subject=request.request_id)


def _details(task: "_Task", details: Details) -> TaskDetails | Written[TaskDetails]:
    """What concerns the system's categories, and no more (data minimisation, Art. 5(1)(c))."""
    scope = task.assignment.scope
    if task.action is Action.RECTIFY:
        categories = {entry.category for entry in scope}
        return TaskDetails(corrections=tuple(entry for entry in details.corrections if entry.category in categories))
    if task.right in STOPPING:
        concerned = {purpose for entry in scope for purpose in entry.purposes}
        return TaskDetails(purposes=tuple(purpose for purpose in details.purposes if purpose in concerned))
    return _NO_DETAILS


def _given(plan: Plan | None, system: str) -> int:
    return len(plan[system].given) if plan else 0


@dataclass(frozen=True, slots=True)
class _Task:
    """One attempt of a system's, but for what is of one request alone."""

    system: str
    action: Action
    right: Right
    assignment: Assignment
    form: Form[TaskAssigned]


@dataclass(frozen=True, slots=True)
class _Forms:
    """A system's messages, but for what is of one request alone."""

    tasks: tuple[_Task, ...]
    """By attempt."""
    planned: Form[PlannedSystem]


@lru_cache(maxsize=1024)
def _forms(plan: Plan, right: str, regulation: str, policy: str) -> tuple[_Forms, ...]:
    return tuple(
        _Forms(
            tuple(
                _task(item.system, item.assignment, attempt, action, Right(right), regulation, policy)
                for attempt, action in enumerate(item.given, 1)
                if item.assignment is not None
            ),
            _planned(item),
        )
        for item in plan.items
    )


def _task(
    system: str, assignment: Assignment, attempt: int, action: Action, right: Right, regulation: str, policy: str
) -> _Task:
    like = TaskAssigned(
        task_id=_NOBODY,
        request_id=_NOBODY,
        system=system,
        attempt=attempt,
        action=action,
        right=right,
        regulation=regulation,
        policy_version=policy,
        scope=assignment.scope,
        due_at=_NEVER,
        personal=_UNSEALED,
    )
    form = Form(like, "task_id", "request_id", "due_at", "period", "personal")
    return _Task(system, action, right, assignment, form)


def _planned(item: PlanItem) -> Form[PlannedSystem]:
    like = PlannedSystem(
        system=item.system,
        state=item.state,
        action=item.assignment.action if item.assignment else None,
        attempt=len(item.given) if isinstance(item, Asked) else 0,
        reason=item.reason,
        left_out=tuple(LeftOutCategory(category=out.category, ground=out.ground) for out in item.left_out),
        categories=tuple(entry.category for entry in item.assignment.scope) if item.assignment else (),
    )
    return Form(like, "task_id", "due_at", "earlier")
