"""Fan-out's tables: opened requests with their plans, who waits for whom, what was found, added and ordered."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from habeas.contracts.vocabulary import Action
from services.fanout.plan import Order, Plan
from shared.database import Connection, load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_plan_of = lru_cache(maxsize=1024)(Plan.of)


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
class Addition:
    """Sealed identities that were proven later."""

    request_id: UUID
    amendment_id: UUID
    personal: str


class PersonKey(NamedTuple):
    """That a request is about the person with this keyed hash of an identity."""

    hash: bytes
    request_id: UUID
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """Everything known of a request, its row locked. `plan` is None before the first one."""

    request: Request
    plan: Plan | None
    plan_version: int
    findings: tuple[Finding, ...]
    additions: tuple[str, ...]
    """Sealed identities that were proven later."""
    orders: tuple[Order, ...]
    waits: tuple[bool, ...]
    """One for each request that comes first: whether nobody has heard of it for too long."""
    ended_with: frozenset[str] | None
    """The systems that had answered when the request ended early; None while it has not."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    request_id: UUID
    plan: Plan
    version: int


async def open_requests(
    connection: Connection, requests: Collection[Request], plans: Mapping[UUID, Plan]
) -> tuple[frozenset[UUID], frozenset[UUID]]:
    """Those that were not open before; and those of them that have got their first plan with it, out of `plans`: of
    these nothing was known before, and whoever records a fact from now on sees the plan."""
    ordered = sorted({request.request_id: request for request in requests}.values(), key=lambda item: item.request_id)
    await _keep(connection, plans.values())
    given = [plans.get(request.request_id) for request in ordered]
    rows = await connection.fetch(
        _SQL["open"],
        [request.request_id for request in ordered],
        [request.right for request in ordered],
        [request.regulation for request in ordered],
        [request.received_at for request in ordered],
        [request.due_at for request in ordered],
        [request.personal for request in ordered],
        [None if plan is None else plan.plan_id for plan in given],
    )
    return (
        frozenset(row["request_id"] for row in rows),
        frozenset(row["request_id"] for row in rows if row["planned"]),
    )


async def hear_of(connection: Connection, requests: Mapping[UUID, bool]) -> None:
    """Requests that are not carried out (yet), and whether there is nothing to wait for."""
    ordered = sorted(requests)
    await connection.execute(_SQL["hear_of"], ordered, [requests[request_id] for request_id in ordered])


async def collect(connection: Connection, request_ids: Collection[UUID]) -> None:
    """Nobody needs to wait for these any more. Locks them."""
    await connection.execute(_SQL["collect"], sorted(request_ids))
    await connection.execute(_SQL["forget_people"], list(request_ids))


async def wait(connection: Connection, pairs: Collection[tuple[UUID, UUID]], since: datetime) -> None:
    """Each first request goes after its second one."""
    ordered = sorted(pairs)
    await connection.execute(_SQL["remember"], sorted({other for _, other in ordered}))
    await connection.execute(_SQL["wait"], [one for one, _ in ordered], [other for _, other in ordered], since)


async def release(connection: Connection, pairs: Collection[tuple[UUID, UUID]]) -> None:
    """Each first request goes without its second one."""
    ordered = sorted(pairs)
    await connection.execute(_SQL["release"], [one for one, _ in ordered], [other for _, other in ordered])


async def stir(connection: Connection, heard_of: Collection[UUID], new: Collection[UUID] = ()) -> frozenset[UUID]:
    """Whose turn may have come: those who wait for requests `heard_of` just now, and all that wait for each other in a
    circle with one of the `new` ones, since the one that goes first may be any of them."""
    rows = await connection.fetch(_SQL["stir"], list(heard_of), list(new))
    return frozenset(row["request_id"] for row in rows)


async def take_turns(connection: Connection, keys: Collection[PersonKey]) -> None:
    """Until the transaction ends nobody else opens a request of any of these people: a copy and an erasure that come at
    the same moment must not miss each other."""
    hashes = [key.hash for key in keys]
    await connection.execute(_SQL["take_turns"], hashes)
    await connection.execute(_SQL["end_turns"], hashes)


async def copies_ahead(connection: Connection, keys: Collection[PersonKey]) -> frozenset[tuple[UUID, UUID]]:
    """Requests with the copies of the same person that were asked for before and are still being collected."""
    copies: dict[bytes, list[PersonKey]] = defaultdict(list)
    for row in await connection.fetch(_SQL["copies"], [key.hash for key in keys]):
        copies[row["hash"]].append(PersonKey(*row))
    if not copies:
        return frozenset()
    return frozenset(
        (key.request_id, copy.request_id)
        for key in keys
        for copy in copies.get(key.hash, ())
        if copy.request_id != key.request_id and copy.received_at <= key.received_at
    )


