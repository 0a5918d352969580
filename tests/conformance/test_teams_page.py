"""What docs/teams.md shows is what there is."""

import json
import re
import shlex
from pathlib import Path

import typer

from habeas.contracts.vocabulary import Action, Did
from operations.cli import build
from operations.conformance import CHECKS, People
from tests.conformance.running import EXAMPLES, ROOT

PAGE = (ROOT / "docs" / "teams.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_program_and_its_entry_are_the_example() -> None:
    assert blocks("python") == [(EXAMPLES / "newsletter" / "newsletter.py").read_text()]
    assert blocks("toml")[0].strip() == (EXAMPLES / "newsletter" / "system.toml").read_text().strip()


def test_the_people_can_be_read() -> None:
    (shown,) = blocks("json")
    assert People.model_validate_json(shown).destroyable[0].corrections
    assert len(People.model_validate_json((EXAMPLES / "newsletter" / "people.json").read_bytes()).destroyable) >= 10
    assert json.loads(shown)["stranger"]


def test_every_action_is_explained() -> None:
    rows = dict(re.findall(r"^\| `([a-z]+)` \| (.*) \|$", PAGE, re.MULTILINE))
    assert {*Action} <= rows.keys()
    words = {word for action in Action for word in re.findall(r"`([a-z_]+)`", rows[action].rsplit(" | ", 1)[1])}
    assert {Did.RESTRICTED, Did.STOPPED, Did.RETAINED, Did.RECTIFIED, Did.UNRESTRICTED} <= words


def test_the_output_shows_checks_that_there_are() -> None:
    sentences = {check.id: check.sentence for check in CHECKS}
    shown = re.findall(r"^    [✓–·] +(\S+) +(.*?) +[0-9.]+$", PAGE, re.MULTILINE)
    assert len(shown) >= 5
    assert {name for name, said in shown if not sentences[name].startswith(said)} == set()


def test_the_commands_take_their_options() -> None:
    commands = typer.main.get_command(build()).commands  # type: ignore[attr-defined]
    seen = 0
    for block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            if ".venv/bin/habeas" in line:
                name, *words = shlex.split(line.split(".venv/bin/habeas ", 1)[1])
                known = {option for parameter in commands[name].params for option in parameter.opts}
                assert {word for word in words if word.startswith("--")} <= known
                seen += 1
    assert seen >= 6


def test_its_files_exist() -> None:
    named = {word for block in blocks("sh") for word in re.findall(r"(?:examples|docs|registry)/[\w./-]+", block)}
    assert len(named) > 5
    assert {word for word in named if not Path(ROOT / word).exists()} == set()
