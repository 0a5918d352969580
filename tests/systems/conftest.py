"""What tests of more than one system stand on."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.systems.company import Company


@pytest.fixture(scope="session")
async def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    async with Company(tmp_path_factory.mktemp("company")) as company:
        return company.folder


@pytest.fixture
async def company(tmp_path: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Company]:
    """A payment processor of the test's own, named in the environment."""
    shutil.copytree(seeded, tmp_path / "processor")
    async with Company(tmp_path / "processor") as company:
        monkeypatch.setenv("HABEAS_PROCESSOR_URL", company.url)
        yield company
