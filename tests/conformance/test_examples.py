"""The examples keep the contract, as `habeas conformance` finds out."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from stand import Stand

from tests.conformance.place import Place

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


async def habeas(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "operations", *words),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.xdist_group("examples")
async def test_the_newsletter_conforms(stand: Stand, tmp_path: Path) -> None:
    folder = EXAMPLES / "newsletter"
    entry = (folder / "system.toml").read_text()
    async with Place.laid("newsletter", entry, stand.env("operators"), tmp_path) as place:
        filling = await asyncio.create_subprocess_exec(
            sys.executable, folder / "test_data.py", env={**place.environment, "PYTHONPATH": str(ROOT)}
        )
        assert await filling.wait() == 0
        code, out, err = await habeas(
            *("conformance", "newsletter", "--command", f"{sys.executable} {folder / 'newsletter.py'}"),
            *("--people", str(folder / "people.json"), "--root", str(place.root), "--json"),
        )
    found = json.loads(out)
    assert [check for check in found["checks"] if check["state"] in ("fails", "not tried")] == []
    assert (code, found["verdict"]) == (0, "conforms"), err
