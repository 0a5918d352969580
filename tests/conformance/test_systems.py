"""Our four systems keep the contract, each over a store of its own and killed on the way."""

import sys
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from stand import Stand

from operations.conformance import State, conform, sample_people
from operations.conformance.program import Program, private_log
from operations.conformance.report import verdict
from operations.programs import SYSTEMS
from operations.stack.ports import choose
from operations.stack.stack import REGISTRY
from tests.conformance.place import Place
from tests.participant.schemas import a_schema

pytestmark = pytest.mark.xdist_group("conforming")


@pytest.mark.parametrize("system", SYSTEMS)
async def test_it_conforms(system: str, stand: Stand, tmp_path: Path) -> None:
    name = f"{system}-{uuid4().hex[:8]}"
    (tmp_path / "place").mkdir()
    async with (
        surroundings(system, stand, tmp_path) as more,
        Place.laid(name, entry(system, name), stand.env("operators"), tmp_path / "place", **more) as place,
        Program(
            name,
            f"{sys.executable} -m tests.conformance.under_another_name {system} {name}",
            place.environment,
            private_log(tmp_path, name),
        ) as program,
    ):
        people = sample_people(system, frozenset(tomllib.loads(REGISTRY.read_text())["systems"][system]["needs"]))
        assert people is not None
        async with place.bench(people, patience=40, flood=60) as bench:
            bench.program = program
            findings = await conform(bench)
    assert {
        finding.check.id: finding.detail for finding in findings if finding.state not in (State.HOLDS, State.REPORTED)
    } == {}
    assert verdict(findings).exit_code == 0


@asynccontextmanager
async def surroundings(system: str, stand: Stand, folder: Path) -> AsyncIterator[Mapping[str, str]]:
    """What the system needs beside Kafka, in the variables that name it."""
    match system:
        case "billing":
            async with a_schema(stand.database("billing")) as url:
                yield {"HABEAS_DATABASE_URL": url}
        case "payments":
            port = str(choose("a test's processor"))
            environment = {"HABEAS_HTTP_PORT": port, "HABEAS_DATA_DIR": str(folder / "processor")}
            log = private_log(folder, "processor")
            async with Program("processor", f"{sys.executable} -m systems.payments.processor", environment, log):
                yield {"HABEAS_PROCESSOR_URL": f"http://127.0.0.1:{port}"}
        case _:
            yield {}


def entry(system: str, name: str) -> str:
    """The registry's table of the system, under another name."""
    text = REGISTRY.read_text()
    parts = [part for part in text.split("\n\n") if f"systems.{system}]" in part or f"systems.{system}." in part]
    return "\n\n" + "\n\n".join(parts).replace(f"systems.{system}", f"systems.{name}") + "\n"
