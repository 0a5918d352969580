"""What the guide for portals shows is run here, against real Kafka."""

import asyncio
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from portal_counter import NOW, Counter, rejection, status
from stand import Stand, eventually

from habeas.contracts import Reason
from habeas.contracts.submission import IdentityConfirmed, RequestAmended, RequestSubmitted, RequestWithdrawn
from habeas.portal import StatusChanged, proven
from services.intake.domain import ReasonCode

PAGE = (Path(__file__).parents[2] / "docs" / "portals.md").read_text()
ADA = proven("email", "ada@example.org", at=NOW)


def example(name: str, portal: str) -> Any:
    """The function `name` of the guide, for the portal of this test."""
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if f"async def {name}(" in code)
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(code.replace('"web"', f'"{portal}"'), "example", "exec"), namespace)
    return namespace[name]


@pytest.mark.parametrize("accepted", [True, False])
async def test_the_first_example_submits_and_follows_to_the_end(
    counter: Counter, stand: Stand, monkeypatch: Any, capsys: pytest.CaptureFixture[str], accepted: bool
) -> None:
    for name, value in {**stand.env("operators"), "HABEAS_KEYS": str(counter.keys)}.items():
        monkeypatch.setenv(name, value)
    asking = asyncio.create_task(example("ask", counter.name)("ada@example.org"))
    async with asyncio.timeout(45):
        ((event, _, _),) = await counter.submissions(1)
        await counter.say(status(event.subject, 2, "closed", outcome="completed") if accepted else rejection(event.id))
        await asking
    told = "HB-7K3M-Q2P9 closed completed" if accepted else "rejected: conflict /request_id"
    assert capsys.readouterr().out.splitlines() == [told]


async def test_a_table_is_kept_up_to_date(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    kept, purged, refused = uuid4(), uuid4(), uuid4()
    await counter.say(status(kept, 2), status(kept, 1), status(purged, 1), rejection(refused))
    await counter.purge(purged)
    table: dict[Any, StatusChanged] = {}
    printed: list[str] = []

    async def is_kept() -> bool:
        printed.append(capsys.readouterr().out)
        return kept in table and purged not in table and str(refused) in "".join(printed)

    async with counter.portal() as portal:
        keeping = asyncio.create_task(example("keep_table", counter.name)(portal, table))
        await eventually(is_kept)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert {request_id: each.version for request_id, each in table.items()} == {kept: 2}


async def test_what_is_said_later_is_published(counter: Counter) -> None:
    async with counter.portal() as portal, asyncio.timeout(45):
        await example("later", counter.name)(portal, uuid4(), ADA)
    said = [event.type for event, _, _ in await counter.submissions(3)]
    assert said == [IdentityConfirmed.TYPE, RequestAmended.TYPE, RequestWithdrawn.TYPE]


async def test_a_copy_is_asked_for_before_the_erasure(counter: Counter) -> None:
    async with counter.portal() as portal, asyncio.timeout(45):
        await example("copy_then_delete", counter.name)(portal, ADA)
    said: dict[str, Any] = {str(body.right): body for _, body, _ in await counter.submissions(2)}  # type: ignore[attr-defined]
    assert said["erasure"].after == (said["access"].request_id,)
    assert said["erasure"].case_id == said["access"].case_id is not None
    assert {type(body) for body in said.values()} == {RequestSubmitted}


def test_every_code_a_portal_can_meet_is_explained() -> None:
    of_systems = {Reason.TASK_UNKNOWN, Reason.TASK_FOREIGN}
    assert {code for code in Reason if f"`{code}`" not in PAGE} - of_systems == set()
    assert {code for code in ReasonCode if f"`{code}`" not in PAGE} == set()
