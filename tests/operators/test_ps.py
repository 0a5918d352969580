"""`habeas ps`: what runs, and one line on all of it."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

from stand import Stand

from operations.commands.ps import totals
from tests.operators.keyboard import habeas


def row(name: str, ready: bool = True, lag: int | None = None, restarts: int = 0) -> dict[str, Any]:
    return {"name": name, "ready": ready, "lag": lag, "restarts": restarts}


def test_totals() -> None:
    rows = [row("kafka"), row("intake", lag=3, restarts=2), row("fanout", ready=False, lag=4), row("smtp")]
    assert totals(rows) == "3 of 4 ready, 7 messages behind, 2 restarts"
    assert "nobody has consumed" in totals([row("kafka"), row("intake")])
    assert "Kafka does not answer" in totals([row("kafka", ready=False), row("intake")])


async def test_a_running_stack(stand: Stand) -> None:
    run = partial(habeas, "ps", "--root", str(stand.root))
    said = await asyncio.to_thread(run)
    assert said.code == 0
    assert "kafka" in said.out
    rows = json.loads((await asyncio.to_thread(partial(run, "--json"))).out)
    assert {"kafka", "postgres", "smtp"} <= {each["name"] for each in rows if each["ready"]}
    assert f" of {len(rows)} ready" in said.out.splitlines()[-1]


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    said = habeas("ps", "--root", str(tmp_path))
    assert (said.code, "habeas up" in said.err) == (1, True)
    assert habeas("ps", "--watch", "--json", "--root", str(tmp_path)).code == 2
