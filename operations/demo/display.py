"""The scene on a terminal: drawn anew several times a second, or line by line where there is no terminal.

A state is a word and a symbol; colours only repeat what these say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from habeas.contracts.status import StatusChanged, SystemStatus
from operations.demo.scene import INFRASTRUCTURE, SERVICES, SYSTEMS, Event, Mark, Row, Scene, State

_SHOWN_EVENTS = 9

_PROCESS = {
    State.READY: ("●", "ready", "green"),
    State.STARTING: ("◌", "starting", "yellow"),
    State.RESTARTING: ("✖", "killed", "bold red"),
    State.STOPPED: ("■", "stopped", "bold red"),
    State.NOT_READY: ("○", "not ready", "yellow"),
}
_ABSENT = ("·", "not yet", "dim")

_SYSTEM = {
    "waiting": ("◌", "waiting", "dim"),
    "asked": ("◔", "asked", "yellow"),
    "working": ("◑", "working", "cyan"),
    "excluded": ("–", "not asked", "dim"),
}
_FINISHED = {
    "completed": ("●", "done", "green"),
    "nothing_held": ("○", "nothing", "green"),
    "partial": ("◕", "in part", "green"),
}
_STATE = {
    "received": ("◌", "cyan"),
    "in_progress": ("◔", "yellow"),
    "in_review": ("▲", "bold red"),
    "closed": ("●", "bold green"),
}
_MARK = {Mark.NOTE: "cyan", Mark.BLOW: "bold red", Mark.MEND: "bold green"}


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


class Plain(Display):
    """A line for each event and each change of a request."""

    def happened(self, text: str, mark: Mark = Mark.NOTE) -> None:
        self._console.print(event_line(self._scene.happened(text, mark)), soft_wrap=True)

    def changed(self, status: StatusChanged) -> None:
        row = self._scene.take(status)
        if row is not None:
            self._console.print(status_line(self._scene.clock(), row, status), soft_wrap=True)


class Animated(Display):
    @contextmanager
    def showing(self) -> Iterator[None]:
        with Live(get_renderable=lambda: picture(self._scene), console=self._console, refresh_per_second=8):
            yield


def picture(scene: Scene) -> RenderableType:
    """The whole scene, for about 80 columns and more."""
    events = scene.events[-_SHOWN_EVENTS:]
    lines = [event_line(event) for event in events] + [Text()] * (_SHOWN_EVENTS - len(events))
    return Panel(
        Group(_strip(scene), Padding(_matrix(scene), (1, 0)), *lines),
        title="[bold]Habeas[/] demo, the people in it are invented",
        title_align="left",
        subtitle=f"{scene.clock():.1f} s",
        subtitle_align="right",
        border_style="blue",
        box=box.ROUNDED,
        padding=(0, 1),
    )


def event_line(event: Event) -> Text:
    return Text.assemble(
        (f"{event.seconds:6.1f} s ", "dim"), (f"{event.mark.value} {event.text}", _MARK[event.mark]), overflow="fold"
    )


def status_line(seconds: float, row: Row, status: StatusChanged) -> Text:
    """A request's new state in one line."""
    systems = ", ".join(f"{each.system} {_system(each)[1]}" for each in status.systems)
    outcome = f": {_words(status.outcome)}" if status.outcome else ""
    line = f"  {row.title} {status.reference} {_words(status.state)}{outcome}{f' ({systems})' if systems else ''}"
    return Text.assemble((f"{seconds:6.1f} s ", "dim"), line)


def _strip(scene: Scene) -> Table:
    grid = Table.grid(padding=(0, 2))
    for names in (INFRASTRUCTURE, SERVICES):
        grid.add_row(*(_process(name, scene.processes.get(name)) for name in names))
    return grid


def _process(name: str, state: State | None) -> Text:
    symbol, word, style = _ABSENT if state is None else _PROCESS[state]
    # A process that is well needs no word.
    return Text.assemble((f"{symbol} {name}", style), (f" {word}" if state not in (None, State.READY) else "", style))


def _matrix(scene: Scene) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, expand=True, show_edge=False)
    table.add_column("request", ratio=5, min_width=17)
    table.add_column("state", ratio=4, min_width=14)
    for name in SYSTEMS:
        symbol, word, style = _PROCESS.get(scene.processes.get(name, State.READY), _ABSENT)
        if name not in scene.processes:
            symbol, word, style = _ABSENT
        table.add_column(Text.assemble((name, "bold"), "\n", (f"{symbol} {word}", style)), ratio=3, min_width=9)
    table.add_column("due", ratio=3, min_width=10)
    for row in scene.rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> list[Text]:
    status = row.status
    reference = status.reference if status else ""
    title = Text.assemble((row.title, "bold"), "\n", (reference, "dim"))
    if status is None:
        return [title, Text(row.note or "·", style="bold red" if row.note else "dim")]
    symbol, style = _STATE.get(str(status.state), ("?", "yellow"))
    outcome = _words(status.outcome) if status.outcome else ""
    state = Text.assemble((f"{symbol} {_words(status.state)}", style), "\n", (outcome, "green"))
    by_name = {each.system: each for each in status.systems}
    systems = [_cell(by_name[name]) if name in by_name else Text() for name in SYSTEMS]
    return [title, state, *systems, Text(status.due.on.isoformat() if status.due else "")]


def _cell(system: SystemStatus) -> Text:
    symbol, word, style = _system(system)
    return Text(f"{symbol} {word}", style=style)


def _system(system: SystemStatus) -> tuple[str, str, str]:
    if system.state == "finished":
        return _FINISHED.get(str(system.outcome), ("▲", _words(system.outcome or "finished"), "bold red"))
    return _SYSTEM.get(str(system.state), ("?", _words(system.state), "yellow"))


def _words(code: str) -> str:
    return str(code).replace("_", " ")