async def remember_people(connection: Connection, keys: Collection[PersonKey]) -> None:
    ordered = sorted(keys, key=lambda key: (key.hash, key.request_id))
    await connection.execute(
        _SQL["remember_people"],
        [key.hash for key in ordered],
        [key.request_id for key in ordered],
        [key.received_at for key in ordered],
    )


async def miss(connection: Connection, before: datetime) -> frozenset[UUID]:
    """Who has waited since `before` for a request that nobody has heard of."""
    return frozenset(row["request_id"] for row in await connection.fetch(_SQL["miss"], before))


async def record_findings(connection: Connection, findings: Collection[Finding]) -> None:
    ordered = sorted(findings, key=lambda finding: (finding.request_id, finding.systems))
    await connection.execute(
        _SQL["find"],
        [finding.request_id for finding in ordered],
        [",".join(finding.systems) for finding in ordered],
        [finding.personal for finding in ordered],
    )


async def record_additions(connection: Connection, additions: Collection[Addition]) -> None:
    ordered = sorted(additions, key=lambda addition: (addition.request_id, addition.amendment_id))
    await connection.execute(
        _SQL["add"],
        [addition.request_id for addition in ordered],
        [addition.amendment_id for addition in ordered],
        [addition.personal for addition in ordered],
    )


async def record_orders(connection: Connection, orders: Collection[tuple[UUID, Order]]) -> None:
    ordered = sorted(orders, key=lambda pair: (pair[0], pair[1].order_id))
    await connection.execute(
        _SQL["order"],
        [request_id for request_id, _ in ordered],
        [order.order_id for _, order in ordered],
        [",".join(sorted(order.systems)) for _, order in ordered],
        [order.action for _, order in ordered],
        [",".join(sorted(order.categories)) for _, order in ordered],
    )


async def stop(connection: Connection, finished: Mapping[UUID, Collection[str]]) -> None:
    """Requests that ended before their systems did, and the systems that had answered."""
    ordered = sorted(finished)
    await connection.execute(_SQL["stop"], ordered, [",".join(sorted(finished[request_id])) for request_id in ordered])


async def lock_cases(connection: Connection, request_ids: Collection[UUID]) -> list[Case]:
    """The opened ones among them, in id order. Facts are read after the lock, lest two batches miss each other's.

    The ones that they wait for are locked with them: so whether these are collected is seen by the one or the other.
    """
    ordered = sorted(request_ids)
    rows = await connection.fetch(_SQL["lock"], ordered)
    if set(ordered) - {row["request_id"] for row in rows}:  # facts that came before their request lock it too
        await connection.execute(_SQL["remember"], ordered)
        rows = await connection.fetch(_SQL["lock"], ordered)
    opened = [row for row in rows if row["personal"] is not None and row["request_id"] in request_ids]
    if not opened:
        return []
    ids = [row["request_id"] for row in opened]
    await connection.execute(_SQL["end_waits"], ids)
    facts = {row["request_id"]: row for row in await connection.fetch(_SQL["facts"], ids)}
    plans = await _plans(connection, {row["plan_id"] for row in opened if row["plan_id"] is not None})
    cases = []
    for row in opened:
        request_id, fact = row["request_id"], facts[row["request_id"]]
        cases.append(
            Case(
                Request(
                    request_id, row["right"], row["regulation"], row["received_at"], row["due_at"], row["personal"]
                ),
                plans.get(row["plan_id"]),
                row["plan_version"],
                tuple(Finding(request_id, tuple(systems), personal) for systems, personal in fact["findings"]),
                tuple(fact["additions"]),
                tuple(
                    Order(order_id, frozenset(systems), Action(action) if action else None, frozenset(categories))
                    for order_id, systems, action, categories in fact["orders"]
                ),
                tuple(fact["waits"]),
                None if row["finished"] is None else frozenset(row["finished"]),
            )
        )
    return cases


async def save(connection: Connection, plans: Sequence[SavedPlan]) -> None:
    if plans:
        await _keep(connection, [saved.plan for saved in plans])
        await connection.execute(
            _SQL["save_plans"],
            [saved.request_id for saved in plans],
            [saved.plan.plan_id for saved in plans],
            [saved.version for saved in plans],
        )


async def _keep(connection: Connection, plans: Iterable[Plan]) -> None:
    """Each once, whoever has it: there are few in a batch, and what is stored already costs a look."""
    made = {plan.plan_id: plan.text for plan in plans}
    if made:
        ordered = sorted(made)
        await connection.execute(_SQL["keep_plans"], ordered, [made[plan_id] for plan_id in ordered])


async def _plans(connection: Connection, plan_ids: Collection[UUID]) -> Mapping[UUID, Plan]:
    if not plan_ids:
        return {}
    rows = await connection.fetch(_SQL["plans"], list(plan_ids))
    return {row["plan_id"]: _plan_of(row["plan"]) for row in rows}
