"""Messages in: opened requests, what finished systems found, who may go on, further rounds, early ends."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

from habeas.contracts import Message
from habeas.contracts.submission import Identity
from habeas.contracts.task import TaskAssigned, TaskCancelled, TaskDetails, TaskPersonal, TaskSubject
from habeas.contracts.topics import PROGRESS, tasks
from habeas.contracts.vocabulary import COPIES, STOPPING, Action, Right
from services.fanout import domain, store
from services.fanout.domain import DESTRUCTIVE
from services.fanout.plan import Asked, Assignment, Blocked, Facts, Order, Plan, PlanItem, Reason
from services.fanout.scope import Wish
from services.fanout.store import Addition, Case, Finding, PersonKey, Request, SavedPlan
from shared.events import (
    SERVICES,
    CollectionAwaited,
    Decision,
    FoundPersonal,
    IdentitiesAdded,
    LeftOutCategory,
    OpenedPersonal,
    PastTask,
    PlanMade,
    PlannedSystem,
    RequestCollected,
    RequestOpened,
    RequestStopped,
    RoundOrdered,
    SystemsFinished,
)
from shared.messaging.received import Received
from shared.messaging.work import Work
from shared.registry import Registry

PREDECESSOR_PATIENCE: Final = timedelta(hours=24)
"""How long a request waits for one that nobody has heard of before a person is told."""

Opened = Received[RequestOpened, OpenedPersonal]


class Handlers:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._planner = domain.Planner(registry)

    async def opened(self, batch: Sequence[Opened], work: Work) -> None:
        """Accepted requests get a plan; the others are heard of, since some may have to go after them."""
        accepted = [received for received in batch if _is_accepted(received.body)]
        others = {
            received.request_id: received.body.decision is Decision.REFUSED
            for received in batch
            if not _is_accepted(received.body)
        }
        people = _person_keys([each for each in batch if each.body.right in COPIES | DESTRUCTIVE], work)
        if people:  # before any row is locked
            await store.take_turns(work.connection, people)
        if others:
            await store.hear_of(work.connection, others)
        fresh: frozenset[UUID] = frozenset()
        if accepted:
            fresh = await store.open_requests(work.connection, [_request(received.body) for received in accepted])
            work.touched.update(received.request_id for received in accepted)
        new = [received for received in batch if received.request_id in fresh or received.request_id in others]
        await self._find_order(new, fresh, people, work)
        work.touched.update(await store.stir(work.connection, {received.request_id for received in batch}, fresh))

    async def _find_order(
        self, new: Sequence[Opened], accepted: frozenset[UUID], people: Sequence[PersonKey], work: Work
    ) -> None:
        """Whom the new ones go after: those they name, and copies of the same person that were asked for before."""
        pairs = {
            (received.request_id, other)
            for received in new
            if received.request_id in accepted
            for other in received.body.after
            if other != received.request_id
        }
        if pairs:
            await store.wait(work.connection, pairs, work.now)
        awaited = {other for _, other in pairs}
        copies = {received.request_id for received in new if received.body.right in COPIES}
        if copies:
            await store.remember_people(work.connection, [key for key in people if key.request_id in copies])
        destructive = {received.request_id for received in new if received.body.right in DESTRUCTIVE} & accepted
        if destructive:
            # Said of copies too: what was one in triage may be classified as something else.
            awaited |= await store.wait_for_copies(
                work.connection, [key for key in people if key.request_id in destructive], work.now
            )
        for other in sorted(awaited):
            work.send(PROGRESS, CollectionAwaited(request_id=other), subject=other)

    async def added(self, batch: Sequence[Received[IdentitiesAdded, FoundPersonal]], work: Work) -> None:
        bodies = [received.body for received in batch]
        await store.record_additions(
            work.connection, [Addition(body.request_id, body.amendment_id, body.personal) for body in bodies]
        )
        work.touched.update(body.request_id for body in bodies)

    async def finished(self, batch: Sequence[Received[SystemsFinished, FoundPersonal]], work: Work) -> None:
        findings = [
            Finding(body.request_id, tuple(sorted(body.systems)), body.personal)
            for body in (received.body for received in batch)
        ]
        await store.record_findings(work.connection, findings)
        work.touched.update(finding.request_id for finding in findings)

    async def collected(self, batch: Sequence[Received[RequestCollected, None]], work: Work) -> None:
        request_ids = {received.request_id for received in batch if received.body.let_go is None}
        let_go = {(received.body.let_go, received.request_id) for received in batch if received.body.let_go is not None}
        await store.collect(work.connection, request_ids)
        await store.release(work.connection, let_go)
        work.touched.update(request_id for request_id, _ in let_go)
        work.touched.update(await store.stir(work.connection, request_ids))

    async def ordered(self, batch: Sequence[Received[RoundOrdered, None]], work: Work) -> None:
        await store.record_orders(work.connection, [(received.request_id, _order(received.body)) for received in batch])
        work.touched.update(received.request_id for received in batch)

    async def stopped(self, batch: Sequence[Received[RequestStopped, None]], work: Work) -> None:
        await store.stop(work.connection, {received.request_id: received.body.finished for received in batch})
        work.touched.update(received.request_id for received in batch)

    async def miss_predecessors(self, work: Work) -> None:
        """A request that waits for one nobody has heard of is shown to a person, and goes on waiting."""
        work.touched.update(await store.miss(work.connection, work.now - PREDECESSOR_PATIENCE))

    async def settle(self, work: Work) -> None:
        """Plan what has no plan, ask whom the facts allow to be asked, cancel what has ended."""
        if not work.touched:
            return
        plans = [self._advance(case, work) for case in await store.lock_cases(work.connection, work.touched)]
        await store.save(work.connection, [plan for plan in plans if plan is not None])

    def _advance(self, case: Case, work: Work) -> SavedPlan | None:
        """The plan where it changed; what follows from it is said."""
        request = case.request
        opened = work.open(RequestOpened, OpenedPersonal, request.personal, subject=request.request_id)
        identities = _identities(case, opened, work)
        facts = _facts(case, identities)
        wish = Wish.of(Right(request.right), opened.details)
        plan = case.plan or self._planner.plan(
            Right(request.right),
            request.regulation,
            facts,
            received_at=request.received_at,
            due_at=request.due_at,
            wish=wish,
        )
        plan = domain.apply(plan, domain.advance(plan, facts))
        for order in case.orders:
            if order.order_id not in plan.orders and case.ended_with is None:
                changes = domain.carry_out(plan, order, registry=self._registry, now=work.now)
                plan = replace(domain.apply(plan, changes), orders=(*plan.orders, order.order_id))
        if case.ended_with is not None:
            plan = replace(plan, stopped=True)
        if plan == case.plan:
            return None
        for item in plan.items:
            for attempt in range(_given(case.plan, item.system) + 1, len(item.given) + 1):
                self._ask(item, attempt, request, opened, identities, work)
        if case.ended_with is not None and not (case.plan and case.plan.stopped):
            _cancel(plan, request, case.ended_with, work)
        saved = SavedPlan(request.request_id, plan, case.plan_version + 1)
        work.send(PROGRESS, _plan_made(saved), subject=request.request_id)
        return saved

    def _ask(
        self,
        item: PlanItem,
        attempt: int,
        request: Request,
        opened: OpenedPersonal,
        identities: Sequence[Identity],
        work: Work,
    ) -> None:
        assignment, action, right = item.assignment, item.given[attempt - 1], Right(request.right)
        if assignment is None:
            return
        identifier = task_id(request.request_id, item.system, attempt)
        personal = TaskPersonal(
            subject=TaskSubject(identities=domain.identities_for(assignment, identities)),
            details=_details(action, right, assignment, opened),
        )
        body = TaskAssigned(
            task_id=identifier,
            request_id=request.request_id,
            system=item.system,
            attempt=attempt,
            action=action,
            right=right,
            regulation=request.regulation,
            policy_version=self._registry.policy.version,
            scope=assignment.scope,
            period=opened.details.period if action in _DATED else None,
            due_at=request.due_at if action is Action.HOLD else assignment.due_at,
            personal=work.seal(
                TaskAssigned, personal, subject=request.request_id, participant=item.system, task_id=identifier
            ),
        )
        work.send(tasks(item.system), body, subject=request.request_id)


_DATED: Final = frozenset({Action.ACCESS, Action.EXPORT})
"""A copy can be of a period; nothing else is limited so."""


def _is_accepted(body: RequestOpened) -> bool:
    return body.decision is Decision.ACCEPTED and body.regulation is not None and body.due is not None


def _request(body: RequestOpened) -> Request:
    if body.regulation is None or body.due is None:
        raise ValueError("an accepted request has its regulation and due date")
    return Request(body.request_id, body.right, body.regulation, body.received_at, body.due.at, body.personal)


def _order(body: RoundOrdered) -> Order:
    action = None if body.action is None else Action(body.action)
    return Order(body.order_id, frozenset(body.systems), action, frozenset(body.categories))


def _identities(case: Case, opened: OpenedPersonal, work: Work) -> tuple[Identity, ...]:
    """Proven at first, proven later, found by systems; each once."""
    request_id = case.request.request_id
    sealed: list[tuple[type[Message], str]] = [
        *((IdentitiesAdded, personal) for personal in case.additions),
        *((SystemsFinished, finding.personal) for finding in case.findings),
    ]
    found = (work.open(model, FoundPersonal, personal, subject=request_id).identities for model, personal in sealed)
    every = [*opened.subject.identities, *(identity for some in found for identity in some)]
    return tuple({(item.identity_type, item.identity_value): item for item in reversed(every)}.values())


def _facts(case: Case, identities: Iterable[Identity]) -> Facts:
    blocked: Blocked | None = None
    if case.waits:
        blocked = Reason.PREDECESSOR_MISSING if any(case.waits) else Reason.COMES_AFTER_ANOTHER
    return Facts(
        known=frozenset(identity.identity_type for identity in identities),
        finished=frozenset(system for finding in case.findings for system in finding.systems),
        blocked=blocked,
        ended=case.ended_with is not None,
    )


def _details(action: Action, right: Right, assignment: Assignment, opened: OpenedPersonal) -> TaskDetails:
    """What concerns the system's categories, and no more (data minimisation, Art. 5(1)(c))."""
    if action is Action.RECTIFY:
        categories = {entry.category for entry in assignment.scope}
        return TaskDetails(
            corrections=tuple(entry for entry in opened.details.corrections if entry.category in categories)
        )
    if right in STOPPING:
        concerned = {purpose for entry in assignment.scope for purpose in entry.purposes}
        return TaskDetails(purposes=tuple(purpose for purpose in opened.details.purposes if purpose in concerned))
    return TaskDetails()


