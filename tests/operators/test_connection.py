"""Which stack a command talks to, where what it was given names none."""

from pathlib import Path

import pytest

from operations.connection import local_variables
from operations.errors import UsageError


def test_without_a_local_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="habeas up"):
        local_variables("intake", tmp_path)


def test_a_misspelt_name_is_told_which_names_there_are(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    for name in ("intake", "billing"):
        (tmp_path / "env" / name).touch()
    with pytest.raises(UsageError, match="no 'intak', but billing, intake"):
        local_variables("intak", tmp_path)
