"""The demo from start to end: a stack up, the play, what came of it, the stack down."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from rich.console import Console

from habeas.contracts import KeyFile, Keyring
from operations.connection import client_options
from operations.demo import scenario
from operations.demo.checks import Letter, Observed, examine
from operations.demo.display import Animated, Plain
from operations.demo.mailbox import Copy, Mail, MailboxError, fetch_copy, read_mails
from operations.demo.play import Demo
from operations.demo.portal import Portal, opened_portal
from operations.demo.report import Results, tell, verdict
from operations.demo.scenario import ASKS, BY_KEY, MALFORMED, PORTAL, Ask
from operations.demo.scene import Mark, Row, Scene
from operations.demo.watch import Board, StalledError, following
from operations.errors import StartError
from operations.programs import SYSTEMS
from operations.stack import Stack
from operations.stack import postgres as pg
from operations.stack.supervisor import Process
from operations.topology import OPERATORS

KEPT = ("mail", "answers", "log")
"""What stays in the folder unless everything is to be kept."""


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
            await exits.enter_async_context(stack)
            shutil.rmtree(stack.root / "answers", ignore_errors=True)  # an earlier run's; the folder is ours by now
            marks.append(monotonic())
            display.happened(f"all {len(stack.processes)} processes are ready", Mark.MEND)
            demo = Demo(stack, display, scene, board)
            async with _connected(stack, board) as portal:
                try:
                    await demo.play(portal)
                except (StalledError, StartError) as error:
                    demo.troubles.append(str(error))
                results = await gather(demo)
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
            portal_kafka=client_options(stack.env(PORTAL)),
            systems=SYSTEMS,
            operators_kafka=client_options(stack.env(OPERATORS)),
            operators=_keyring(stack.env(OPERATORS)),
        ),
        opened_portal(PORTAL, _keyring(stack.env(PORTAL)), client_options(stack.env(PORTAL))) as portal,
    ):
        yield portal


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


async def gather(demo: Demo) -> Results:
    """Gather what there is, whether or not all went well."""
    ask_of = {row.request_id: BY_KEY[row.key] for row in demo.scene.rows if row.request_id and row.key in BY_KEY}
    mails = await asyncio.to_thread(read_mails, demo.stack.mail)
    owned: list[tuple[Any, Mail]] = [(ask_of.get(mail.request_id) if mail.request_id else None, mail) for mail in mails]
    copies = await _copies(demo, owned)
    refusal = demo.board.rejected.get(demo.refused_id) if demo.refused_id else None
    statuses = {row.key: status for row in demo.scene.rows if (status := demo.status(row.key))}
    observed = Observed(
        statuses=statuses,
        mails={ask.key: [mail.notice for owner, mail in owned if owner is ask] for ask in ASKS},
        stray_mails=sum(owner is None for owner, _ in owned),
        copies={key: copy.files for key, copy in copies.items()},
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
            (ask_of[request_id].key, system): items
            for (request_id, system), items in demo.board.summaries.items()
            if request_id in ask_of
        },
        mails=owned,
        copies=copies,
        letters=[each.letter for each in demo.board.letters],
        submissions=sum(row.request_id is not None for row in demo.scene.rows) + (demo.refused_id is not None),
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
            found[ask.key] = await fetch_copy(mail.link, demo.stack.root / "answers" / name)
        except MailboxError as error:
            demo.troubles.append(str(error))
        else:
            demo.display.happened(f"fetched the copy for “{ask.title}” by the link in the mail", Mark.MEND)
    return found
