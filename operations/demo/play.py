"""What can be done in the play, and what is noted of it. The order of events is in `stories.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from confluent_kafka import KafkaException

from habeas.contracts.command import Order
from habeas.contracts.status import StatusChanged
from operations.connection import clock
from operations.demo import scenario
from operations.demo.display import Display
from operations.demo.portal import Portal
from operations.demo.scenario import BY_KEY, DONE, MALFORMED, PORTAL, Moment, Work
from operations.demo.scene import Mark, Scene
from operations.demo.stage import Stage
from operations.demo.watch import PATIENCE, Board, StalledError
from operations.errors import OperationsError
from operations.inspect.orders import give
from operations.lag import lag_by_name
from operations.stack.kafka import admin_client
from operations.topology import OPERATORS

PROCESSOR = "processor"
VICTIM = "collector"
"""Is killed with SIGKILL: it keeps the case files, and results pile up without it."""
SLEEPER = "analytics"
"""Is stopped for a while: nearly everybody's request needs it, so that they visibly wait."""


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

    stage: Stage
    portal: Portal
    display: Display
    scene: Scene
    board: Board
    processor_key: str = field(repr=False)
    high_point: Callable[[], None] = lambda: None
    """Called once there is most to be seen."""
    blows: Blows = field(default_factory=Blows)
    uses: dict[tuple[str, Moment, Work], str] = field(default_factory=dict)
    """What came of each use, by ask: done, or why not."""
    told_recipient: bool = False
    """Whether the payment processor knows the new name."""
    troubles: list[str] = field(default_factory=list)
    refused_id: UUID | None = None
    """The ce_id of the malformed submission."""
    victim_gone: asyncio.Event = field(default_factory=asyncio.Event)

    def act(self, number: int, title: str) -> None:
        """Another part of the play begins."""
        self.display.happened(f"Act {number}: {title}", Mark.ACT)

    # What people, operators and systems do

    async def submit(self, key: str, *, case_id: UUID | None = None, after: tuple[UUID, ...] = ()) -> None:
        """The portal publishes an ask."""
        ask, request_id = BY_KEY[key], self.request_id(key)
        self.scene.row(key).request_id = request_id
        self.display.happened(f"{PORTAL} submits {ask.title} – {ask.wish}")
        await self.portal.submit(ask, request_id, datetime.now(UTC), case_id, after)

    def request_id(self, key: str) -> UUID:
        """An ask's id, known before it is submitted."""
        return self._ids.setdefault(key, uuid4())

    async def submit_malformed(self) -> None:
        self.refused_id = self.scene.row(MALFORMED).request_id = uuid4()
        self.display.happened(f"{PORTAL} submits {scenario.MALFORMED_TITLE} – {scenario.MALFORMED_WISH}")
        await self.portal.submit_malformed(scenario.MALFORMED_VALUE, self.refused_id, datetime.now(UTC))

    async def withdraw(self, key: str) -> None:
        self.display.happened(f"{PORTAL} withdraws “{BY_KEY[key].title}”: the person has changed their mind")
        await self.portal.withdraw(self.request_id(key))

    async def decide(self, model: type[Order], key: str, said: str, **members: Any) -> None:
        """A person of the privacy team gives a command and waits for the decision. Raises StalledError."""
        status = self.status(key)
        reference = status.reference if status else "?"
        self.display.happened(f"the privacy team: habeas {said.format(reference)}")
        order = model(command_id=uuid4(), request_id=self.request_id(key), by="privacy-team", **members)
        environment = self.stage.stack.env(OPERATORS)
        try:
            decided = await give(order, environment, clock=clock(environment), patience=PATIENCE, repeated=False)
        except OperationsError as error:
            raise StalledError(f"the decision on a command ({type(error).__name__})") from None
        if not decided.accepted:
            why = decided.reason.code if decided.reason else "no reason given"
            self.troubles.append(f"a command for “{BY_KEY[key].title}” was not accepted: {why}")

    async def use(self, key: str, moment: Moment) -> None:
        """The systems try to use the person's data, each for its own work."""
        ask, came = BY_KEY[key], []
        for work in ask.uses[moment]:
            used = await self.stage.use(work.system, ask.identifier(work))
            self.uses[key, moment, work] = used.why or DONE
            came.append((work, used.why or DONE))
        told = "; ".join(
            f"{', '.join(work for work, why in came if why == reason)}: {reason.replace('_', ' ')}"
            for reason in dict.fromkeys(why for _, why in came)
        )
        self.display.happened(f"{_WHEN[moment].format(ask.title)} – {told}", Mark.USE)

    def came_as_expected(self, key: str, moment: Moment) -> bool:
        """Whether the uses came out so."""
        uses = BY_KEY[key].uses[moment]
        return all(self.uses.get((key, moment, work)) == came for work, came in uses.items())

    async def ask_the_processor(self, customer: str) -> str | None:
        """The name that the payment processor knows a customer by."""
        url = f"http://127.0.0.1:{self.stage.stack.ports[PROCESSOR]}/customers/{customer}"
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {self.processor_key}"}) as http:
            return str((await http.get(url)).raise_for_status().json()["name"])

    # The blows

    async def stop(self, name: str) -> None:
        await self.stage.stack.stop(name)
        self.display.happened(f"stopped {name}", Mark.BLOW)

    async def start(self, name: str) -> None:
        await self.stage.stack.start(name)
        self.display.happened(f"started {name} (pid {self.stage.stack.processes[name].pid})", Mark.MEND)

    async def kill(self, name: str) -> int | None:
        """SIGKILL; returns the pid that was, once it is no more."""
        stack = self.stage.stack
        pid = stack.processes[name].pid
        stack.kill(name)
        self.display.happened(f"killed {name} with SIGKILL (pid {pid})", Mark.BLOW)
        await stack.processes[name].wait_until(lambda process: process.pid != pid)
        return pid

    async def see_work_pile_up(self, name: str) -> int:
        """Until messages wait for a dead service; it is away for some seconds, until Kafka gives up on its old self."""
        admin = admin_client(self.stage.stack.env(OPERATORS))
        while not self.stage.stack.processes[name].ready:
            try:
                waiting = (await asyncio.to_thread(lag_by_name, admin)).get(name, 0)
            except KafkaException:
                waiting = 0
            if waiting:
                self.display.happened(f"{waiting} messages wait for {name}")
                return waiting
            await asyncio.sleep(0.3)
        return 0

    # What has come about

    async def until(self, condition: Callable[[], bool], awaited: str) -> None:
        """Raises StalledError."""
        await self.board.until(condition, awaited)

    async def closes(self, *keys: str) -> None:
        """Raises StalledError."""
        for key in keys:
            await self.until(lambda key=key: self.closed(key), f"“{BY_KEY[key].title}” to close")  # type: ignore[misc]

    async def reaches(self, key: str, standing: str) -> None:
        """Until it is or was in that state for that reason, as `triage: child_reported`. Raises StalledError."""
        request_id = self.request_id(key)
        await self.until(
            lambda: standing in self.board.passed.get(request_id, ()), f"“{BY_KEY[key].title}” to be in {standing}"
        )

    def status(self, key: str) -> StatusChanged | None:
        return self.board.status(self.scene.row(key).request_id)

    def closed(self, key: str) -> bool:
        status = self.status(key)
        return status is not None and status.state == "closed"

    def system_state(self, key: str, system: str) -> str | None:
        status = self.status(key)
        return next((str(each.state) for each in status.systems if each.system == system), None) if status else None

    def waits_only_for(self, key: str, system: str) -> bool:
        """Whether all other systems have answered."""
        status = self.status(key)
        unfinished = [each for each in status.systems if each.state not in ("finished", "excluded")] if status else []
        return [(each.system, each.state) for each in unfinished] == [(system, "asked")]

    def refusal_is_told(self) -> bool:
        return self.refused_id in self.board.rejected and bool(self.board.letters)

    async def together(self, *stories: Coroutine[Any, Any, None]) -> None:
        """Play them side by side. One that comes to nothing is noted, and does not end the others."""
        for outcome in await asyncio.gather(*stories, return_exceptions=True):
            if isinstance(outcome, (StalledError, OperationsError, httpx.HTTPError)):
                self.troubles.append(str(outcome))
            elif isinstance(outcome, BaseException):
                raise outcome

    _ids: dict[str, UUID] = field(default_factory=dict)


_WHEN = {Moment.BEFORE: "use before “{}”", Moment.AFTER: "use after “{}”", Moment.LIFTED: "use, “{}” lifted"}
