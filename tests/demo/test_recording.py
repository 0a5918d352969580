"""The picture of a run."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from seen import TODAY, observed

from habeas.contracts.result import SummaryItem
from operations.demo.checks import examine
from operations.demo.recording import Recording
from operations.demo.report import Results, tell
from operations.demo.scenario import ASKS, ERASURE
from operations.demo.scene import Row, Scene


def recorded(path: Path) -> str:
    scene = Scene(lambda: 12.3, [Row(ask.key, ask.title, ask.wish) for ask in ASKS])
    recording = Recording(scene)
    recording.picture()
    results = Results(observed(), {}, [], {}, [], submissions=16, answered=16, seconds={"requests": 12.3})
    recording.end(results, examine(results.observed, TODAY), str)
    recording.save(path)
    return path.read_text()


@pytest.mark.parametrize("name", ["demo.svg", "demo.txt"])
def test_it_shows_the_height_and_the_end(tmp_path: Path, name: str) -> None:
    text = recorded(tmp_path / "docs" / name).replace("&#160;", " ").replace("&#x27;", "'")
    for words in ("the people in it are invented", "What came of each request", "checks passed", "nothing was lost"):
        assert words in text
    assert "\x1b" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_what_each_task_of_a_system_did_is_told_apart() -> None:
    def item(did: str, **members: Any) -> SummaryItem:
        return SummaryItem(category="invoices", did=did, count=2, **members)

    held = (item("retained", ground="held_for_request", until=TODAY),)
    kept = [item("retained", ground="accounting_records", until=dt.date(year, 12, 31)) for year in (2033, 2030)]
    console = Console(width=200, color_system=None)
    seen = replace(observed(), letters=[])
    results = Results(seen, {(ERASURE, "billing"): [held, kept]}, [], {}, [], submissions=16, answered=16)
    with console.capture() as capture:
        tell(console, results, Path("root"))
    first, second = "2 retained until 2026-11-23 (held_for_request)", "4 retained until 2030-12-31 to 2033-12-31"
    assert f"erasure   billing   invoices   {first}; {second} (accounting_records)" in capture.get()


def test_a_drawing_fetches_nothing(tmp_path: Path) -> None:
    text = recorded(tmp_path / "demo.svg")
    assert "@font-face" not in text
    assert "url(http" not in text
    assert "Fira" not in text
