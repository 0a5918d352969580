"""The scene on a terminal: drawn anew several times a second, or line by line where there is no terminal.

A state is a word and a symbol; colours only repeat what these say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from habeas.contracts.status import StatusChanged, SubmissionRejected, SystemStatus
from operations.demo.scene import INFRASTRUCTURE, SERVICES, SYSTEMS, Event, Mark, Row, Scene, State

_MOST_EVENTS, _FEWEST_EVENTS = 16, 4
_FRAME = 10
"""Lines that are neither requests nor events, and the one that a terminal wants for its cursor."""
_STRIP = (16, 18, 19, 18)
"""Columns that the longest entries of the strip need."""
_WIDE = 104
"""Columns from which reference and due date have columns of their own."""

_PROCESS = {
    State.READY: ("●", "ready", "green"),
    State.STARTING: ("◌", "starts", "yellow"),
    State.RESTARTING: ("✖", "down", "bold red"),
    State.STOPPED: ("■", "stopped", "bold red"),
    State.NOT_READY: ("○", "unready", "yellow"),
}
_ABSENT = ("·", "not yet", "dim")
_NOT_YET = {False: ("·", "dim"), True: ("◌ submitted", "dim")}

_SYSTEM = {
    "waiting": ("◌", "waiting", "dim"),
    "asked": ("◔", "asked", "yellow"),
    "working": ("◑", "working", "cyan"),
    "excluded": ("–", "unasked", "dim"),
}
_FINISHED = {
    "completed": ("●", "done", "green"),
    "nothing_held": ("○", "nothing", "green"),
    "partial": ("◕", "in part", "green"),
}
_STATE = {
    "received": ("◌", "cyan"),
    "waiting": ("◌", "cyan"),
    "in_progress": ("◔", "yellow"),
    "triage": ("▲", "bold red"),
    "in_review": ("▲", "bold red"),
}
_CLOSED = ("●", "bold green")
_OUTCOME = {"partially_completed": "completed in part"}
_AFTERWARDS = {"restriction_lifting": "being lifted", "restriction_lifted": "lifted"}
"""What may become of a closed request."""
_MARK = {Mark.ACT: "bold", Mark.NOTE: "cyan", Mark.BLOW: "bold red", Mark.MEND: "bold green", Mark.USE: "magenta"}


class Display:
    """Shows nothing by itself: the base of the two below."""

    def __init__(self, console: Console, scene: Scene) -> None:
        self._console = console
        self._scene = scene

    @contextmanager
    def showing(self) -> Iterator[None]:
        yield

    def happened(self, text: str, mark: Mark = Mark.NOTE) -> None:
        self._scene.happened(text, mark)

    def changed(self, status: StatusChanged) -> None:
        self._scene.take(status)

    def refused(self, refusal: SubmissionRejected) -> None:
        self._scene.refuse(refusal)


class Plain(Display):
    """A line for each event and each change of a request."""

    def happened(self, text: str, mark: Mark = Mark.NOTE) -> None:
        self._console.print(event_line(self._scene.happened(text, mark)), soft_wrap=True)

    def changed(self, status: StatusChanged) -> None:
        row = self._scene.take(status)
        if row is not None:
            self._console.print(status_line(self._scene.clock(), row, status), soft_wrap=True)

    def refused(self, refusal: SubmissionRejected) -> None:
        row = self._scene.refuse(refusal)
        self._console.print(_line(self._scene.clock(), f"  {row.title}: rejected, {row.refusal}"), soft_wrap=True)


class Animated(Display):
    @contextmanager
    def showing(self) -> Iterator[None]:
        def draw() -> RenderableType:
            return picture(self._scene, *self._console.size)

        with Live(get_renderable=draw, console=self._console, refresh_per_second=8):
            yield


def picture(scene: Scene, width: int = 110, height: int = 40) -> RenderableType:
    """The whole scene; from 80 columns and 24 lines on it fits, with the requests first that are under way."""
    rows = _chosen(scene, max(1, height - _FRAME - _FEWEST_EVENTS))
    room = max(1, min(_MOST_EVENTS, height - _FRAME - len(rows)))
    events = scene.events[-room:]
    lines = [event_line(event) for event in events] + [Text()] * (room - len(events))
    has_begun = any(row.request_id for row in scene.rows)
    table = _matrix(scene, rows, width >= _WIDE) if has_begun else _playbill(rows)
    strips = (INFRASTRUCTURE, SERVICES) if has_begun else (INFRASTRUCTURE, SERVICES, SYSTEMS)
    return Panel(
        Group(_strip(scene, strips), Padding(table, (1, 0)), *lines),
        title="[bold]Habeas[/] demo, the people in it are invented",
        title_align="left",
        subtitle=f"{_tally(scene)}{scene.clock():.1f} s",
        subtitle_align="right",
        border_style="blue",
        box=box.ROUNDED,
        padding=(0, 1),
        width=width,
    )


def _chosen(scene: Scene, room: int) -> list[Row]:
    """All requests in their order where there is room; else the most urgent of them."""
    return scene.rows if len(scene.rows) <= room else scene.by_urgency()[:room]


def _tally(scene: Scene) -> str:
    submitted = sum(row.request_id is not None for row in scene.rows)
    ended = sum(row.ended is not None for row in scene.rows)
    return f"{submitted} submitted, {ended} answered, " if submitted else ""


def event_line(event: Event) -> Text:
    return Text.assemble(
        (f"{event.seconds:6.1f} s ", "dim"),
        (f"{event.mark.value} {event.text}", _MARK[event.mark]),
        no_wrap=True,
        overflow="ellipsis",
    )


def status_line(seconds: float, row: Row, status: StatusChanged) -> Text:
    """A request's new state in one line."""
    systems = ", ".join(f"{each.system} {_system(each)[1]}" for each in status.systems)
    outcome = f": {_words(status.outcome)}" if status.outcome else ""
    reason = f", {_words(status.reason.code)}" if status.reason else ""
    said = f"{_words(status.state)}{outcome}{reason}"
    line = f"  {row.title} {status.reference} {said}{f' ({systems})' if systems else ''}"
    return _line(seconds, line)


