"""Kafka, PostgreSQL and SMTP, up once for the tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from operations.stack import Ports, Stack


@pytest.fixture(scope="session")
async def infrastructure(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    root: Path = tmp_path_factory.mktemp("stack")
    async with Stack(root, programs=[], ports=Ports(), keep=False) as stack:
        yield stack
