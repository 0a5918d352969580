"""Fetch Kafka's jars from the Maven repository. `python -m operations.stack.download` writes `kafka.lock` anew."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import requests
import rich.console
import rich.progress
import tenacity
import truststore

from operations.errors import OfflineError
from operations.stack.jars import LOCK_FILE, VERSION, Jar, sha256_of

KAFKA = ("org.apache.kafka", "kafka_2.13", VERSION)
# Kafka's own package leaves the choice of a logging backend to whoever runs it; without one its log is lost.
LOGGING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4")
PARALLEL = 6

Progress = Callable[[int, int], None]  # files done, bytes done


def fetch(jars: Sequence[Jar], folder: Path) -> None:
    """Fetch each jar into a folder of its own beside `folder`; what is whole moves in by a rename."""
    for stale in folder.parent.glob(f"{folder.name}.*.part"):
        shutil.rmtree(stale, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.", suffix=".part") as part,
        _progress(len(jars), sum(jar.bytes for jar in jars)) as progress,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        context = _maven(Path(part))
        pending = {pool.submit(_fetch, jar, context): jar for jar in jars}
        files = size = 0
        try:
            for future in as_completed(pending):
                jar = pending[future]
                future.result().replace(folder / jar.filename)
                files, size = files + 1, size + jar.bytes
                progress(files, size)
        except (requests.RequestException, RuntimeError, ValueError) as error:
            pool.shutdown(cancel_futures=True)
            total = sum(jar.bytes for jar in jars) >> 20
            what = f"Apache Kafka {VERSION} ({len(jars)} files, {total} MB; got as far as {files})"
            raise OfflineError(what, str(folder.parent), type(error).__name__) from error


@tenacity.retry(
    retry=tenacity.retry_if_exception_type((requests.RequestException, RuntimeError, ValueError)),
    stop=tenacity.stop_after_attempt(4),
    wait=tenacity.wait_exponential(0.3),
    reraise=True,
)
def _fetch(jar: Jar, context: Any) -> Path:
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    path = Path(artifact.resolve())
    if sha256_of(path) != jar.sha256:
        path.unlink()
        raise ValueError(f"{jar.filename} is not what {LOCK_FILE.name} says it is")
    return path


def _maven(folder: Path) -> Any:
    """Return jgo's view of the Maven repository, keeping what it fetches in `folder`.

    Certificates are checked against the system's trust store, as a user's browser and pip do: a company's own authority
    stands there and not in a Python package.

    Imported here because the import looks for folders of the user that a bare machine does not have, and warns.
    """
    truststore.inject_into_ssl()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415
    return MavenContext(resolver=PythonResolver(), repo_cache=folder, timeout=30)


@contextlib.contextmanager
def _progress(files: int, size: int) -> Iterator[Progress]:
    """Show how far the download is: a bar on a terminal, a line now and then elsewhere."""
    title = f"Fetching Apache Kafka {VERSION} (first run only)"
    if sys.stderr.isatty():
        columns = ("{task.description}", "{task.fields[files]} files")
        bar = rich.progress.Progress(
            *columns,
            rich.progress.BarColumn(),
            rich.progress.DownloadColumn(),
            console=rich.console.Console(stderr=True),
        )
        with bar:
            task = bar.add_task(title, total=size, files=f"0/{files}")
            yield lambda done, got: bar.update(task, completed=got, files=f"{done}/{files}")
        return

    told = 0  # quarters

    def line(done: int, got: int) -> None:
        nonlocal told
        if 4 * got // size > told or done == files:
            told = 4 * got // size
            print(f"{title}: {done} of {files} files, {got >> 20} of {size >> 20} MB", file=sys.stderr, flush=True)

    print(f"{title}: {files} files, {size >> 20} MB", file=sys.stderr, flush=True)
    yield line


def write_lock() -> None:
    """Resolve Kafka's dependencies anew and write `kafka.lock`."""
    from jgo.maven import Dependency  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as repository:
        context = _maven(Path(repository))
        kafka, logging = (
            context.project(group, artifact).at_version(version).artifact()
            for group, artifact, version in (KAFKA, LOGGING)
        )
        _, transitive = context.resolver.resolve([Dependency(kafka, scope="compile")])
        needed = [each.artifact for each in transitive if each.scope in ("compile", "runtime")]
        lines = []
        for jar in (kafka, *needed, logging):
            path = Path(jar.resolve())
            coordinate = f"{jar.groupId}:{jar.artifactId}:{jar.version}"
            lines.append(f"{path.stat().st_size} {sha256_of(path)} {coordinate}")
    header = f"# Apache Kafka {VERSION}: bytes, SHA-256, coordinate. Written by `python -m {__spec__.name}`."
    LOCK_FILE.write_text("\n".join([header, *sorted(lines, key=lambda line: line.split()[2])]) + "\n")


if __name__ == "__main__":
    write_lock()
