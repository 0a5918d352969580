"""A picture of a run: how it looked at its height, and what it came to. For those who have not run it yet."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from operations.demo.checks import Check
from operations.demo.display import picture
from operations.demo.report import Results, outcomes, verdict
from operations.demo.scene import Scene

WIDTH, HEIGHT = 110, 40

THEME = TerminalTheme(
    (250, 250, 248),
    (40, 44, 52),
    [
        (40, 44, 52),
        (190, 40, 45),
        (30, 125, 60),
        (150, 105, 0),
        (40, 90, 165),
        (135, 60, 150),
        (0, 115, 130),
        (120, 124, 130),
    ],
)
"""Legible on a page, light or dark."""

_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_FETCHED_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


class Recording:
    """What was to be seen, drawn as SVG, or as text where the file's name says so."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._console = Console(record=True, file=io.StringIO(), width=WIDTH, force_terminal=True, highlight=False)

    def picture(self) -> None:
        """Take what is to be seen now."""
        self._console.print(picture(self._scene, WIDTH, HEIGHT))

    def end(self, results: Results, checks: Sequence[Check], look: Callable[[str], str]) -> None:
        """Take the tables that tell most, and the closing line."""
        outcomes(self._console, results)
        self._console.print()
        verdict(self._console, results, checks, look)

    def save(self, path: Path) -> None:
        """Write all that was taken to `path`, whose name ends with `.svg` or `.txt`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            text = self._console.export_text()
        else:  # with the reader's own fonts, none fetched from elsewhere
            drawn = self._console.export_svg(title="habeas demo", theme=THEME)
            text = _FETCHED_FONT.sub("", drawn).replace("Fira Code, monospace", _FONTS)
        path.write_text("".join(f"{line.rstrip()}\n" for line in text.splitlines()))
