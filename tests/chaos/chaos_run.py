"""One run: load and faults for so long, then quiet, then the reckoning."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from chaos_evidence import Evidence, collect
from chaos_faults import Scenario, Slot, carry_out, plan
from chaos_mail_reckoning import reconcile_mails
from chaos_office import Office
from chaos_quiet import until_quiet
from chaos_reckoning import Finding, reconcile
from chaos_script import PORTAL, SYSTEMS, Script, script
from chaos_stage import Stage, staged
from chaos_systems import Foreseen, System
from chaos_wire import Speaker, client_options
from crash_series import EVERY, Series, crashes

from habeas.contracts import KeyFile
from operations.topology import OPERATORS

READY_WITHIN = 120.0  # seconds after the last fault
QUIET_WITHIN = 900.0  # seconds; long before that, nothing changes any more


@dataclass(frozen=True, slots=True)
class Settings:
    seed: int
    seconds: float
    rate: float
    """Requests a second."""
    replicas: int
    root: Path
    scenarios: Sequence[Scenario]
    brokers: int = 1
    crashes: int = 0
    """Runs in which processes die at points between their writes, after everything else."""
    durable: bool = True
    keep: bool = True

    @property
    def requests(self) -> int:
        return max(1, round(self.rate * self.seconds))

    @property
    def slots(self) -> list[Slot]:
        return plan(self.seed, self.scenarios, self.seconds, self.replicas)


@dataclass
class Result:
    settings: Settings
    faults: int = 0
    requests: int = 0
    statuses: int = 0
    tasks: int = 0
    mails: int = 0
    dead_letters: int = 0
    repeats: Counter[str] = field(default_factory=Counter)
    twists: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds_to_quiet: float = 0.0
    series: Series = field(default_factory=Series)
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "seed": settings.seed,
            "seconds": settings.seconds,
            "rate": settings.rate,
            "replicas": settings.replicas,
            "brokers": settings.brokers,
            "scenarios": [scenario.name for scenario in settings.scenarios],
            "faults": self.faults,
            "requests": self.requests,
            "statuses": self.statuses,
            "tasks": self.tasks,
            "mails": self.mails,
            "dead_letters": self.dead_letters,
            "mails_repeated": dict(self.repeats),
            "twists": dict(self.twists),
            "outcomes": dict(self.outcomes),
            "seconds_to_quiet": round(self.seconds_to_quiet, 1),
            "crashes": self.series.runs,
            "deaths_at_points": self.series.deaths,
            "points_missed": self.series.missed if self.series.runs >= EVERY else [],
            "findings": [
                {"request_id": each.request_id and str(each.request_id), "what": each.what} for each in self.findings
            ],
            "holds": self.holds,
        }


async def run(settings: Settings, tell: Callable[[str], None]) -> Result:
    """Raises what the stack raises where it does not start; whatever does not hold afterwards is in the result."""
    result = Result(settings)
    tell("starting Kafka, PostgreSQL and the services")
    async with staged(
        settings.root,
        settings.seed,
        replicas=settings.replicas,
        durable=settings.durable,
        keep=settings.keep,
        tell=tell,
        brokers=settings.brokers,
    ) as stage:
        scripts: dict[UUID, Script] = {}
        foreseen = stage.foreseen
        async with AsyncExitStack() as people:
            office, systems = await _people(stage, scripts, foreseen, people)
            tell(f"{settings.requests} requests and {sum(len(slot.faults) for slot in settings.slots)} faults to come")
            try:
                await _storm(settings, stage, office, result)
            except BaseException:
                await _heal(settings, stage)
                raise
            tell(f"— quiet: faults are over after {settings.seconds:g} s; whatever is under way has to end")
            began = time.monotonic()
            await _healed(settings, stage, result)
            left = await until_quiet(stage, office, systems, QUIET_WITHIN)
            result.seconds_to_quiet = time.monotonic() - began
            if not left.is_nothing:
                result.findings.append(Finding(None, f"it does not come to rest: {left}"))
            result.findings += _of_the_people(office, systems)
            result.findings += [Finding(None, what) for what in stage.complaints]
            _reckon(await collect(stage, scripts, foreseen), result)
        await _crash(settings, stage, result)
    return result


async def _people(
    stage: Stage, scripts: dict[UUID, Script], foreseen: Foreseen, people: AsyncExitStack
) -> tuple[Office, tuple[System, ...]]:
    def speaker(name: str) -> Speaker:
        return Speaker(client_options(stage.stack.env(name)))

    def keyring(name: str) -> Any:
        return KeyFile(Path(stage.stack.env(name)["HABEAS_KEYS"])).keyring()

    office = Office(keyring(PORTAL), speaker(PORTAL), speaker(OPERATORS), scripts, foreseen)
    systems = tuple(System(name, keyring(name), speaker(name), scripts, foreseen) for name in SYSTEMS)
    for system in systems:
        await people.enter_async_context(system.at_work())
    await people.enter_async_context(office.open())
    return office, systems


async def _storm(settings: Settings, stage: Stage, office: Office, result: Result) -> None:
    """Load and faults, until both are done."""
    progress = asyncio.create_task(_progress(stage, office))
    try:
        load = asyncio.create_task(_load(settings, office))
        result.faults = await carry_out(settings.slots, stage)
        await load
    finally:
        progress.cancel()


async def _load(settings: Settings, office: Office) -> None:
    clock = asyncio.get_running_loop().time
    start = clock()
    for number in range(settings.requests):
        await asyncio.sleep(max(0.0, start + number / settings.rate - clock()))
        office.submit(script(settings.seed, number))


async def _progress(stage: Stage, office: Office) -> None:
    start = time.monotonic()
    while True:
        await asyncio.sleep(5)
        stage.tell(
            f"{time.monotonic() - start:5.0f} s  {office.submitted} submitted, {office.closed} closed, "
            f"{stage.mail.accepted} mails; not ready: {', '.join(stage.not_ready()) or 'nobody'}"
        )


async def _heal(settings: Settings, stage: Stage) -> None:
    """Nothing that a fault has done to the machine outlives the run."""
    for scenario in settings.scenarios:
        await scenario.heal(stage)


async def _healed(settings: Settings, stage: Stage, result: Result) -> None:
    await _heal(settings, stage)
    try:
        await stage.all_ready(READY_WITHIN)
    except TimeoutError as error:
        result.findings.append(Finding(None, str(error)))


async def _crash(settings: Settings, stage: Stage, result: Result) -> None:
    if not settings.crashes:
        return
    stage.tell(f"— between processes: {settings.crashes} runs in which they die at points between their writes")

    def role_url(service: str) -> str:
        return stage.stack.env(service)["HABEAS_DATABASE_URL"]

    series = await crashes(settings.seed, settings.crashes, stage.stack.superuser_url(), role_url, stage.tell)
    result.series = series
    result.findings += series.findings
    if series.missed and series.runs >= EVERY:
        result.findings.append(Finding(None, f"nobody died at: {'; '.join(series.missed)}"))


def _of_the_people(office: Office, systems: Sequence[System]) -> Iterator[Finding]:
    """Where portal, operator and systems did not do as they should: then the run proves nothing."""
    for error in (*office.troubles, *(error for system in systems for error in system.troubles)):
        yield Finding(None, f"the chaos itself failed: {error!r}")
    for system in systems:
        if system.unknown:
            yield Finding(None, f"{system.name} got {system.unknown} tasks for requests that nobody submitted")


def _reckon(evidence: Evidence, result: Result) -> None:
    result.requests = len(evidence.scripts)
    result.statuses = sum(map(len, evidence.statuses.values()))
    result.tasks = sum(map(len, evidence.assigned.values()))
    result.mails = len(evidence.mails)
    result.dead_letters = len(evidence.dead_letters)
    result.twists = Counter(each.twist.value for each in evidence.scripts.values())
    result.outcomes = Counter(each.expected.outcome for each in evidence.scripts.values())
    result.findings += reconcile(evidence)
    found, result.repeats = reconcile_mails(evidence)
    result.findings += found