def _line(seconds: float, text: str) -> Text:
    return Text.assemble((f"{seconds:6.1f} s ", "dim"), text)


def _strip(scene: Scene, lines: Iterable[Sequence[str]]) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
    for width in _STRIP:
        grid.add_column(ratio=width, no_wrap=True)
    for names in lines:
        grid.add_row(*(_process(name, scene.processes.get(name)) for name in names))
    return grid


def _process(name: str, state: State | None) -> Text:
    symbol, word, style = _ABSENT if state is None else _PROCESS[state]
    # A process that is well needs no word.
    return Text.assemble((f"{symbol} {name}", style), (f" {word}" if state not in (None, State.READY) else "", style))


def _playbill(rows: Sequence[Row]) -> Table:
    """What will be asked for, while everything starts. As high as the table that takes its place."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, expand=True, show_edge=False)
    table.add_column("soon to come", ratio=15, no_wrap=True)
    table.add_column("", ratio=60, no_wrap=True)
    for row in rows:
        table.add_row(Text(row.title, "bold"), Text(row.wish, "dim"))
    return table


def _matrix(scene: Scene, rows: Sequence[Row], wide: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, expand=True, show_edge=False)
    # Only the first two that are in any picture grow: the others' words have a longest one.
    table.add_column("request", ratio=15, no_wrap=True)
    if wide:
        table.add_column("reference", width=12, no_wrap=True)
    table.add_column("state", ratio=19, no_wrap=True)
    for name in SYSTEMS:
        state = scene.processes.get(name)
        symbol, word, style = _ABSENT if state is None else _PROCESS[state]
        header = Text.assemble((name, "bold"), "\n", (f"{symbol} {word}", style))
        table.add_column(header, width=9, no_wrap=True)
    if wide:
        table.add_column("due", width=10, no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row, wide))
    return table


def _cells(row: Row, wide: bool) -> list[Text]:
    title, status = Text(row.title, "bold"), row.status
    if status is None:
        state = Text(f"✖ rejected {row.refusal}", "bold red") if row.refusal else Text(*_NOT_YET[bool(row.request_id)])
        return [title, *([Text()] if wide else []), state]
    by_name = {each.system: each for each in status.systems}
    systems = [_cell(by_name[name]) if name in by_name else Text() for name in SYSTEMS]
    if not wide:
        return [title, _state(status), *systems]
    due = Text(status.due.on.isoformat() if status.due else "")
    return [title, Text(status.reference, "dim"), _state(status), *systems, due]


def _state(status: StatusChanged) -> Text:
    """Of what is closed, how it ended."""
    symbol, style = _CLOSED if status.outcome else _STATE.get(str(status.state), ("?", "yellow"))
    return Text(f"{symbol} {_outcome(status) or _words(status.state)}", style)


def _outcome(status: StatusChanged) -> str:
    if status.reason is not None and status.reason.code in _AFTERWARDS:
        return _AFTERWARDS[status.reason.code]
    return _OUTCOME.get(str(status.outcome), _words(status.outcome)) if status.outcome else ""


def _cell(system: SystemStatus) -> Text:
    symbol, word, style = _system(system)
    return Text(f"{symbol} {word}", style=style)


def _system(system: SystemStatus) -> tuple[str, str, str]:
    if system.state == "finished":
        return _FINISHED.get(str(system.outcome), ("▲", _words(system.outcome or "finished"), "bold red"))
    return _SYSTEM.get(str(system.state), ("?", _words(system.state), "yellow"))


def _words(code: str) -> str:
    return str(code).replace("_", " ")
