"""`habeas dead-letters list|show|replay`: what could not be used, why, and once more."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from aiokafka import AIOKafkaConsumer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from habeas.contracts.base import identifier
from habeas.contracts.cloudevents import rfc3339
from habeas.contracts.dead_letter import DeadLetter
from habeas.contracts.errors import HabeasError, Reason
from habeas.contracts.sealing import KeyFile, Keyring
from operations.commands.stack import JsonOption, RootOption
from operations.completion import reasons, systems
from operations.connection import DEFAULT_ROOT, clock, variables
from operations.errors import OperationsError, UsageError
from operations.inspect.content import header_names, shown, shown_as_json
from operations.inspect.instants import since as instant_since
from operations.inspect.kafka import account_name, reading, writing
from operations.inspect.letters import Found, Letter, Pile, Search, Telling, find_letters, opened, whole_letters
from operations.inspect.replay import Outcome, rehearse, replay
from shared.clock import Clock, system_clock

SystemOption = Annotated[
    str | None,
    typer.Option("--system", help="A system's own dead letters, not the services'.", autocompletion=systems),
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Refused for this reason.", autocompletion=reasons)]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="Refused since: 2d, 2026-03-02, 2026-03-02T09:15:00Z.")
]
_LONG = 20_000
"""Records after which a reading without a terminal says how far it is."""

_SLACK = timedelta(minutes=10)
"""Producers' clocks differ: so much earlier begins the reading for `--since`."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the command works: as whom, by which clock, on which pile."""

    environment: dict[str, str]
    clock: Clock
    pile: Pile

    def keyring(self) -> Keyring:
        path = self.environment.get("HABEAS_KEYS")
        if not path:
            raise UsageError("Set HABEAS_KEYS to the key file that opens dead letters.")
        try:
            return KeyFile(Path(path)).keyring()
        except HabeasError as error:
            raise OperationsError(str(error)) from None


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    commands = typer.Typer(no_args_is_help=True, help="Records that could not be used: look at them, replay them.")
    commands.command("list")(list_them)
    commands.command("show")(show)
    commands.command("replay")(replay_them)
    app.add_typer(commands, name="dead-letters")


