"""What is shown, and that it fits where it is shown."""

from __future__ import annotations

import pytest
from rich.console import Console
from seen import status

from habeas.contracts.status import SubmissionRejected, SystemStatus
from operations.demo.display import Plain, picture
from operations.demo.scenario import ACCESS, ASKS, BY_KEY, ERASURE, MALFORMED, MALFORMED_TITLE, UNKNOWN
from operations.demo.scene import INFRASTRUCTURE, SERVICES, SYSTEMS, Mark, Row, Scene, State

REFUSAL = SubmissionRejected.model_validate_json(
    b'{"request_id": null, "ce_id": "5b9c5f3e-7c3f-4a5e-8a51-0b8a3a0b0c0d",'
    b' "errors": [{"code": "not_json", "pointer": ""}]}'
)


def scene() -> Scene:
    """In the middle of things, with the longest words everywhere."""
    rows = [Row(ask.key, ask.title, request_id=status(ask).request_id) for ask in ASKS]
    rows.insert(-1, Row(MALFORMED, MALFORMED_TITLE))
    made = Scene(lambda: 12.3, rows)
    made.processes = dict.fromkeys((*INFRASTRUCTURE, *SERVICES, *SYSTEMS), State.STOPPED)
    made.processes["billing"] = State.READY
    waiting = (
        SystemStatus(system="billing", state="finished", outcome="completed"),
        SystemStatus(system="support", state="working"),
        SystemStatus(system="analytics", state="asked"),
        SystemStatus(system="payments", state="waiting"),
    )
    made.take(status(BY_KEY[ACCESS], state="in_progress", outcome=None, systems=waiting))
    made.take(status(BY_KEY[ERASURE]))
    made.take(status(BY_KEY[UNKNOWN]))
    made.refuse(REFUSAL)
    for number in range(30):
        made.happened(f"event {number} " + "and so on " * 20, Mark.BLOW)
    return made


def drawn(width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(picture(scene(), width, height))
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (98, 30), (110, 40), (200, 60)])
def test_the_picture_fits_and_says_everything_in_words(width: int, height: int) -> None:
    lines = drawn(width, height)
    assert len(lines) < height
    assert {len(line) for line in lines} == {width}
    text = "\n".join(lines)
    for word in ("in progress", "closed", "completed in part", "nothing held", "rejected", "not_json"):
        assert word in text
    for word in ("done", "working", "asked", "waiting", "unasked", "2026-12-23", "HB-ZT60-EDET"):
        assert word in text
    assert "■ stopped" in text
    assert "■ collector stopped" in text
    assert "● ready" in text
    assert "✖ event 29" in text


def test_a_plain_line_for_each_change() -> None:
    console = Console(width=80, color_system=None)
    plain = Plain(console, scene())
    with console.capture() as capture:
        plain.changed(status(BY_KEY[UNKNOWN]))
        plain.refused(REFUSAL)
        plain.happened("killed collector with SIGKILL (pid 1)", Mark.BLOW)
    assert capture.get().splitlines() == [
        "  12.3 s   stranger's access HB-ZT60-EDET closed: nothing held "
        "(billing nothing, support nothing, analytics unasked, payments unasked)",
        "  12.3 s   malformed: rejected, not_json",
        "  12.3 s ✖ killed collector with SIGKILL (pid 1)",
    ]
