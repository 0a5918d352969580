"""The demo from start to end: a stack up, the play, what came of it, the stack down."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from rich.console import Console

from habeas.contracts import KeyFile, Keyring
from operations.compose.joined import ComposeStack, Container
from operations.compose.secrets import KEY
from operations.connection import client_options
from operations.demo import scenario
from operations.demo.checks import Letter, Observed, examine
from operations.demo.display import Animated, Plain
from operations.demo.mailbox import Copy, Mail, MailboxError, fetch_copy
from operations.demo.play import PROCESSOR, Demo
from operations.demo.portal import Portal, opened_portal
from operations.demo.recording import Recording
from operations.demo.report import Results, tell, verdict
from operations.demo.scenario import ASKS, BY_KEY, MALFORMED, PORTAL, Ask
from operations.demo.scene import Mark, Row, Scene
from operations.demo.stage import staged
from operations.demo.stories import PlayedBeforeError, play
from operations.demo.watch import Board, StalledError, following
from operations.errors import OperationsError
from operations.programs import SYSTEMS
from operations.stack import Stack
from operations.stack import postgres as pg
from operations.stack.supervisor import Process
from operations.topology import OPERATORS
from systems.payments.settings import ServerSettings

KEPT = ("mail", "answers", "log")
"""What stays in the folder unless everything is to be kept."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person at the keyboard asked for."""

    root: Path
    began: float
    """When, by the monotonic clock."""
    against: str = "local"
    """`local`, a stack of the demo's own; or `compose`, the one in containers."""
    keep: bool = False
    plain: bool = False
    record: Path | None = None
    """Where to draw what is to be seen."""


async def run(console: Console, wishes: Wishes) -> int:
    """Play the demo; returns the exit code. Cancelled, it takes down what it started."""
    rows = [Row(ask.key, ask.title, ask.wish) for ask in ASKS]
    rows.insert(-1, Row(MALFORMED, scenario.MALFORMED_TITLE, scenario.MALFORMED_WISH))
    scene = Scene(lambda: monotonic() - wishes.began, rows)
    display = (Plain if wishes.plain else Animated)(console, scene)
    board = Board(on_status=display.changed, on_refused=display.refused)
    recording = Recording(scene)

    def on_change(process: Process | Container) -> None:
        scene.processes[process.name] = process.state

    stage = staged(wishes.against, wishes.root, display.happened, on_change)
    stack = stage.stack
    marks = [wishes.began]
    async with AsyncExitStack() as exits:
        with display.showing():
            display.happened(stage.opening)
            display.happened("on the way a service will be killed, and a system stopped")
            await exits.enter_async_context(stack)
            shutil.rmtree(stack.root / "answers", ignore_errors=True)  # an earlier run's; the folder is ours by now
            marks.append(monotonic())
            display.happened(f"all {len(stack.processes)} processes are ready", Mark.MEND)
            board.since = datetime.now(UTC)
            earlier = {mail.path for mail in await stage.mails()}
            async with _connected(stack, board) as portal:
                key = _processor_key(stack)
                demo = Demo(stage, portal, display, scene, board, key, high_point=recording.picture)
                try:
                    await play(demo)
                except PlayedBeforeError:
                    raise
                except (StalledError, OperationsError) as error:
                    demo.troubles.append(str(error))
                results = await gather(demo, earlier)
        marks.append(monotonic())
        tell(console, results, stack.root)
        console.print("\nStopping everything.")
    marks.append(monotonic())
    parts = zip(("start", "requests", "stop"), itertools.pairwise(marks), strict=True)
    results = replace(results, seconds={part: end - start for part, (start, end) in parts})
    checks = examine(results.observed, datetime.now(UTC).date())
    code = verdict(console, results, checks, stage.look)
    if wishes.record:
        recording.end(results, checks, stage.look)
        await asyncio.to_thread(recording.save, wishes.record)
        console.print(f"Drawn in {wishes.record}")
    if wishes.against == "local" and not wishes.keep and code == 0:
        await asyncio.to_thread(_tidy, stack.root)
    return code


@asynccontextmanager
async def _connected(stack: Stack | ComposeStack, board: Board) -> AsyncIterator[Portal]:
    async with (
        opened_portal(PORTAL, _keyring(stack.env(PORTAL)), client_options(stack.env(PORTAL))) as portal,
        following(
            board,
            portal=portal.wire,
            systems=SYSTEMS,
            operators_kafka=client_options(stack.env(OPERATORS)),
            operators=_keyring(stack.env(OPERATORS)),
        ),
    ):
        yield portal


def _processor_key(stack: Stack | ComposeStack) -> str:
    """The stack in containers has one of its own, made for it."""
    return stack.env(PROCESSOR).get(KEY) or ServerSettings().processor_key.get_secret_value()


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


async def gather(demo: Demo, earlier: Collection[Path] = ()) -> Results:
    """Gather what there is, whether or not all went well. Mails that were there `earlier` are no concern of ours."""
    asks = {row.request_id: BY_KEY[row.key] for row in demo.scene.rows if row.request_id and row.key in BY_KEY}
    mails = [mail for mail in await demo.stage.mails() if mail.path not in earlier]
    owned = [(asks.get(mail.request_id) if mail.request_id else None, mail) for mail in mails]
    copies = await _copies(demo, owned)
    refusal = demo.board.rejected.get(demo.refused_id) if demo.refused_id else None
    statuses = {row.key: status for row in demo.scene.rows if (status := demo.status(row.key))}
    observed = Observed(
        statuses=statuses,
        passed={ask.key: demo.board.passed.get(request_id, ()) for request_id, ask in asks.items()},
        mails={ask.key: [mail for owner, mail in owned if owner is ask] for ask in ASKS},
        stray_mails=sum(owner is None for owner, _ in owned),
        copies={key: copy.files for key, copy in copies.items()},
        uses=demo.uses,
        told_recipient=demo.told_recipient,
        letters=[
            Letter(str(each.letter.reason), each.letter.topic, each.record.restored()[1] if each.record else None)
            for each in demo.board.letters
        ],
        rejected=[str(error.code) for error in refusal.errors] if refusal else None,
        killed=demo.blows.killed,
        back=demo.blows.back,
        waiting=demo.blows.waiting,
        waited_for_analytics=demo.blows.waited,
        troubles=demo.troubles,
    )
    return Results(
        observed=observed,
        summaries={
            (asks[request_id].key, system): list(tasks.values())
            for (request_id, system), tasks in demo.board.summaries.items()
            if request_id in asks
        },
        mails=owned,
        copies=copies,
        letters=[each.letter for each in demo.board.letters],
        submissions=sum(row.request_id is not None for row in demo.scene.rows),
        answered=sum(demo.closed(ask.key) for ask in ASKS) + (refusal is not None),
    )


async def _copies(demo: Demo, mails: Iterable[tuple[Ask | None, Mail]]) -> dict[str, Copy]:
    """What lies behind the links, fetched as the people would."""
    found = {}
    for ask, mail in mails:
        if ask is None or mail.link is None:
            continue
        status = demo.status(ask.key)
        name = f"{ask.key}-{status.reference if status else 'unknown'}.zip"
        try:
            found[ask.key] = await fetch_copy(mail.link, demo.stage.stack.root / "answers" / name)
        except MailboxError as error:
            demo.troubles.append(str(error))
        else:
            demo.display.happened(f"fetched the copy for “{ask.title}” by the link in the mail", Mark.MEND)
    return found
