"""What is the same in all that is said of a plan, whoever shares it: made, checked and written once."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from habeas.contracts.forms import Form, Written
from habeas.contracts.submission import Details, Identity
from habeas.contracts.task import TaskAssigned, TaskDetails, TaskPersonal, TaskSubject
from habeas.contracts.topics import tasks
from habeas.contracts.vocabulary import STOPPING, Action, Right
from services.fanout import domain
from services.fanout.plan import Asked, Assignment, Plan, PlanItem
from shared.events import LeftOutCategory, PlanMade, PlannedSystem

# What stands in the place of a request's own members.
_NOBODY: Final = UUID(int=0)
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNSEALED: Final = "-..----------------..----------------------"

_NO_DETAILS: Final = Form(TaskDetails()).fill()
_SUBJECT: Final = Form(TaskSubject(identities=()), "identities")
_PERSONAL: Final = Form(TaskPersonal(subject=TaskSubject(identities=())), "subject", "details")
PLAN_MADE: Final = Form(PlanMade(request_id=_NOBODY, version=1, systems=()), "request_id", "version", "systems")


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a request is about, opened: every identity known so far, and what was asked for."""

    identities: tuple[Identity, ...]
    details: Details


@dataclass(frozen=True, slots=True)
class TaskForm:
    """One attempt of a system's."""

    system: str
    topic: str
    action: Action
    right: Right
    assignment: Assignment
    body: Form[TaskAssigned]

    def personal(self, person: Person) -> Written[TaskPersonal]:
        """What the system needs of `person`, and no more (data minimisation, Art. 5(1)(c))."""
        identities = domain.identities_for(self.assignment, person.identities)
        return _PERSONAL.fill(subject=_SUBJECT.fill(identities=identities), details=self._details(person.details))

    def _details(self, details: Details) -> TaskDetails | Written[TaskDetails]:
        scope = self.assignment.scope
        if self.action is Action.RECTIFY:
            categories = {entry.category for entry in scope}
            return TaskDetails(
                corrections=tuple(entry for entry in details.corrections if entry.category in categories)
            )
        if self.right in STOPPING:
            concerned = {purpose for entry in scope for purpose in entry.purposes}
            return TaskDetails(purposes=tuple(purpose for purpose in details.purposes if purpose in concerned))
        return _NO_DETAILS


@dataclass(frozen=True, slots=True)
class SystemForms:
    tasks: tuple[TaskForm, ...]
    """By attempt."""
    planned: Form[PlannedSystem]


@lru_cache(maxsize=1024)
def forms_of(plan: Plan, right: str, regulation: str, policy: str) -> tuple[SystemForms, ...]:
    """By item of the plan. `policy` is the registry's version."""
    return tuple(
        SystemForms(
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
) -> TaskForm:
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
    body = Form(like, "task_id", "request_id", "due_at", "period", "personal")
    return TaskForm(system, tasks(system), action, right, assignment, body)


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
