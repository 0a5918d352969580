"""The tables of the documentation say what the code says."""

import re
from pathlib import Path

import pytest

from operations import reference
from operations.cli import build
from operations.commands.docs import PAGE
from operations.errors import OperationsError
from tests.operators.keyboard import habeas

ROOT = Path(__file__).parents[2]


def test_the_tables_fit_the_code() -> None:
    said = habeas("docs", "check")
    assert said.code == 0, said.err


def test_drift_is_told_and_mended(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text().replace("| `HABEAS_SMTP_URL` |", "| `HABEAS_MAIL_URL` |"))
    said = habeas("docs", "check", "--page", str(page))
    assert (said.code, "habeas docs generate" in said.err) == (1, True)
    assert habeas("docs", "generate", "--page", str(page)).code == 0
    assert page.read_text() == PAGE.read_text()
    assert "unchanged" in habeas("docs", "generate", "--page", str(page)).out


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(OperationsError, match="markers"):
        reference.made("nothing here", build())


def test_every_class_of_settings_is_in_the_table() -> None:
    written = {
        name
        for folder in ("habeas", "shared", "services", "systems", "operations")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"^class (\w+)\((?:Base|Service)Settings\)", path.read_text(), re.MULTILINE)
    }
    assert {model.__name__ for _, model in reference.SETTINGS} == written


def test_every_setting_says_what_it_is() -> None:
    assert [each.variable for each in reference.settings() if not each.what or each.what == "secret"] == []


def test_every_command_says_what_it_does() -> None:
    rows = reference.commands_table(build()).splitlines()[2:]
    assert len(rows) > 25
    assert [row for row in rows if not re.fullmatch(r"\| `habeas [a-z -]+` \| .{10,}[.?] \|", row)] == []


def test_secrets_are_marked() -> None:
    marked = {each.variable for each in reference.settings() if each.what.endswith("; secret")}
    assert marked == {
        "HABEAS_KAFKA_SASL_PASSWORD",
        "HABEAS_DATABASE_URL",
        "HABEAS_SMTP_URL",
        "HABEAS_PROCESSOR_KEY",
    }
