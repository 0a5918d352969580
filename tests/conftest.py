"""One local stack for the whole run, with every service and system under its own principal.

`HABEAS_STACK=<folder>` uses the stack that `habeas up --root <folder>` runs; else one is started under `.habeas/test`,
by pytest's controlling process, in a thread of its own, and ends with it. `--without-stack` starts none.
`HABEAS_TEST_STACK=testcontainers` takes Kafka and PostgreSQL of that one from containers.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest
from stand import DeadLetters, Portal, Stand, stand_from_environment

from operations.stack import Stack

FAULTS = pytest.mark.xdist_group("faults").mark
ROOT = Path(__file__).resolve().parents[1] / ".habeas" / "test"

# How long an example takes says nothing on a machine that runs Kafka and PostgreSQL beside it.
hypothesis.settings.register_profile("habeas", deadline=None)
hypothesis.settings.load_profile("habeas")


def local_stack() -> Stack:
    """The stack to start, as HABEAS_TEST_STACK says: all of it processes, or Kafka and PostgreSQL from containers."""
    match os.environ.get("HABEAS_TEST_STACK") or "local":
        case "local":
            return Stack(ROOT, fresh=True, durable=False)
        case "testcontainers":
            from operations.compose.contained import ContainedStack

            return ContainedStack(ROOT)
    raise pytest.UsageError("HABEAS_TEST_STACK must be `local` or `testcontainers`")


class Background:
    """A stack in a thread: its loop supervises the children while the tests run."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="stack")

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise pytest.UsageError(f"the local stack did not start: {self._error}")

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._error = error
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with local_stack() as stack:
            os.environ["HABEAS_STACK"] = str(ROOT)
            os.environ["HABEAS_STACK_SUPERUSER"] = stack.superuser_url()
            self._ready.set()
            await self._stop.wait()


_background: Background | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-stack", action="store_true", help="start no local stack: for tests that need none")


def pytest_configure(config: pytest.Config) -> None:
    global _background  # noqa: PLW0603 - one per process, by pytest's own design
    is_worker = hasattr(config, "workerinput")
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # pytest-xdist would begin with the group of most tests
    if is_worker or config.option.without_stack or config.option.collectonly or stand_from_environment():
        return
    if "HABEAS_KAFKA_BOOTSTRAP_SERVERS" in os.environ:
        raise pytest.UsageError(
            "HABEAS_KAFKA_BOOTSTRAP_SERVERS names a stack for one principal, and the tests act as all of them: set "
            "HABEAS_STACK to a folder with env/<name> for each, as `habeas up --root FOLDER` writes it"
        )
    _background = Background()
    _background.start()


def pytest_unconfigure() -> None:
    if _background is not None:
        _background.stop()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The faults come first: they wait more than they work, and the others run on beside them."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") != FAULTS)


@pytest.fixture(scope="session")
def stand() -> Stand:
    found = stand_from_environment()
    assert found is not None, "this test needs a stack: leave out --without-stack"
    return found


@pytest.fixture(scope="session")
async def web(stand: Stand) -> AsyncIterator[Portal]:
    async with stand.portal("web") as portal:
        yield portal


@pytest.fixture(scope="session")
async def helpdesk(stand: Stand) -> AsyncIterator[Portal]:
    async with stand.portal("helpdesk") as portal:
        yield portal


@pytest.fixture(scope="session")
async def operators(stand: Stand) -> AsyncIterator[DeadLetters]:
    async with stand.operators() as reader:
        yield reader
