"""Intake, fan-out and collector together, whatever order and repetition Kafka hands their records over in.

Each is its real handlers over real PostgreSQL, with a real outbox; between them stands a mail carrier who shuffles.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from obstore.store import MemoryStore

from habeas.contracts.result import Record, ResultPersonal, SummaryItem, TaskFinished
from habeas.contracts.status import StatusChanged
from habeas.contracts.submission import Identity
from habeas.contracts.task import TaskAssigned
from habeas.contracts.topics import OUTCOMES, PROGRESS, REQUESTS, results, sender, submissions
from services.collector.assembler import Assembler
from services.collector.handlers import Handlers as CollectorHandlers
from services.fanout.app import assemble as assemble_fanout
from services.intake.app import assemble as assemble_intake
from shared.events import (
    DeliveryResult,
    NoticeDelivered,
    NoticeRequested,
    PlanMade,
    RequestOpened,
    SubmissionRefused,
)
from shared.messaging.consumer import Consumer, Route
from shared.messaging.service import Context
from tests.core.fixtures import MakeOutbox
from tests.core.workbench import NOW, REGISTRY, Clock, Keys, PrivateOutbox, Raw, as_raw, ce_type, event, raw, said
from tests.intake.samples import identity, person, proof, submitted
from tests.stack_database import Database

FOUND = {
    "billing": (
        Identity(identity_type="account_id", identity_value="acc-1"),
        Identity(identity_type="payment_customer_id", identity_value="cus-1"),
    )
}


@dataclass
class World:
    consumers: dict[str, Consumer]
    outboxes: dict[str, PrivateOutbox]
    assembler: Assembler
    keys: Keys
    answers: dict[str, str]
    """What each system answers."""
    pending: list[tuple[str, Raw]] = field(default_factory=list)
    statuses: dict[UUID, list[StatusChanged]] = field(default_factory=dict)
    tasks: list[UUID] = field(default_factory=list)
    holds: list[UUID] = field(default_factory=list)
    """Tasks to keep everything meanwhile: an erasure waits for the copy of the same person."""
    notices: list[tuple[UUID, str]] = field(default_factory=list)
    letters: list[Any] = field(default_factory=list)

    async def run(self, order: random.Random) -> None:
        """Until nothing is on its way: records in any order, in batches of any size, a third of them twice."""
        while True:
            while self.pending:
                service = order.choice(self.pending)[0]
                mine = [entry for entry in self.pending if entry[0] == service]
                order.shuffle(mine)
                batch = mine[: order.randint(1, len(mine))]
                for entry in batch:
                    self.pending.remove(entry)
                repeated = [entry for entry in batch if order.random() < 0.3]
                records = [each for _, each in (*batch, *repeated)]
                await self.consumers[service].handle(records)
                if order.random() < 0.3:
                    await self.consumers[service].handle(records)
                self._carry()
            if not await self.assembler.assemble(self.consumers["collector"]):
                return
            self._carry()

    def _carry(self) -> None:
        for outbox in self.outboxes.values():
            for record in outbox.take():
                if record.topic in (REQUESTS, PROGRESS):
                    self.pending += [("collector", as_raw(record)), ("fanout", as_raw(record))]
                elif record.topic == OUTCOMES:
                    self._mail(said(record, NoticeRequested).body)
                elif ce_type(record) == TaskAssigned.TYPE:
                    self._answer(sender(record.topic) or "", said(record, TaskAssigned).body)
                elif ce_type(record) == StatusChanged.TYPE:
                    body = said(record, StatusChanged).body
                    self.statuses.setdefault(body.request_id, []).append(body)
                else:
                    self.letters.append(record)

    def _mail(self, notice: NoticeRequested) -> None:
        self.notices.append((notice.request_id, str(notice.notice)))
        told = NoticeDelivered(
            request_id=notice.request_id,
            notice=notice.notice,
            recipient=notice.recipient,
            ordinal=1,
            result=DeliveryResult.ACCEPTED,
            at=NOW,
        )
        self.pending.append(("collector", raw(PROGRESS, event(told))))

    def _answer(self, system: str, task: TaskAssigned) -> None:
        (self.holds if task.action == "hold" else self.tasks).append(task.task_id)
        outcome = self.answers[system]
        did = {"access": "disclosed", "erase": "deleted", "hold": "retained"}[str(task.action)]
        held = outcome == "completed"
        category = task.scope[0].category
        shown = Record(id="1", category=category, origin="provided", data={"name": "Ana"})
        personal = ResultPersonal(records=(shown,) if held else (), identities=FOUND.get(system, ()) if held else ())
        body = TaskFinished(
            task_id=task.task_id,
            request_id=task.request_id,
            system=system,
            outcome=outcome,
            summary=(SummaryItem(category=category, did=did, count=1),) if held else (),
            personal=self.keys.seal(system, TaskFinished, task.request_id, personal, task.task_id),
        )
        self.pending.append(("collector", raw(results(system), event(body))))


@pytest.fixture
async def new_world(
    database: Database, make_outbox: MakeOutbox, keys: Keys, clock: Clock
) -> Callable[[dict[str, str]], World]:
    pools = {name: await database.pool(name) for name in ("intake", "fanout", "collector")}
    assembler = Assembler(REGISTRY, MemoryStore())
    handlers = CollectorHandlers(REGISTRY, clock, assembler.wake)
    systems = tuple(results(system) for system in REGISTRY.systems)
    outboxes = {
        "intake": await make_outbox(pools["intake"]),
        "fanout": await make_outbox(pools["fanout"]),
        "collector": await make_outbox(pools["collector"], handlers.repair),
    }
    consumers = {}
    for name, assemble in (("intake", assemble_intake), ("fanout", assemble_fanout)):
        context: Context[Any] = Context(None, REGISTRY, keys.file, pools[name], clock)
        parts = assemble(context)
        consumers[name] = Consumer(
            name, parts.routes, pools[name], outboxes[name], keys.file, clock, parts.settle, parts.on_refused
        )
    consumers["collector"] = Consumer(
        "collector",
        (
            Route((REQUESTS,), RequestOpened, handlers.opened),
            Route((REQUESTS,), SubmissionRefused, handlers.refused),
            Route((PROGRESS,), PlanMade, handlers.planned),
            Route((PROGRESS,), NoticeDelivered, handlers.delivered),
            Route(systems, TaskFinished, handlers.finished),
        ),
        pools["collector"],
        outboxes["collector"],
        keys.file,
        clock,
        handlers.settle,
    )
    return lambda answers: World(consumers, outboxes, assembler, keys, answers)


HOLDS = dict.fromkeys(("billing", "support", "analytics", "payments"), "completed")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("answers", "outcome", "asked"),
    [
        (HOLDS, "completed", 4),
        (HOLDS | {"payments": "partial"}, "partially_completed", 4),
        (dict.fromkeys(HOLDS, "nothing_held"), "nothing_held", 2),
    ],
    ids=["held", "partly", "unknown"],
)
async def test_many_requests_in_any_order(
    new_world: Callable[[dict[str, str]], World],
    keys: Keys,
    seed: int,
    answers: dict[str, str],
    outcome: str,
    asked: int,
) -> None:
    order = random.Random(seed)
    world = new_world(answers)
    records = [
        submitted(keys, person(identity(f"p{number}@example.org", shown=proof())), right=right)
        for number in range(4)
        for right in ("access", "erasure")
    ]
    assert {record.topic for record in records} == {submissions("web")}
    world.pending = [("intake", record) for record in records]
    await world.run(order)
    assert world.letters == []
    assert len(world.statuses) == len(records)
    for told in world.statuses.values():
        assert [each.version for each in told] == list(range(1, len(told) + 1))
        assert (told[-1].state, told[-1].outcome) == ("closed", outcome)
        assert sum(each.state == "finished" for each in told[-1].systems) == asked
        assert sum(each.state == "closed" for each in told) == 1
        given = told[-1].answer is not None
        assert given == (told[-1].right == "access" and outcome != "nothing_held")
    assert len(set(world.tasks)) == len(world.tasks) == asked * len(records)
    assert len(set(world.holds)) == len(world.holds) <= 2 * len(records) // 2
    assert sorted(world.notices) == sorted(
        (request_id, notice) for request_id in world.statuses for notice in ("acknowledged", outcome)
    )
