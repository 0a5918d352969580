"""The checked-in documents are what the models say today."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from operations.commands.contract import DEFAULT_FOLDER, check, generate, register


def test_the_checked_in_documents_fit_the_models() -> None:
    assert check(DEFAULT_FOLDER) == [], "run `habeas contract generate` and check in what it writes"


def test_generate_mends_what_check_finds(tmp_path: Path) -> None:
    assert len(generate(tmp_path)) > 20
    assert check(tmp_path) == []
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "schemas" / "dsr.task.assigned.v1.json").unlink()
    (tmp_path / "schemas" / "dsr.task.forgotten.v1.json").write_text("{}")
    drifted = ["asyncapi.json", "schemas/dsr.task.assigned.v1.json", "schemas/dsr.task.forgotten.v1.json"]
    assert check(tmp_path) == drifted
    assert generate(tmp_path) == [tmp_path / name for name in drifted]
    assert check(tmp_path) == []
    assert generate(tmp_path) == []


def test_the_command_says_what_drifted(tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    runner = CliRunner()
    assert runner.invoke(app, ["contract", "generate", "--folder", str(tmp_path)]).exit_code == 0
    assert runner.invoke(app, ["contract", "check", "--folder", str(tmp_path)]).exit_code == 0
    (tmp_path / "sealing-vectors.json").write_text("{}")
    result = runner.invoke(app, ["contract", "check", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert "sealing-vectors.json" in result.output
    assert "habeas contract generate" in result.output
