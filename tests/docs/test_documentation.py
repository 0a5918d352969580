"""The documentation keeps its promises: examples run, commands and settings exist, links lead somewhere."""

import re
from pathlib import Path

import pytest
import typer

from habeas.contracts import Keyring
from habeas.contracts.sealing import JsonWebKey, new_key
from habeas.contracts.submission import RequestSubmitted
from habeas.participant import Participant, ParticipantSettings
from habeas.settings import KafkaSettings
from operations.cli import build
from operations.commands.submit import submission
from services.collector.app import CollectorSettings
from services.notifier.app import NotifierSettings
from shared.clock import system_clock
from systems import sample

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
EXAMPLES = [
    pytest.param(code, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL), 1)
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Participant[object]] = []

    def run(participant: Participant[object]) -> None:
        ran.append(participant)

    monkeypatch.setattr(Participant, "run", run)
    exec(compile(code, "example", "exec"), {"__name__": "example"})
    assert len(ran) == code.count(".run()")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()) if "://" not in link]
    assert [link for link in targets if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    command = typer.main.get_command(build())
    known = set(command.list_commands(None))  # type: ignore[attr-defined,arg-type]
    named = set(re.findall(r"(?:`|bin/|\n)habeas ([a-z][a-z-]+)", page.read_text()))
    assert named <= known


def test_the_example_submission_keeps_the_contract() -> None:
    keyring = Keyring([JsonWebKey.model_validate(new_key("web"))])
    given = (ROOT / "docs" / "example-submission.json").read_bytes()
    event = submission(given, "web", keyring, system_clock())
    assert event.type == RequestSubmitted.TYPE
    assert sample.person(94).email in given.decode()


def test_every_setting_is_explained() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    named = {
        f"HABEAS_{field.upper()}"
        for settings in (CollectorSettings, NotifierSettings, ParticipantSettings)
        for field in settings.model_fields
    }
    assert {name for name in named if f"`{name}`" not in page} == set()
    suffixes = {"BOOTSTRAP_SERVERS", "SECURITY_PROTOCOL", "SASL_MECHANISM", "_USERNAME", "_PASSWORD"}
    assert {suffix for suffix in suffixes if suffix not in page} == set()
    assert len(KafkaSettings.model_fields) == len(suffixes)


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text()
    pages = {page.name for page in folder.glob("[0-9]*.md")}
    assert {page for page in pages if f"({page})" not in listed} == set()


def test_every_dependency_earns_its_line() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    packages = set(re.findall(r'^    "([a-z0-9-]+)(?:\[[a-z]+\])?[>=~";]', project, re.MULTILINE))
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert len(packages) > 30
    assert {name for name in packages if name not in page and not name.startswith("types-")} == set()
