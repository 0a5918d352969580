"""Runs the command and the examples as a team would."""

import asyncio
import json
import sys
from pathlib import Path

from operations.stack.environment import plain_environment
from tests.conformance.place import Place

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


async def habeas(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "operations", *words),
        cwd=ROOT,
        env=plain_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def run(*command: str | Path, folder: Path = ROOT, **environment: str) -> str:
    """A command's stdout; it has to end well."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**plain_environment(), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode() + out.decode()
    return out.decode()


async def assert_conforms(name: str, command: str, place: Place) -> None:
    people = EXAMPLES / "newsletter" / "people.json"
    code, out, err = await habeas(
        *("conformance", name, "--command", command, "--people", str(people), "--root", str(place.root), "--json")
    )
    assert out, err
    found = json.loads(out)
    assert {each["id"]: each["detail"] for each in found["checks"] if each["state"] in ("fails", "not tried")} == {}
    assert (code, found["verdict"]) == (0, "conforms")
