"""Setting up from a bare clone: what a machine may lack, told in a sentence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLOSED = "http://127.0.0.1:9/simple"  # discard: nothing listens there


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As much of a clone as setting up reads."""
    (tmp_path / "operations").mkdir()
    for name in ("operations/install.py", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def install(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(clone / "operations" / "install.py")],
        env={"PATH": os.environ["PATH"], "HOME": str(clone), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_without_a_network_it_says_what_to_do(clone: Path) -> None:
    done = install(clone, PIP_INDEX_URL=CLOSED, PIP_FIND_LINKS="", PIP_RETRIES="0", PIP_NO_CACHE_DIR="1")
    assert done.returncode == 3
    assert "The package index cannot be reached. Only the first run needs the network" in done.stderr
    assert not (clone / ".venv" / "installed").exists()


def test_what_is_set_up_is_left_alone(clone: Path) -> None:
    """The second run: nothing is asked of the network, nothing is changed."""
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    told = subprocess.run(
        [sys.executable, "-c", "import install; print(install.fingerprint())"],
        cwd=clone / "operations",
        capture_output=True,
        text=True,
        check=True,
    )
    (clone / ".venv" / "installed").write_text(told.stdout.strip())
    done = install(clone, PIP_INDEX_URL=CLOSED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_old_python_is_named(clone: Path) -> None:
    script = clone / "operations" / "install.py"
    script.write_text(script.read_text().replace("OLDEST = (3, 11)", "OLDEST = (9, 9)"))
    done = install(clone)
    assert done.returncode == 3
    assert "make PYTHON=" in done.stderr
