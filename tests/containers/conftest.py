"""Tests that need a Docker engine run only where the stack is taken from containers; elsewhere they are deselected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine: needs a Docker engine; selected by HABEAS_TEST_STACK=testcontainers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("HABEAS_TEST_STACK") == "testcontainers":
        return
    left_out = [item for item in items if item.get_closest_marker("engine")]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    found = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    assert isinstance(found, dict)
    return found
