"""What the play makes of stories that come to nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rich.console import Console
from seen import status

from habeas.contracts.status import SystemStatus
from habeas.portal import Portal as HabeasPortal
from operations.demo.display import Plain
from operations.demo.play import Demo
from operations.demo.portal import Portal
from operations.demo.scenario import ACCESS, BY_KEY, ERASURE, Moment, Work
from operations.demo.scene import Row, Scene
from operations.demo.stage import staged
from operations.demo.stories import blows
from operations.demo.watch import Board, StalledError


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    scene = Scene(lambda: 0.0, [Row(key, BY_KEY[key].title) for key in (ACCESS, ERASURE)])
    stage = staged("local", tmp_path, lambda _: None, lambda _: None)
    return Demo(stage, Portal(HabeasPortal("web")), Plain(Console(quiet=True), scene), scene, Board(), "no key")


async def test_a_story_that_stalls_is_noted_and_the_others_are_told_to_their_end(demo: Demo) -> None:
    told = []

    async def stalled() -> None:
        raise StalledError("something")

    async def whole() -> None:
        await asyncio.sleep(0)
        told.append("whole")

    await demo.together(stalled(), whole())
    assert told == ["whole"]
    assert demo.troubles == ["waited 60 s in vain: something"]


async def test_a_fault_of_our_own_is_no_trouble_of_the_demo(demo: Demo) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await demo.together(broken())


async def test_nobody_waits_for_ever_for_a_blow_that_does_not_come(demo: Demo) -> None:
    async def fault() -> None:
        raise StalledError("Kafka")

    class Lost(Board):
        async def until(self, *_: object) -> None:
            await fault()

    demo.board = Lost()
    with pytest.raises(StalledError):
        await blows(demo)
    assert demo.victim_gone.is_set()


def hears(demo: Demo, **systems: str) -> None:
    found = status(BY_KEY[ACCESS], systems=tuple(SystemStatus(system=k, state=v) for k, v in systems.items()))
    demo.scene.row(ACCESS).request_id = found.request_id
    demo.board.hear(found)


@pytest.mark.parametrize(
    ("systems", "waits"),
    [
        ({"billing": "finished", "analytics": "asked", "payments": "excluded"}, True),
        ({"billing": "asked", "analytics": "asked"}, False),
        ({"billing": "finished", "analytics": "waiting"}, False),
        ({"billing": "finished", "analytics": "finished"}, False),
    ],
)
def test_what_waits_for_one_system_alone(demo: Demo, systems: dict[str, str], waits: bool) -> None:
    hears(demo, **systems)
    assert demo.waits_only_for(ACCESS, "analytics") is waits


def test_what_nobody_has_heard_of_waits_for_nothing(demo: Demo) -> None:
    assert not demo.waits_only_for(ERASURE, "analytics")
    assert demo.system_state(ERASURE, "billing") is None


def test_uses_that_came_out_otherwise_are_not_as_expected(demo: Demo) -> None:
    demo.uses = {(ERASURE, Moment.BEFORE, work): "done" for work in (Work.REPLY, Work.REPORT)}
    assert demo.came_as_expected(ERASURE, Moment.BEFORE)
    demo.uses[ERASURE, Moment.BEFORE, Work.REPLY] = "not_held"
    assert not demo.came_as_expected(ERASURE, Moment.BEFORE)
