"""The picture of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from seen import TODAY, observed

from operations.demo.checks import examine
from operations.demo.recording import Recording
from operations.demo.report import Results
from operations.demo.scenario import ASKS
from operations.demo.scene import Row, Scene


def recorded(path: Path) -> str:
    scene = Scene(lambda: 12.3, [Row(ask.key, ask.title) for ask in ASKS])
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


def test_a_drawing_fetches_nothing(tmp_path: Path) -> None:
    text = recorded(tmp_path / "demo.svg")
    assert "@font-face" not in text
    assert "url(http" not in text
    assert "Fira" not in text