def _given(plan: Plan | None, system: str) -> int:
    return len(plan[system].given) if plan else 0


def _cancel(plan: Plan, request: Request, finished: frozenset[str], work: Work) -> None:
    """The last task of each system that has not answered. One that answers all the same has crossed it: no harm."""
    for item in plan.items:
        if item.given and item.system not in finished:
            body = TaskCancelled(
                task_id=task_id(request.request_id, item.system, len(item.given)),
                request_id=request.request_id,
                reason=Reason.REQUEST_ENDED,
            )
            work.send(tasks(item.system), body, subject=request.request_id)


def _person_keys(batch: Sequence[Opened], work: Work) -> list[PersonKey]:
    """Under every key of ours: after a rotation the older requests are still recognised."""
    return [
        PersonKey(
            work.keyring.fingerprint(kid, domain.person(identity)), received.request_id, received.body.received_at
        )
        for received in batch
        for identity in received.personal.subject.identities
        for kid in work.keyring.kids(SERVICES)
    ]


@lru_cache(maxsize=4096)
def task_id(request_id: UUID, system: str, attempt: int) -> UUID:
    """The natural key as an id: an attempt has the same id wherever it is computed."""
    return uuid5(request_id, f"{system}/{attempt}")


def _plan_made(saved: SavedPlan) -> PlanMade:
    return PlanMade(
        request_id=saved.request_id,
        version=saved.version,
        systems=tuple(_planned(saved.request_id, item) for item in saved.plan.items),
    )


def _planned(request_id: UUID, item: PlanItem) -> PlannedSystem:
    given = [
        PastTask(task_id=task_id(request_id, item.system, attempt), action=action)
        for attempt, action in enumerate(item.given, 1)
    ]
    current = given.pop() if isinstance(item, Asked) else None
    return PlannedSystem(
        system=item.system,
        state=item.state,
        action=item.assignment.action if item.assignment else None,
        task_id=current.task_id if current else None,
        attempt=len(item.given) if current else 0,
        due_at=item.assignment.due_at if item.assignment else None,
        reason=item.reason,
        earlier=tuple(given),
        left_out=tuple(LeftOutCategory(category=out.category, ground=out.ground) for out in item.left_out),
        categories=tuple(entry.category for entry in item.assignment.scope) if item.assignment else (),
    )
