"""The order of events: five submissions, a crash and a standstill in the middle of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from confluent_kafka import KafkaException

from habeas.contracts.status import StatusChanged
from operations.demo import scenario
from operations.demo.display import Display
from operations.demo.portal import Portal
from operations.demo.scenario import ACCESS, ASKS, BY_KEY, ERASURE, LATER, PORTAL, UNKNOWN
from operations.demo.scene import Mark, Scene
from operations.demo.watch import Board
from operations.lag import lag_by_name
from operations.stack import Stack
from operations.stack.kafka import admin_client
from operations.stack.stack import PROCESSOR
from operations.topology import OPERATORS
from systems.payments.settings import ServerSettings

VICTIM = "collector"
"""Is killed with SIGKILL: it keeps the case files, and results pile up without it."""
SLEEPER = "analytics"
"""Is stopped for a while: both requests need it, so that they visibly wait."""
SLOW_MS = 700
"""How long the payment processor takes for a call, so that its answers come while the collector is away."""


@dataclass(slots=True)
class Blows:
    """What was done to the stack, and what came of it."""

    killed: int | None = None
    back: int | None = None
    waiting: int = 0
    waited: bool = False


@dataclass(slots=True)
class Demo:
    """One run."""

    stack: Stack
    display: Display
    scene: Scene
    board: Board
    blows: Blows = field(default_factory=Blows)
    troubles: list[str] = field(default_factory=list)
    refused_id: UUID | None = None
    """The ce_id of the malformed submission."""

    # In order

    async def play(self, portal: Portal) -> None:
        """Submit everything and strike in between; returns when all of it is answered. Raises StalledError."""
        await self._stop_the_sleeper()
        await self._slow_the_processor(SLOW_MS)
        for key in (ACCESS, ERASURE):
            await self._submit(portal, key)
        await self._submit_malformed(portal)
        payments_asked = [self._system(key, "payments", "asked", "finished") for key in (ACCESS, ERASURE)]
        await self.board.until(lambda: all(asked() for asked in payments_asked), "payments to be asked")

        self.blows.killed = self.stack.processes[VICTIM].pid
        self.stack.kill(VICTIM)
        self.display.happened(f"killed {VICTIM} with SIGKILL (pid {self.blows.killed})", Mark.BLOW)
        await self.stack.processes[VICTIM].wait_until(lambda process: process.pid != self.blows.killed)
        await self._submit(portal, UNKNOWN, f"with no {VICTIM} there")
        await self._see_work_pile_up()
        await self.stack.wait_ready(VICTIM, attempts=5)
        self.blows.back = self.stack.processes[VICTIM].pid
        self.display.happened(f"{VICTIM} is back (pid {self.blows.back}) and takes up what waited", Mark.MEND)

        await self.board.until(self._all_wait_for_the_sleeper, f"only {SLEEPER} to be missing")
        self.blows.waited = self._all_wait_for_the_sleeper()
        await self._slow_the_processor(0)
        self.display.happened(f"all that is missing now is {SLEEPER}: starting it")
        await self.stack.start(SLEEPER)
        self.display.happened(f"started {SLEEPER} (pid {self.stack.processes[SLEEPER].pid})", Mark.MEND)

        await self.board.until(lambda: self.closed(ERASURE), "the erasure to close")
        await self._submit(portal, LATER, "by the person just erased")
        await self.board.until(lambda: all(self.closed(ask.key) for ask in ASKS), "every request to close")
        await self.board.until(self._refusal_is_told, "the refusal of the malformed submission")

    async def _stop_the_sleeper(self) -> None:
        await self.stack.stop(SLEEPER)
        self.display.happened(f"stopped {SLEEPER}", Mark.BLOW)

    async def _slow_the_processor(self, milliseconds: int) -> None:
        key = ServerSettings().processor_key.get_secret_value()
        url = f"http://127.0.0.1:{self.stack.ports[PROCESSOR]}/behaviour"
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
            (await http.put(url, json={"delay_ms": milliseconds})).raise_for_status()
        pace = f"takes {milliseconds} ms for each call" if milliseconds else "answers promptly again"
        self.display.happened(f"the payment {PROCESSOR} {pace}")

    async def _submit(self, portal: Portal, key: str, remark: str = "") -> None:
        ask, request_id = BY_KEY[key], uuid4()
        self.scene.row(key).request_id = request_id
        self.display.happened(f"{PORTAL} submits: {', '.join(filter(None, (ask.title, remark)))}")
        await portal.submit(ask, request_id, datetime.now(UTC))

    async def _submit_malformed(self, portal: Portal) -> None:
        self.refused_id = uuid4()
        self.display.happened(f"{PORTAL} submits: something that is no JSON")
        await portal.submit_malformed(scenario.MALFORMED_VALUE, self.refused_id, datetime.now(UTC))

    async def _see_work_pile_up(self) -> None:
        """Until messages wait for the victim; it is away for some seconds, until Kafka gives up on its old self."""
        admin = admin_client(self.stack.env(OPERATORS))
        while not self.stack.processes[VICTIM].ready:
            try:
                self.blows.waiting = (await asyncio.to_thread(lag_by_name, admin)).get(VICTIM, 0)
            except KafkaException:
                self.blows.waiting = 0
            if self.blows.waiting:
                self.display.happened(f"{self.blows.waiting} messages wait for {VICTIM}")
                return
            await asyncio.sleep(0.3)

    # What has come about

    def _system(self, key: str, system: str, *states: str) -> Any:
        def holds() -> bool:
            status = self.status(key)
            return status is not None and any(each.system == system and each.state in states for each in status.systems)

        return holds

    def status(self, key: str) -> StatusChanged | None:
        return self.board.status(self.scene.row(key).request_id)

    def closed(self, key: str) -> bool:
        status = self.status(key)
        return status is not None and status.state == "closed"

    def _all_wait_for_the_sleeper(self) -> bool:
        if not self.closed(UNKNOWN):
            return False
        for key in (ACCESS, ERASURE):
            status = self.status(key)
            unfinished = [each for each in status.systems if each.state != "finished"] if status else []
            if [(each.system, each.state) for each in unfinished] != [(SLEEPER, "asked")]:
                return False
        return True

    def _refusal_is_told(self) -> bool:
        return self.refused_id in self.board.rejected and bool(self.board.letters)
