"""Messages in: opened requests, and what finished systems found."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from habeas.contracts.submission import Identity
from habeas.contracts.task import TaskAssigned, TaskDetails, TaskPersonal, TaskSubject
from habeas.contracts.topics import PROGRESS, tasks
from habeas.contracts.vocabulary import Right
from services.fanout import domain, store
from services.fanout.domain import Asked, Facts
from services.fanout.store import Case, Finding, GivenTask, Request, SavedPlan
from shared.events import (
    Decision,
    FoundPersonal,
    OpenedPersonal,
    PlanMade,
    PlannedSystem,
    RequestOpened,
    SystemsFinished,
)
from shared.messaging.received import Received
from shared.messaging.work import Work
from shared.registry import Registry

_FIRST_ATTEMPT = 1


class Handlers:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def opened(self, batch: Sequence[Received[RequestOpened, OpenedPersonal]], work: Work) -> None:
        """Accepted requests get a plan; refused and unclassified ones get none."""
        requests = [
            Request(body.request_id, body.right, body.regulation, body.received_at, body.due.at, body.personal)
            for body in (received.body for received in batch)
            if body.decision == Decision.ACCEPTED and body.regulation is not None and body.due is not None
        ]
        if requests:
            await store.open_requests(work.connection, requests)
            work.touched.update(request.request_id for request in requests)

    async def finished(self, batch: Sequence[Received[SystemsFinished, FoundPersonal]], work: Work) -> None:
        findings = [
            Finding(body.request_id, tuple(sorted(body.systems)), body.personal)
            for body in (received.body for received in batch)
        ]
        await store.record_findings(work.connection, findings)
        work.touched.update(finding.request_id for finding in findings)

    async def settle(self, work: Work) -> None:
        """Plan what has no plan; ask the systems whose identifiers have been found."""
        if not work.touched:
            return
        plans: list[SavedPlan] = []
        given: list[GivenTask] = []
        for case in await store.lock_cases(work.connection, work.touched):
            self._advance(case, work, plans, given)
        await store.save(work.connection, plans, given)

    def _advance(self, case: Case, work: Work, plans: list[SavedPlan], given: list[GivenTask]) -> None:
        request = case.request
        opened = work.open(RequestOpened, OpenedPersonal, request.personal, subject=request.request_id)
        found = [
            identity
            for finding in case.findings
            for identity in work.open(
                SystemsFinished, FoundPersonal, finding.personal, subject=request.request_id
            ).identities
        ]
        identities = _without_repetition((*opened.subject.identities, *found))
        plan = case.plan or domain.make_plan(
            self._registry,
            Right(request.right),
            request.regulation,
            {identity.identity_type for identity in opened.subject.identities},
            received_at=request.received_at,
            due_at=request.due_at,
        )
        before = case.plan.asked if case.plan else ()
        facts = Facts(
            known=frozenset(identity.identity_type for identity in identities),
            finished=frozenset(system for finding in case.findings for system in finding.systems),
        )
        changes = domain.advance(plan, facts)
        if case.plan is not None and not changes:
            return
        plan = domain.apply(plan, changes)
        saved = SavedPlan(request.request_id, plan, case.plan_version + 1)
        plans.append(saved)
        asked_before = {item.system for item in before}
        for item in plan.asked:
            if item.system not in asked_before:
                given.append(self._ask(item, request, opened, identities, work))
        work.send(PROGRESS, _plan_made(saved), subject=request.request_id)

    def _ask(
        self, item: Asked, request: Request, opened: OpenedPersonal, identities: Sequence[Identity], work: Work
    ) -> GivenTask:
        task = GivenTask(
            task_id(request.request_id, item.system, _FIRST_ATTEMPT),
            request.request_id,
            item.system,
            _FIRST_ATTEMPT,
            item.assignment.due_at,
        )
        categories = {entry.category for entry in item.assignment.scope}
        personal = TaskPersonal(
            subject=TaskSubject(identities=domain.identities_for(item.assignment, identities)),
            details=TaskDetails(
                corrections=tuple(entry for entry in opened.details.corrections if entry.category in categories)
            ),
        )
        body = TaskAssigned(
            task_id=task.task_id,
            request_id=request.request_id,
            system=item.system,
            attempt=task.attempt,
            action=item.assignment.action,
            right=Right(request.right),
            regulation=request.regulation,
            policy_version=self._registry.policy.version,
            scope=item.assignment.scope,
            due_at=task.due_at,
            personal=work.seal(
                TaskAssigned, personal, subject=request.request_id, participant=item.system, task_id=task.task_id
            ),
        )
        work.send(tasks(item.system), body, subject=request.request_id)
        return task


def task_id(request_id: UUID, system: str, attempt: int) -> UUID:
    """The natural key as an id: an attempt has the same id wherever it is computed."""
    return uuid5(request_id, f"{system}/{attempt}")


def _plan_made(saved: SavedPlan) -> PlanMade:
    return PlanMade(
        request_id=saved.request_id,
        version=saved.version,
        systems=tuple(_planned(saved.request_id, item) for item in saved.plan.items),
    )


def _planned(request_id: UUID, item: domain.PlanItem) -> PlannedSystem:
    asked = isinstance(item, Asked)
    return PlannedSystem(
        system=item.system,
        state=item.state,
        action=item.assignment.action if item.assignment else None,
        task_id=task_id(request_id, item.system, _FIRST_ATTEMPT) if asked else None,
        attempt=_FIRST_ATTEMPT if asked else 0,
        due_at=item.assignment.due_at if item.assignment else None,
        reason=item.reason,
    )


def _without_repetition(identities: Sequence[Identity]) -> tuple[Identity, ...]:
    return tuple({(item.identity_type, item.identity_value): item for item in reversed(identities)}.values())
