"""The order of events: a stack, five submissions, a crash and a standstill in the middle of them, and the results."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx
from confluent_kafka import KafkaException
from rich.console import Console

from habeas.contracts import KeyFile, Keyring
from habeas.contracts.status import StatusChanged
from operations.demo import scenario
from operations.demo.checks import Letter, Observed, examine
from operations.demo.display import Animated, Display, Plain
from operations.demo.mailbox import Copy, Mail, MailboxError, fetch_copy, read_mails
from operations.demo.portal import Portal, opened_portal
from operations.demo.report import Results, tell, verdict
from operations.demo.scenario import ACCESS, ASKS, BY_KEY, ERASURE, LATER, MALFORMED, PORTAL, UNKNOWN, Ask
from operations.demo.scene import Mark, Row, Scene
from operations.demo.watch import Board, StalledError, following
from operations.lag import lag_by_name
from operations.programs import SYSTEMS
from operations.stack import Stack
from operations.stack import postgres as pg
from operations.stack.kafka import admin_client
from operations.stack.stack import PROCESSOR
from operations.stack.supervisor import Process
from operations.topology import OPERATORS
from systems.payments.settings import ServerSettings

VICTIM = "collector"
"""Is killed with SIGKILL: it keeps the case files, and results pile up without it."""
SLEEPER = "analytics"
"""Is stopped for a while: both requests need it, so that they visibly wait."""
SLOW_MS = 700
"""How long the payment processor takes for a call, so that its answers come while the collector is away."""
KEPT = ("mail", "answers", "log")
"""What stays in the folder unless everything is to be kept."""


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

        await self.board.until(lambda: self._closed(ERASURE), "the erasure to close")
        await self._submit(portal, LATER, "by the person just erased")
        await self.board.until(lambda: all(self._closed(ask.key) for ask in ASKS), "every request to close")
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
            status = self._status(key)
            return status is not None and any(each.system == system and each.state in states for each in status.systems)

        return holds

    def _status(self, key: str) -> StatusChanged | None:
        return self.board.status(self.scene.row(key).request_id)

    def _closed(self, key: str) -> bool:
        status = self._status(key)
        return status is not None and status.state == "closed"

    def _all_wait_for_the_sleeper(self) -> bool:
        if not self._closed(UNKNOWN):
            return False
        for key in (ACCESS, ERASURE):
            status = self._status(key)
            unfinished = [each for each in status.systems if each.state != "finished"] if status else []
            if [(each.system, each.state) for each in unfinished] != [(SLEEPER, "asked")]:
                return False
        return True

    def _refusal_is_told(self) -> bool:
        return self.refused_id in self.board.rejected and bool(self.board.letters)

    # The end

    async def results(self) -> Results:
        """Gather what there is, whether or not all went well."""
        ask_of = {row.request_id: BY_KEY[row.key] for row in self.scene.rows if row.request_id and row.key in BY_KEY}
        mails = await asyncio.to_thread(read_mails, self.stack.mail)
        owned: list[tuple[Any, Mail]] = [
            (ask_of.get(mail.request_id) if mail.request_id else None, mail) for mail in mails
        ]
        copies = await self._copies(owned)
        refusal = self.board.rejected.get(self.refused_id) if self.refused_id else None
        statuses = {row.key: status for row in self.scene.rows if (status := self._status(row.key))}
        observed = Observed(
            statuses=statuses,
            mails={ask.key: [mail.notice for owner, mail in owned if owner is ask] for ask in ASKS},
            stray_mails=sum(owner is None for owner, _ in owned),
            copies={key: copy.files for key, copy in copies.items()},
            letters=[
                Letter(str(each.letter.reason), each.letter.topic, each.record.restored()[1] if each.record else None)
                for each in self.board.letters
            ],
            rejected=[str(error.code) for error in refusal.errors] if refusal else None,
            killed=self.blows.killed,
            back=self.blows.back,
            waiting=self.blows.waiting,
            waited_for_analytics=self.blows.waited,
            troubles=self.troubles,
        )
        return Results(
            observed=observed,
            summaries={
                (ask_of[request_id].key, system): items
                for (request_id, system), items in self.board.summaries.items()
                if request_id in ask_of
            },
            mails=owned,
            copies=copies,
            letters=[each.letter for each in self.board.letters],
            submissions=sum(row.request_id is not None for row in self.scene.rows) + (self.refused_id is not None),
            answered=sum(self._closed(ask.key) for ask in ASKS) + (refusal is not None),
        )

    async def _copies(self, mails: Iterable[tuple[Ask | None, Mail]]) -> dict[str, Copy]:
        """What lies behind the links, fetched as the people would."""
        found = {}
        for ask, mail in mails:
            if ask is None or mail.link is None:
                continue
            status = self._status(ask.key)
            name = f"{ask.key}-{status.reference if status else 'unknown'}.zip"
            try:
                found[ask.key] = await fetch_copy(mail.link, self.stack.root / "answers" / name)
            except MailboxError as error:
                self.troubles.append(str(error))
            else:
                self.display.happened(f"fetched the copy for “{ask.title}” by the link in the mail", Mark.MEND)
        return found


async def run(console: Console, root: Path, *, keep: bool, plain: bool, began: float) -> int:
    """Play the demo in the folder `root`; returns the exit code. Cancelled, it takes everything down.

    `began` is when the person at the keyboard asked for it, by the monotonic clock.
    """
    rows = [Row(ask.key, ask.title) for ask in ASKS]
    rows.insert(-1, Row(MALFORMED, scenario.MALFORMED_TITLE))
    scene = Scene(lambda: monotonic() - began, rows)
    display = (Plain if plain else Animated)(console, scene)
    board = Board(on_status=display.changed, on_refused=display.refused)

    def on_change(process: Process) -> None:
        scene.processes[process.name] = process.state

    stack = Stack(root, fresh=True, tell=display.happened, on_change=on_change)
    marks = [began]
    async with AsyncExitStack() as exits:
        with display.showing():
            display.happened("starting a local stack: Kafka, PostgreSQL, mail, the services and the systems")
            shutil.rmtree(stack.root / "answers", ignore_errors=True)
            await exits.enter_async_context(stack)
            marks.append(monotonic())
            display.happened(f"all {len(stack.processes)} processes are ready", Mark.MEND)
            demo = Demo(stack, display, scene, board)
            async with _connected(stack, board) as portal:
                try:
                    await demo.play(portal)
                except StalledError as error:
                    demo.troubles.append(f"waited in vain for {error.awaited}")
                results = await demo.results()
        marks.append(monotonic())
        tell(console, results, root)
        console.print("\nStopping everything.")
    marks.append(monotonic())
    parts = zip(("start", "requests", "stop"), itertools.pairwise(marks), strict=True)
    results = replace(results, seconds={part: end - start for part, (start, end) in parts})
    code = verdict(console, results, examine(results.observed, datetime.now(UTC).date()), root)
    if not keep and code == 0:
        await asyncio.to_thread(_tidy, stack.root)
    return code


@asynccontextmanager
async def _connected(stack: Stack, board: Board) -> AsyncIterator[Portal]:
    async with (
        following(
            board,
            portal=PORTAL,
            portal_kafka=_kafka(stack.env(PORTAL)),
            systems=SYSTEMS,
            operators_kafka=_kafka(stack.env(OPERATORS)),
            operators=_keyring(stack.env(OPERATORS)),
        ),
        opened_portal(PORTAL, _keyring(stack.env(PORTAL)), _kafka(stack.env(PORTAL))) as portal,
    ):
        yield portal


def _kafka(environment: dict[str, str]) -> dict[str, Any]:
    return {
        "bootstrap_servers": environment["HABEAS_KAFKA_BOOTSTRAP_SERVERS"],
        "security_protocol": environment["HABEAS_KAFKA_SECURITY_PROTOCOL"],
        "sasl_mechanism": environment["HABEAS_KAFKA_SASL_MECHANISM"],
        "sasl_plain_username": environment["HABEAS_KAFKA_SASL_USERNAME"],
        "sasl_plain_password": environment["HABEAS_KAFKA_SASL_PASSWORD"],
    }


def _keyring(environment: dict[str, str]) -> Keyring:
    return KeyFile(Path(environment["HABEAS_KEYS"])).keyring()


def _tidy(root: Path) -> None:
    """Leave mails, answers and logs, and nothing that needs a stack to be read."""
    pg.Postgres(0, root / "postgres", {}).remove()
    for place in root.iterdir():
        if place.name in KEPT or place.name == "lock":
            continue
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
