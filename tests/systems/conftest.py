"""What tests of more than one system stand on."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from stand import Stand

from tests.participant.schemas import a_schema
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


@pytest.fixture(scope="module")
async def billing_url(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A schema of the module's own in billing's database, named in the environment with a folder beside it."""
    async with a_schema(stand.database("billing")) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HABEAS_DATABASE_URL", url)
            patch.setenv("HABEAS_DATA_DIR", str(tmp_path_factory.mktemp("billing")))
            patch.delenv("HABEAS_PROCESSOR_URL", raising=False)
            yield url
