"""The example in Python keeps the contract, as `habeas conformance` finds out."""

import sys
from pathlib import Path

import pytest
from stand import Stand

from tests.conformance.place import Place
from tests.conformance.running import EXAMPLES, assert_conforms, run

pytestmark = pytest.mark.xdist_group("newsletter")


async def test_the_newsletter_conforms(stand: Stand, tmp_path: Path) -> None:
    folder = EXAMPLES / "newsletter"
    entry = (folder / "system.toml").read_text()
    async with Place.laid("newsletter", entry, stand.env("operators"), tmp_path) as place:
        await run(sys.executable, folder / "test_data.py", **place.environment)
        await assert_conforms("newsletter", f"{sys.executable} {folder / 'newsletter.py'}", place)
