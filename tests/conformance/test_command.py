"""What the command says when it cannot begin, and how a verdict is come to."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from operations.cli import build
from operations.conformance import CHECKS, Finding, State, read_people, sample_people
from operations.conformance.report import verdict
from operations.errors import UsageError
from tests.conformance.running import EXAMPLES, ROOT

READING = next(check for check in CHECKS if check.id == "answers.access")
RESTARTING = next(check for check in CHECKS if check.restarts)
ENTRY = EXAMPLES / "newsletter" / "system.toml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that looks like a stack's, with no key of the newsletter."""
    (tmp_path / "env").mkdir()
    (tmp_path / "registry.toml").write_text((ROOT / "registry" / "ale.toml").read_text() + ENTRY.read_text())
    (tmp_path / "keys.json").write_text('{"keys": []}')
    (tmp_path / "env" / "operators").write_text(
        "HABEAS_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1\n"
        f"HABEAS_KEYS={tmp_path / 'keys.json'}\nHABEAS_REGISTRY={tmp_path / 'registry.toml'}\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["imagined"], "The registry has no system 'imagined'"),
        (["newsletter"], "--people FILE"),
        (["billing"], "has to hold a key of billing"),
        (["billing", "--only", "imagined"], "no such check: imagined"),
        (["billing", "--command", "true", "--without-restart"], "exclude each other"),
    ],
)
def test_it_says_what_is_missing(root: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HABEAS_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    done = CliRunner().invoke(build(), ["conformance", *words, "--root", str(root)])
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("[", "the document"),
        ("{}", "/people"),
        (json.dumps({"people": [], "stranger": {"email": "a@example.org"}}), "/people"),
        (json.dumps({"people": [{"identities": {}}], "stranger": {"email": "a@example.org"}}), "/people/0/identities"),
    ],
)
def test_a_wrong_people_file_is_explained_without_its_values(tmp_path: Path, content: str, where: str) -> None:
    file = tmp_path / "people.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=where) as error:
        read_people(file)
    assert "example.org" not in str(error.value)


def test_the_sample_has_people_for_our_systems_alone() -> None:
    assert sample_people("newsletter", frozenset({"email"})) is None
    people = sample_people("billing", frozenset({"email", "account_id"}))
    assert people is not None
    assert people.lasting
    assert len(people.destroyable) >= 10
    assert "example.org" not in repr(people)


@pytest.mark.parametrize(
    ("states", "without_restart", "code", "word"),
    [
        ([(READING, State.HOLDS), (RESTARTING, State.HOLDS)], False, 0, "conforms"),
        ([(READING, State.UNSUPPORTED), (RESTARTING, State.HOLDS)], False, 0, "conforms"),
        ([(READING, State.FAILS), (RESTARTING, State.HOLDS)], False, 1, "does not conform"),
        ([(READING, State.HOLDS), (RESTARTING, State.NOT_TRIED)], False, 1, "incomplete"),
        ([(READING, State.HOLDS), (RESTARTING, State.NOT_TRIED)], True, 0, "conforms"),
        ([(READING, State.NOT_TRIED), (RESTARTING, State.NOT_TRIED)], True, 1, "incomplete"),
    ],
)
def test_a_verdict(states: list[tuple[object, State]], without_restart: bool, code: int, word: str) -> None:
    findings = [Finding(check, state) for check, state in states]  # type: ignore[arg-type]
    came_to = verdict(findings, without_restart=without_restart)
    assert (came_to.exit_code, came_to.word) == (code, word)
