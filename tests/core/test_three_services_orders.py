"""Intake, fan-out and collector together, where requests come after each other, are taken back, fail and are repeated.

Every record may come twice and in any order, a command from two operators at once: each request ends once, and no
erasure overtakes the copy that it comes after.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from obstore.store import MemoryStore

from habeas.contracts.command import CommandDecided, CommandRetry, CommandWeigh, Order
from habeas.contracts.result import ResultPersonal, SummaryItem, TaskError, TaskFinished
from habeas.contracts.status import StatusChanged
from habeas.contracts.task import TaskAssigned, TaskCancelled
from habeas.contracts.topics import COMMANDS, OUTCOMES, PROGRESS, REQUESTS, results, sender
from services.collector.assembler import Assembler
from services.collector.commands import Commands
from services.collector.handlers import Handlers as CollectorHandlers
from services.fanout.app import assemble as assemble_fanout
from services.intake.app import assemble as assemble_intake
from shared.events import (
    CollectionAwaited,
    DeliveryResult,
    NoticeDelivered,
    NoticeRequested,
    PlanMade,
    RequestOpened,
    WithdrawalReceived,
)
from shared.messaging.consumer import Consumer, Route
from shared.messaging.service import Context
from tests.core.fixtures import MakeOutbox
from tests.core.workbench import NOW, REGISTRY, Clock, Keys, PrivateOutbox, Raw, as_raw, ce_type, event, raw, said
from tests.intake.samples import identity, person, proof, submitted, withdrawn
from tests.stack_database import Database

DID = {
    "access": "disclosed",
    "erase": "deleted",
    "hold": "retained",
    "restrict": "restricted",
    "object": "stopped",
    "unrestrict": "unrestricted",
}
FINAL = {"completed", "partially_completed", "nothing_held", "refused", "withdrawn"}


@dataclass
class World:
    consumers: dict[str, Consumer]
    outboxes: dict[str, PrivateOutbox]
    assembler: Assembler
    keys: Keys
    order: random.Random
    pending: list[tuple[str, Raw]] = field(default_factory=list)
    statuses: dict[UUID, list[StatusChanged]] = field(default_factory=dict)
    notices: list[tuple[UUID, str]] = field(default_factory=list)
    given: dict[UUID, list[tuple[str, str]]] = field(default_factory=dict)
    """System and action of every task of a request, as they were given."""
    tasks: Counter[UUID] = field(default_factory=Counter)
    decided: list[CommandDecided] = field(default_factory=list)
    log: list[tuple[UUID, str, str]] = field(default_factory=list)
    letters: list[Any] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            while self.pending:
                service = self.order.choice(self.pending)[0]
                mine = [entry for entry in self.pending if entry[0] == service]
                self.order.shuffle(mine)
                batch = mine[: self.order.randint(1, len(mine))]
                for entry in batch:
                    self.pending.remove(entry)
                records = [each for _, each in (*batch, *batch)]  # each twice
                self.order.shuffle(records)
                await self.consumers[service].handle(records)
                if self.order.random() < 0.3:
                    await self.consumers[service].handle(records)
                self._carry()
            if not await self.assembler.assemble(self.consumers["collector"]):
                return
            self._carry()

    def _carry(self) -> None:
        for outbox in self.outboxes.values():
            for record in outbox.take():
                kind = ce_type(record)
                if record.topic in (REQUESTS, PROGRESS):
                    self.pending += [("collector", as_raw(record)), ("fanout", as_raw(record))]
                elif record.topic == OUTCOMES:
                    self._mail(said(record, NoticeRequested).body)
                elif kind == TaskAssigned.TYPE:
                    self._answer(sender(record.topic) or "", said(record, TaskAssigned).body)
                elif kind == StatusChanged.TYPE:
                    self._told(said(record, StatusChanged).body)
                elif kind == CommandDecided.TYPE:
                    self.decided.append(said(record, CommandDecided).body)
                elif kind != TaskCancelled.TYPE:
                    self.letters.append(record)

    def _told(self, status: StatusChanged) -> None:
        self.statuses.setdefault(status.request_id, []).append(status)
        code = status.reason.code if status.state == "in_review" and status.reason else None
        for _ in range(2):  # two operators, who look at the same status
            version = status.version if self.order.random() < 0.5 else None
            if code == "system_failed":
                failed = next(each.system for each in status.systems if each.outcome == "failed")
                self._command(CommandRetry, status.request_id, expected_version=version, system=failed)
            elif code == "objection_to_weigh":
                verdict = self.order.choice(["upheld", "overridden"])
                self._command(CommandWeigh, status.request_id, expected_version=version, verdict=verdict)

    def _command(self, model: type[Order], request_id: UUID, **members: Any) -> None:
        command = model(
            command_id=UUID(int=self.order.getrandbits(128), version=4),
            request_id=request_id,
            by="dpo",
            reason="checked",
            **members,
        )
        self.pending.append(("collector", raw(COMMANDS, event(command))))

    def _mail(self, notice: NoticeRequested) -> None:
        self.notices.append((notice.request_id, str(notice.notice)))
        told = NoticeDelivered(
            request_id=notice.request_id,
            notice=notice.notice,
            recipient=notice.recipient,
            ordinal=notice.ordinal,
            result=DeliveryResult.ACCEPTED,
            at=NOW,
        )
        self.pending.append(("collector", raw(PROGRESS, event(told))))

    def _answer(self, system: str, task: TaskAssigned) -> None:
        self.tasks[task.task_id] += 1
        action = str(task.action)
        self.log.append((task.request_id, system, action))
        tried = self.given.setdefault(task.request_id, [])
        again = (system, action) in tried
        tried.append((system, action))
        fails = action not in ("hold", "unrestrict") and not again and self.order.random() < 0.3
        did = tuple(SummaryItem(category=item.category, did=DID[action], count=1) for item in task.scope)
        body = TaskFinished(
            task_id=task.task_id,
            request_id=task.request_id,
            system=system,
            outcome="failed" if fails else "completed",
            error=TaskError(code="down") if fails else None,
            summary=() if fails else did,
            personal=self.keys.seal(system, TaskFinished, task.request_id, ResultPersonal(), task.task_id),
        )
        self.pending.append(("collector", raw(results(system), event(body))))


@pytest.fixture
async def new_world(
    database: Database, make_outbox: MakeOutbox, keys: Keys, clock: Clock
) -> Callable[[random.Random], World]:
    pools = {name: await database.pool(name) for name in ("intake", "fanout", "collector")}
    assembler = Assembler(REGISTRY, MemoryStore())
    handlers = CollectorHandlers(REGISTRY, clock, assembler.wake)
    commands = Commands(handlers.marketing)
    outboxes = {name: await make_outbox(pools[name]) for name in pools}
    consumers = {}
    for name, assemble in (("intake", assemble_intake), ("fanout", assemble_fanout)):
        context: Context[Any] = Context(None, REGISTRY, keys.file, pools[name], clock)
        parts = assemble(context)
        consumers[name] = Consumer(
            name, parts.routes, pools[name], outboxes[name], keys.file, clock, parts.settle, parts.on_refused
        )
    routes = (
        Route((REQUESTS,), RequestOpened, handlers.opened),
        Route((REQUESTS,), WithdrawalReceived, handlers.withdrawn),
        Route((PROGRESS,), PlanMade, handlers.planned),
        Route((PROGRESS,), CollectionAwaited, handlers.awaited),
        Route((PROGRESS,), NoticeDelivered, handlers.delivered),
        Route(tuple(results(system) for system in REGISTRY.systems), TaskFinished, handlers.finished),
        Route((COMMANDS,), CommandRetry, commands.ordered),
        Route((COMMANDS,), CommandWeigh, commands.ordered),
    )
    consumers["collector"] = Consumer(
        "collector", routes, pools["collector"], outboxes["collector"], keys.file, clock, handlers.settle
    )
    return lambda order: World(consumers, outboxes, assembler, keys, order)


@pytest.mark.parametrize("seed", range(8))
async def test_every_case_ends_once_and_no_erasure_overtakes_its_copy(
    new_world: Callable[[random.Random], World], keys: Keys, seed: int
) -> None:
    order = random.Random(seed)

    def new_id() -> UUID:
        return UUID(int=order.getrandbits(128), version=4)

    world = new_world(order)
    pairs: list[tuple[UUID, UUID]] = []
    circle = [new_id() for _ in range(3)]
    records = []
    for number in range(3):
        who = person(identity(f"p{number}@example.org", shown=proof()))
        copy, erasure = new_id(), new_id()
        pairs.append((copy, erasure))
        records += [
            submitted(keys, who, right="access", request_id=copy),
            submitted(keys, who, right="erasure", request_id=erasure, after=(copy,)),
            submitted(keys, who, right="objection", request_id=new_id(), after=(erasure,)),
            submitted(keys, who, right="restriction", request_id=circle[number], after=(circle[number - 1],)),
        ]
    taken_back = [pair[order.randint(0, 1)] for pair in pairs if order.random() < 0.6]
    records += [withdrawn(keys, request_id) for request_id in taken_back]
    world.pending = [("intake", record) for record in records]
    await world.run()
    assert world.letters == []
    assert len(world.statuses) == 12
    for request_id, told in world.statuses.items():
        assert [each.version for each in told] == list(range(1, len(told) + 1))
        last = told[-1]
        assert last.state == "closed", (last.right, last.state, last.reason)
        assert sum(each.state == "closed" for each in told) == 1
        assert len([notice for found, notice in world.notices if found == request_id and notice in FINAL]) == 1
        assert last.outcome != "withdrawn" or last.answer is None
        for (system, action), times in Counter(world.given.get(request_id, [])).items():
            assert times <= 2, (system, action, "once more than anybody had reason to")
    assert set(world.tasks.values()) == {1}
    for copy, erasure in pairs:
        if world.statuses[copy][-1].outcome == "withdrawn":
            continue  # it gives nobody an answer any more, so nothing needs to wait for it
        erased = [place for place, (found, _, action) in enumerate(world.log) if (found, action) == (erasure, "erase")]
        copied = [place for place, (found, _, action) in enumerate(world.log) if (found, action) == (copy, "access")]
        assert not erased or not copied or max(copied) < min(erased)
