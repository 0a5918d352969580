"""A portal of a test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from portal_counter import Counter
from stand import Stand


@pytest.fixture
async def counter(stand: Stand, tmp_path: Path) -> AsyncIterator[Counter]:
    async with Counter.opened(stand.kafka("operators"), tmp_path) as counter:
        yield counter
