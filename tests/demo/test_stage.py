"""Where the demo is played. What the containers' own engine does is not shown here: it takes an engine to show that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from habeas.portal import Portal as HabeasPortal
from operations.cli import build
from operations.compose.engine import Engine, NoEngineError
from operations.compose.joined import ComposeStack
from operations.demo.display import Plain
from operations.demo.play import Demo
from operations.demo.portal import Portal
from operations.demo.scene import Scene
from operations.demo.stage import Containers, Stage, staged
from operations.demo.stories import PlayedBeforeError, before_anybody_asks
from operations.demo.watch import Board
from operations.errors import OperationsError, UsageError
from operations.stack import Stack


def ignore(_: object) -> None:
    pass


def stage_in(root: Path, against: str) -> Stage:
    return staged(against, root, ignore, ignore)


DOCKER = """\
#!/bin/sh
printf '%s\\n' "$*" >> "$0.asked"
case "$*" in *nobody*) exit 0 ;; esac
echo '{"what": "invoice", "done": false, "purpose": "billing", "why": "restricted"}'
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command `docker` that notes what it is asked, and knows of a restricted invoice."""
    command = tmp_path / "bin" / "docker"
    command.parent.mkdir()
    command.write_text(DOCKER)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    return command


def test_each_is_played_on_its_own_stack(tmp_path: Path) -> None:
    assert isinstance(stage_in(tmp_path, "local").stack, Stack)
    assert isinstance(stage_in(tmp_path, "compose").stack, ComposeStack)


def test_both_say_where_to_look(tmp_path: Path) -> None:
    assert stage_in(tmp_path, "local").look("log/intake.log") == str(tmp_path / "log" / "intake.log")
    containers = stage_in(tmp_path, "compose")
    assert containers.look("log/intake.log") == "`docker compose logs intake`"
    assert containers.look("mail/") == str(tmp_path / "mail")


async def test_a_system_in_a_container_is_asked_there(tmp_path: Path, docker: Path) -> None:
    stage = Containers(ComposeStack(tmp_path, Engine(tmp_path)))
    used = await stage.use("billing", "acc-000157")
    assert (used.done, used.why) == (False, "restricted")
    (asked,) = docker.with_name("docker.asked").read_text().splitlines()
    assert asked.startswith("compose exec -T billing sh -c habeas use ")
    assert asked.endswith("billing acc-000157")


async def test_a_container_that_says_nothing_is_told_without_naming_the_person(tmp_path: Path, docker: Path) -> None:
    stage = Containers(ComposeStack(tmp_path, Engine(tmp_path)))
    with pytest.raises(OperationsError, match="says nothing") as raised:
        await stage.use("support", "nobody@example.org")
    assert "nobody" not in str(raised.value)


async def test_a_use_leaves_the_environment_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABEAS_DATA_DIR", "elsewhere")
    folder = tmp_path / "data" / "support"
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "support").write_text(f"HABEAS_DATA_DIR={folder}\n")
    used = await stage_in(tmp_path, "local").use("support", "nobody@example.org")
    assert (used.done, used.why) == (False, "not_held")
    assert any(folder.iterdir()), "it looked in the system's own folder"
    assert os.environ["HABEAS_DATA_DIR"] == "elsewhere"


async def test_a_stack_on_which_it_was_played_before_is_told_so(tmp_path: Path, docker: Path) -> None:
    stage = Containers(ComposeStack(tmp_path, Engine(tmp_path)))
    scene = Scene(lambda: 0.0, [])
    demo = Demo(stage, Portal(HabeasPortal("web")), Plain(Console(quiet=True), scene), scene, Board(), "no key")
    with pytest.raises(PlayedBeforeError, match="docker compose down --volumes"):
        await before_anybody_asks(demo)


def test_without_an_engine_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(build(), ["demo", "--against", "compose", "--root", str(tmp_path / "root")])
    assert isinstance(result.exception, NoEngineError)
    assert "there is no `docker` on the PATH" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--record", "demo.gif"], "ends with .svg or .txt"),
        (["--against", "compose", "--keep"], "a stack of the demo's own"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_started(options: list[str], words: str) -> None:
    result = CliRunner().invoke(build(), ["demo", *options])
    assert isinstance(result.exception, UsageError)
    assert words in str(result.exception)
