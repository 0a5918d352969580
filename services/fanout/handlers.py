"""Messages in: opened requests, what finished systems found, who may go on, further rounds, early ends."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from habeas.contracts import Message
from habeas.contracts.submission import Identity
from habeas.contracts.topics import PROGRESS
from habeas.contracts.vocabulary import COPIES, Action, Right
from services.fanout import domain, store
from services.fanout.domain import DESTRUCTIVE
from services.fanout.forms import Person
from services.fanout.plan import Blocked, Facts, Order, Plan, Reason
from services.fanout.said import Decided, cancel, say_plans
from services.fanout.scope import Wish
from services.fanout.store import Addition, Case, Finding, PersonKey, Request, SavedPlan
from shared.events import (
    SERVICES,
    CollectionAwaited,
    Decision,
    FoundPersonal,
    IdentitiesAdded,
    OpenedPersonal,
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
        """Accepted requests get a plan; the others are heard of, since some may have to go after them.

        Copies are opened before what would destroy what they copy, which looks for them.
        """
        accepted = {received.request_id: received for received in batch if _is_accepted(received.body)}
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
        named = {
            (request_id, other)
            for request_id, received in accepted.items()
            for other in received.body.after
            if other != request_id
        }
        destructive = [each for each in accepted.values() if each.body.right in DESTRUCTIVE]
        harmless = [each for each in accepted.values() if each.body.right not in DESTRUCTIVE]
        fresh = await self._open(harmless, named, work)
        copies = {each.request_id for each in batch if each.body.right in COPIES} & (fresh | others.keys())
        if copies:
            await store.remember_people(work.connection, [key for key in people if key.request_id in copies])
        if destructive:
            asking = {each.request_id for each in destructive}
            # Copies in triage too: what was one there may be classified as something else.
            named |= await store.copies_ahead(work.connection, [key for key in people if key.request_id in asking])
            fresh |= await self._open(destructive, named, work)
        pairs = {(request_id, other) for request_id, other in named if request_id in fresh}
        if pairs:
            await store.wait(work.connection, pairs, work.now)
        for other in sorted({other for _, other in pairs}):
            work.send(PROGRESS, CollectionAwaited(request_id=other), subject=other)
        waiting = {request_id for request_id, _ in pairs}
        work.touched.update(await store.stir(work.connection, {each.request_id for each in batch}, waiting))

    async def _open(
        self, accepted: Sequence[Opened], named: Collection[tuple[UUID, UUID]], work: Work
    ) -> frozenset[UUID]:
        """Those that are new. One that goes after nobody in `named`, and of which nothing else is known, is planned at
        once: there is nothing to read back and nobody else to see. The others are settled."""
        if not accepted:
            return frozenset()
        later = work.touched.union(request_id for request_id, _ in named)
        cases = {each.request_id: _first_case(each) for each in accepted}
        plans = {
            request_id: self._first_plan(request, person, _facts_at_first(person))
            for request_id, (request, person) in cases.items()
            if request_id not in later
        }
        fresh, planned = await store.open_requests(work.connection, [request for request, _ in cases.values()], plans)
        decided = [Decided(plans[request_id], 1, *cases[request_id]) for request_id in sorted(planned)]
        say_plans(decided, work, policy=self._registry.policy.version)
        work.touched.update(fresh - planned)
        return fresh

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
        cases = await store.lock_cases(work.connection, work.touched)
        advanced = [(case, decided) for case in cases if (decided := self._advance(case, work)) is not None]
        say_plans([decided for _, decided in advanced], work, policy=self._registry.policy.version)
        for case, decided in advanced:
            if case.ended_with is not None and not (case.plan and case.plan.stopped):
                cancel(decided.plan, case.request, case.ended_with, work)
        await store.save(
            work.connection,
            [SavedPlan(case.request.request_id, decided.plan, decided.version) for case, decided in advanced],
        )

    def _advance(self, case: Case, work: Work) -> Decided | None:
        """The plan where it changed."""
        request = case.request
        opened = work.open(RequestOpened, OpenedPersonal, request.personal, subject=request.request_id)
        person = Person(_identities(case, opened, work), opened.details)
        facts = _facts(case, person.identities)
        if case.plan is None:
            plan = self._first_plan(request, person, facts)
        else:
            plan = self._planner.advanced(case.plan, facts)
        for order in case.orders:
            if order.order_id not in plan.orders and case.ended_with is None:
                changes = domain.carry_out(
                    plan,
                    order,
                    registry=self._registry,
                    now=work.now,
                    received_at=request.received_at,
                    due_at=request.due_at,
                )
                plan = replace(domain.apply(plan, changes), orders=(*plan.orders, order.order_id))
        if case.ended_with is not None and not plan.stopped:
            plan = replace(plan, stopped=True)
        if plan == case.plan:
            return None
        return Decided(plan, case.plan_version + 1, request, person, former=case.plan)

    def _first_plan(self, request: Request, person: Person, facts: Facts) -> Plan:
        right = Right(request.right)
        return self._planner.plan(right, request.regulation, facts, Wish.of(right, person.details))


def _is_accepted(body: RequestOpened) -> bool:
    return body.decision is Decision.ACCEPTED and body.regulation is not None and body.due is not None


def _request(body: RequestOpened) -> Request:
    if body.regulation is None or body.due is None:
        raise ValueError("an accepted request has its regulation and due date")
    return Request(body.request_id, body.right, body.regulation, body.received_at, body.due.at, body.personal)


def _first_case(received: Opened) -> tuple[Request, Person]:
    return _request(received.body), Person(_each_once(received.personal.subject.identities), received.personal.details)


def _facts_at_first(person: Person) -> Facts:
    return Facts(known=frozenset([identity.identity_type for identity in person.identities]))


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
    return _each_once([*opened.subject.identities, *(identity for some in found for identity in some)])


def _each_once(identities: Sequence[Identity]) -> tuple[Identity, ...]:
    if len(identities) < 2:
        return tuple(identities)
    return tuple({(item.identity_type, item.identity_value): item for item in reversed(identities)}.values())


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


def _person_keys(batch: Sequence[Opened], work: Work) -> list[PersonKey]:
    """Under every key of ours: after a rotation the older requests are still recognised."""
    kids = work.keyring.kids(SERVICES)
    return [
        PersonKey(work.keyring.fingerprint(kid, person), received.request_id, received.body.received_at)
        for received in batch
        for person in map(domain.person, received.personal.subject.identities)
        for kid in kids
    ]
