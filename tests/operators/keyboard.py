"""The `habeas` command as a person or a script calls it: what is printed, and the exit code."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from operations.cli import build
from operations.errors import OperationsError

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Everything, without the frames and line breaks that a terminal's width makes."""
        return " ".join(f"{self.out} {self.err}".replace("│", " ").split())


def habeas(*arguments: str, typed: str | None = None, **environment: str | None) -> Said:
    """Run it in this process. No variable of the tests' own is seen: only `environment`."""
    hidden: dict[str, str | None] = {name: None for name in os.environ if name.startswith("HABEAS_")}
    result = CliRunner().invoke(
        build(),
        arguments,
        input=typed,
        env={**hidden, "COLUMNS": "200", "NO_COLOR": "1", **environment},
        prog_name="habeas",
    )
    if isinstance(result.exception, OperationsError):
        return Said(result.exception.exit_code, result.stdout, f"{result.stderr}habeas: {result.exception}")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def habeas_process(*arguments: str, **environment: str) -> Said:
    """Run it as a process of its own, as a shell would."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")}
    done = subprocess.run(
        [sys.executable, "-m", "operations", *arguments],
        env={**kept, "COLUMNS": "200", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
