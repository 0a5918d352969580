"""The wheel works by itself: in an environment with nothing else a team's participant and a portal's snippet run."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from stand import Stand, eventually

from operations.stack.environment import plain_environment
from tests.conformance.place import Place
from tests.conformance.running import habeas

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "newsletter"
pytestmark = [pytest.mark.xdist_group("newsletter"), pytest.mark.timeout(300)]

IMPORTS = """
import importlib, json, pkgutil, sys
import habeas
missing = {}
for module in pkgutil.walk_packages(habeas.__path__, "habeas."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        missing[module.name] = error.name
ours = {"shared", "services", "operations", "systems"} & {name.partition(".")[0] for name in sys.modules}
print(json.dumps({"missing": missing, "ours": sorted(ours), "from": habeas.__file__}))
"""
PORTAL = """
import asyncio
from datetime import UTC, datetime

from habeas.portal import Portal, proven


async def ask(address: str) -> None:
    async with Portal("web") as portal:
        known = proven("email", address, at=datetime.now(UTC))
        sent = await portal.submit("access", identities=[known], jurisdiction="DE-BE")
        print(sent.request_id)


asyncio.run(ask("stranger@example.net"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True, timeout=60
    )
    return next(folder.glob("habeas-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel, what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=os.name == "posix")
    python = folder / "bin" / "python"
    quietly = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", *quietly, wheel], check=True, timeout=240
    )
    return python


def said(python: Path, code: str, folder: Path, **environment: str) -> str:
    """What a program says that sees neither the repository nor our own environment's packages."""
    environment = plain_environment() | environment
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, "-I", "-c", code], cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_holds_the_package_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"habeas"}


def test_it_imports_nothing_else(python: Path, tmp_path: Path) -> None:
    found = json.loads(said(python, IMPORTS, tmp_path))
    # A store for those who have PostgreSQL, and with it the driver.
    assert found["missing"] == {"habeas.participant.postgres": "asyncpg"}
    assert found["ours"] == []
    assert not found["from"].startswith(str(ROOT))


def test_the_participant_is_short() -> None:
    assert len((EXAMPLE / "newsletter.py").read_text().splitlines()) <= 40


async def test_a_participant_runs_on_it(stand: Stand, python: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.mkdir()
    for file in ("newsletter.py", "test_data.py", "people.json"):
        shutil.copy(EXAMPLE / file, program)
    entry = (EXAMPLE / "system.toml").read_text()
    (tmp_path / "place").mkdir()
    async with Place.laid("newsletter", entry, stand.env("operators"), tmp_path / "place") as place:
        filling = "import runpy; runpy.run_path('test_data.py')"
        said(python, filling, program, **place.environment)
        checks = "people,answers.access,answers.export,answers.erase,repeats.erasure,all.contract,all.sealed"
        code, out, err = await habeas(
            *("conformance", "newsletter", "--only", checks, "--json"),
            *("--command", f"{python} -I {program / 'newsletter.py'}", "--people", str(program / "people.json")),
            *("--root", str(place.root)),
        )
    assert code == 0, out + err
    assert json.loads(out)["counts"] == {"holds": 7}


async def test_a_portal_submits_with_it(stand: Stand, python: Path, tmp_path: Path) -> None:
    async with stand.watching("operators", "dsr.portal.web.submissions.v1", earliest=False) as watch:
        request_id = await asyncio.to_thread(said, python, PORTAL, tmp_path, **stand.env("web"))

        async def come() -> bool:
            return any(record.key == request_id.encode() for record in watch.records)

        await eventually(come)
