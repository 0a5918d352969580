"""docs/law.md says what the law's data says."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from operations.commands.rules import register
from shared.law import table
from shared.law.regime import regimes

PAGE = Path(__file__).parents[2] / "docs" / "law.md"
EXAMPLES = re.findall(r"```\n\$ habeas (.*?)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
BEGIN, END = "<!-- clocks: printed by `python -m shared.law.table` -->\n", "<!-- end of clocks -->"


def test_the_page_shows_the_clocks_as_they_are() -> None:
    shown = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown == table.clocks(), "put what `python -m shared.law.table` prints into docs/law.md"


def test_every_source_and_every_doubt_is_shown() -> None:
    shown = table.clocks()
    for code, known in regimes().items():
        assert (f"| `{code}` (clock only) |" in shown) is known.clock_only
        for clock in known.clocks:
            pauses = [clock.pauses.source] if clock.pauses else []
            assert all(text in shown for text in (clock.source, *pauses, *clock.unverified))


@pytest.mark.parametrize(("command", "said"), EXAMPLES)
def test_an_example_of_the_page_says_what_it_shows(command: str, said: str) -> None:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, shlex.split(command), env={"HABEAS_REGISTRY": None})
    assert result.stdout == said


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 2
