"""The whole demo, as somebody types it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import psutil
import pytest

from operations.demo.scenario import ASKS

REPOSITORY = Path(__file__).resolve().parents[2]


def start(root: Path, *options: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")}
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "operations", "demo", "--plain", "--root", str(root), *options],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(240)
def test_the_demo_comes_out_as_it_should(tmp_path: Path) -> None:
    with start(tmp_path / "demo", "--record", str(tmp_path / "demo.svg")) as process:
        text = process.communicate()[0]
    assert process.returncode == 0, text
    for line in (
        r"§ Act 1: before anybody asks",
        r"✖ stopped analytics",
        r"▸ use before “restriction” – invoice, reply, page report, charge: done",
        r"letter: erasure \S+ waiting, comes after another",
        r"✖ killed collector with SIGKILL \(pid \d+\)",
        r"\d+ messages wait for collector",
        r"✔ collector is back \(pid \d+\)",
        r"child reported \S+ triage, child reported",
        r"the privacy team: habeas classify HB-\S+ --right erasure --authorised",
        r"✔ started analytics \(pid \d+\)",
        r"visitor \S+ in review, objection to weigh",
        r"the payment processor has been told of the new name",
        r"▸ use after “restriction” – invoice, reply, page report, charge: restricted",
        r"▸ use, “restriction” lifted – invoice, reply, page report, charge: done",
        r"▸ use after “objection” – marketing mail: objected; page report: done",
        r"malformed: rejected, not_json",
        r"dead letter +reason not_json, refused by intake",
        r"It holds \d+ invoices, 1 marketing_preference:",
        r"(\d+) of \1 checks passed",
        r"nothing was lost: 16 submissions, 16 answered, in [\d.]+ s",
    ):
        assert re.search(line, text), line
    answers = sorted((tmp_path / "demo" / "answers").iterdir())
    assert [path.name.partition("-")[0] for path in answers] == ["access", "first", "later", "portability"]
    for path in answers:
        assert zipfile.is_zipfile(path)
    assert len(list((tmp_path / "demo" / "mail").glob("*.eml"))) == sum(len(ask.notices) for ask in ASKS)
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["answers", "lock", "log", "mail"]
    drawn = (tmp_path / "demo.svg").read_text()
    assert len(drawn) < 300_000
    assert "checks&#160;passed" in drawn
    assert str(tmp_path) not in drawn


def runs(process: psutil.Process) -> bool:
    """A zombie does not: it has ended, and only whoever inherited it has not asked how."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.xdist_group("demo")
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    with start(tmp_path / "demo") as process:
        assert process.stdout is not None
        while "starting a local stack" not in process.stdout.readline():
            assert process.poll() is None
        children: list[psutil.Process] = []
        while not children:  # until it has begun to start something
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.1)
            children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        text = process.communicate()[0]
    assert process.returncode == 1
    assert "Stopped before the end; everything is down." in text
    # One that was just being started gets its signal as the demo ends, a moment after that.
    psutil.wait_procs([child for child in children if runs(child)], timeout=5)
    assert not any(runs(child) for child in children)
    assert not (tmp_path / "demo" / "holder.json").exists()