def list_them(
    system: SystemOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(help="How many to show, at most: the latest.", min=1, max=100_000)] = 50,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, latest last: when, why, what it was and where it stood. Nothing is opened."""
    desk = _desk(root, system)
    search = Search(reason=_reason(reason), since=_since(since, desk))
    found = _find(desk, search)
    chosen = found.letters[-limit:]
    if as_json:
        listed = [_as_json(each) for each in chosen]
        print(json.dumps({"dead_letters": listed, "shown": len(chosen), "total": len(found.letters)}, indent=1))
        return
    console = Console(highlight=False)
    if chosen:
        console.print(_table(chosen))
    many = len(found.letters)
    console.print(f"{len(chosen)} of {many} dead letter{'' if many == 1 else 's'} of {desk.pile.reader}.")
    if found.strange:
        console.print(f"{found.strange} further records on {desk.pile.topic} are no dead letters.")


def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id, as `list` has it.")],
    content: Annotated[
        bool, typer.Option("--open", help="Print the record itself. It may hold personal data: mind who looks on.")
    ] = False,
    system: SystemOption = None,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: why and where it was refused, and the names of its headers; with --open, the record."""
    desk = _desk(root, system)
    identity = _identifier(letter_id)
    keyring = desk.keyring()

    async def fetch() -> tuple[Letter, DeadLetter]:
        async with reading(desk.environment, desk.pile.topic) as consumer:
            found = await _find_with(consumer, desk, Search(ids=frozenset({identity})))
            _all_found({identity}, found.letters)
            (whole,) = [each async for each in whole_letters(consumer, found.letters)]
            return whole

    letter, body = asyncio.run(fetch())
    record = opened(body, desk.pile, keyring)
    if as_json:
        inside = shown_as_json(record) if content else {"header_names": header_names(record)}
        print(json.dumps({**_as_json(letter), **inside}, indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(letter):
        facts.add_row(name, escape(value))
    facts.add_row("Headers", escape(", ".join(header_names(record)) or "none"))
    console.print(facts)
    if content:
        console.print()
        print(shown(record))
    else:
        console.print("\nIts content may be personal data; `--open` prints it.")


def replay_them(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Which ones; or --reason.")] = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send. Without it, only say what would be sent.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before.")] = False,
    system: SystemOption = None,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Publish refused records again as they were: the same key, value and headers, to their own topic.

    Mend first what they were refused for, or they come back. A record that was used after all changes nothing.
    """
    desk = _desk(root, system)
    if bool(letter_ids) == bool(reason or since):
        raise UsageError("Say which: either ids, or --reason (and --since) for all that were refused for it.")
    ids = frozenset(_identifier(each) for each in letter_ids or ())
    search = Search(ids, _reason(reason), _since(since, desk))
    outcome, before = asyncio.run(_replay(desk, search, send=yes, again=again))
    _tell(outcome, before, sent=yes, as_json=as_json)
    if outcome.failed:
        raise typer.Exit(1)


def _find(desk: Desk, search: Search) -> Found:
    async def find() -> Found:
        async with reading(desk.environment, desk.pile.topic) as consumer:
            return await _find_with(consumer, desk, search)

    return asyncio.run(find())


async def _find_with(consumer: AIOKafkaConsumer, desk: Desk, search: Search) -> Found:
    # Kafka stamps records by the system's clock, which a local stack's may be ahead of.
    written = search.since and search.since - (desk.clock() - system_clock()) - _SLACK
    with _progress() as progress:
        return await find_letters(consumer, search, written, progress)


async def _replay(desk: Desk, search: Search, *, send: bool, again: bool) -> tuple[Outcome, list[Letter]]:
    """What was or would be sent, and what is left out because it was replayed before."""
    keyring = desk.keyring()
    async with reading(desk.environment, desk.pile.topic) as consumer:
        found = await _find_with(consumer, desk, search)
        _all_found(search.ids, found.letters)
        before = [each for each in found.letters if each.replayed and not again]
        if before and search.ids and send:
            _ask_again(before)
            before = []
        chosen = [each for each in found.letters if each not in before]
        if not send:
            return await rehearse(consumer, chosen, desk.pile, keyring), before
        async with writing(desk.environment) as producer:
            by = account_name()
            return await replay(consumer, producer, chosen, desk.pile, keyring, by=by, clock=desk.clock), before


def _ask_again(before: Sequence[Letter]) -> None:
    """Let whoever named them say that they mean it. Raises OperationsError where nobody can be asked."""
    was = ", ".join(
        f"{each.id} at {rfc3339(each.replayed.replayed_at)} by {each.replayed.by}" for each in before if each.replayed
    )
    if not sys.stdin.isatty():
        raise OperationsError(f"Replayed before: {was}. Nothing was sent; add --again to send once more.")
    typer.confirm(f"Replayed before: {was}. Once more?", abort=True)


def _tell(outcome: Outcome, before: Sequence[Letter], *, sent: bool, as_json: bool) -> None:
    if as_json:
        answer = {
            "sent": [
                {**_as_json(each), "now_at": {"partition": to.partition, "offset": to.offset}}
                for each, to in outcome.sent
            ],
            "would_send": [_as_json(each) for each in outcome.planned],
            "replayed_before": [_as_json(each) for each in before],
            "failed": outcome.failed,
        }
        print(json.dumps(answer, indent=1))
        return
    console = Console(highlight=False)
    chosen = outcome.planned or [each for each, _ in outcome.sent]
    if chosen:
        console.print(_table(chosen))
    for text in outcome.failed:
        print(text, file=sys.stderr)
    if before:
        console.print(f"{len(before)} replayed before: left out. `--again` takes them too.")
    if sent:
        console.print(f"Sent {len(outcome.sent)}.")
    elif chosen:
        console.print(f"Would send {len(chosen)}. Nothing was sent: add --yes to send.")
    else:
        console.print("Nothing to send.")


def _desk(root: Path, system: str | None) -> Desk:
    environment = variables(root=root)
    return Desk(environment, clock(environment), Pile(system))


def _all_found(ids: Collection[UUID], letters: Sequence[Letter]) -> None:
    missing = sorted(set(ids) - {each.id for each in letters})
    if missing:
        raise OperationsError(
            f"There is no dead letter {', '.join(map(str, missing))}: `habeas dead-letters list` has their ids. "
            "A system's own are found with --system."
        )


def _identifier(text: str) -> UUID:
    found = identifier(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no dead letter's id: it has 36 characters, see `habeas dead-letters list`.")
    return found


def _reason(text: str | None) -> str | None:
    if text is not None and text not in set(Reason):
        raise UsageError(f"--reason {text!r} is none. There are: {', '.join(Reason)}.")
    return text


def _since(text: str | None, desk: Desk) -> datetime | None:
    return None if text is None else instant_since(text, desk.clock())


def _table(letters: Sequence[Letter]) -> Table:
    """Two lines or three for each, so that the whole id can be copied from a terminal of 80 columns."""
    names = (Column(name, no_wrap=True) for name in ("refused", "reason, by"))
    table = Table(*names, Column("id, where it stood", overflow="fold"), box=None)
    for each in letters:
        body = each.body
        at = f"{body.refused_at:%Y-%m-%d %H:%M:%S}"
        place = f"{each.id}\n{escape(body.topic)} {body.partition}/{body.offset}"
        replayed = f"\nreplayed {each.replayed.replayed_at:%Y-%m-%d %H:%M}" if each.replayed else ""
        table.add_row(at, f"{body.reason}\nby {body.refused_by}", f"{place}{replayed}")
    return table


def _facts(letter: Letter) -> list[tuple[str, str]]:
    """Name and value of each line that stands in clear."""
    body = letter.body
    where = f" at {body.pointer}" if body.pointer else ""
    facts = [
        ("Id", str(letter.id)),
        ("Reason", f"{body.reason}{where}{f': {body.detail}' if body.detail else ''}"),
        ("Refused", f"{rfc3339(body.refused_at)} by {body.refused_by}"),
        ("Stood", f"{body.topic}, partition {body.partition}, offset {body.offset}, since {rfc3339(body.recorded_at)}"),
        ("Size", f"{body.bytes} bytes"),
    ]
    if letter.replayed:
        again = letter.replayed
        now_at = f"{again.topic}, partition {again.partition}, offset {again.offset}"
        facts.append(("Replayed", f"{rfc3339(again.replayed_at)} by {again.by}: {now_at}"))
    return facts


def _as_json(letter: Letter) -> dict[str, Any]:
    clear = letter.body.model_dump(mode="json", exclude={"personal"})
    return {**clear, "replayed": letter.replayed.model_dump(mode="json") if letter.replayed else None}


@contextmanager
def _progress() -> Iterator[Telling]:
    """How far a long reading is: a bar on a terminal, a line now and then elsewhere; both on stderr."""
    if not sys.stderr.isatty():

        def line(done: int, total: int) -> None:
            if done % _LONG == 0:
                print(f"{done} of {total} records read", file=sys.stderr, flush=True)

        yield line
        return
    columns = (TextColumn("Reading dead letters"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total) if done % 100 == 0 else None
