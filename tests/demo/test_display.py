"""What is shown, and that it fits where it is shown."""

from __future__ import annotations

from uuid import UUID

import pytest
from rich.console import Console
from seen import status

from habeas.contracts.status import StatusReason, SubmissionRejected, SystemStatus
from operations.demo.display import Plain, picture
from operations.demo.scenario import (
    ACCESS,
    ASKS,
    BY_KEY,
    CHILD,
    ERASURE,
    LATER,
    MALFORMED,
    MALFORMED_TITLE,
    RESTRICTION,
    UNKNOWN,
    WITHDRAWN,
)
from operations.demo.scene import INFRASTRUCTURE, SERVICES, SYSTEMS, Mark, Row, Scene, State

REFUSAL = SubmissionRejected.model_validate_json(
    b'{"request_id": null, "ce_id": "5b9c5f3e-7c3f-4a5e-8a51-0b8a3a0b0c0d",'
    b' "errors": [{"code": "not_json", "pointer": ""}]}'
)


def scene() -> Scene:
    """In the middle of things, with the longest words everywhere."""
    rows = [Row(ask.key, ask.title, request_id=status(ask).request_id) for ask in ASKS]
    rows[-1].request_id = None
    rows.insert(-1, Row(MALFORMED, MALFORMED_TITLE, request_id=UUID(int=1)))
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
    made.take(status(BY_KEY[CHILD], state="triage", outcome=None))
    made.take(status(BY_KEY[ERASURE]))
    made.take(status(BY_KEY[UNKNOWN]))
    made.take(status(BY_KEY[RESTRICTION], reason=StatusReason(code="restriction_lifted")))
    made.refuse(REFUSAL)
    for number in range(30):
        made.happened(f"event {number} " + "and so on " * 20, Mark.BLOW)
    return made


def drawn(width: int, height: int, shown: Scene | None = None) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(picture(shown or scene(), width, height))
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (104, 30), (110, 40), (200, 60)])
def test_the_picture_fits_and_says_everything_in_words(width: int, height: int) -> None:
    lines = drawn(width, height)
    assert len(lines) < height
    assert {len(line) for line in lines} == {width}
    text = "\n".join(lines)
    assert "…" not in "\n".join(line for line in lines if "event" not in line)
    for word in ("in progress", "triage", "submitted", "done", "working", "asked", "waiting"):
        assert word in text
    assert "■ stopped" in text
    assert "■ collector stopped" in text
    assert "● ready" in text
    assert "✖ event 29" in text
    assert "15 submitted, 4 answered, 12.3 s" in text


@pytest.mark.parametrize(("width", "height"), [(80, 40), (110, 40)])
def test_with_room_for_all_they_stand_in_their_order(width: int, height: int) -> None:
    text = "\n".join(drawn(width, height))
    for word in ("● completed in part", "● nothing held", "● lifted", "✖ rejected not_json", "– unasked"):
        assert word in text
    places = [text.index(f"│ {row.title} ") for row in scene().rows]
    assert places == sorted(places)
    assert ("2026-12-23" in text) == ("HB-ZT60-EDET" in text) == (width > 100)


def test_with_less_room_those_under_way_come_first_and_what_is_to_come_last() -> None:
    in_order = [row.key for row in scene().by_urgency()]
    assert in_order[0] == ACCESS
    assert in_order[-1] == LATER
    assert set(in_order[-5:-1]) == {ERASURE, UNKNOWN, RESTRICTION, MALFORMED}
    text = "\n".join(drawn(80, 24))
    assert "child reported" in text
    assert "access again" not in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (110, 40)])
def test_while_it_starts_it_says_what_is_to_come(width: int, height: int) -> None:
    before = Scene(lambda: 1.0, [Row(ask.key, ask.title, ask.wish) for ask in ASKS])
    before.processes = dict.fromkeys((*INFRASTRUCTURE, *SERVICES, *SYSTEMS), State.STARTING)
    lines = drawn(width, height, before)
    assert len(lines) == len(drawn(width, height, scene())) or height > 24
    text = "\n".join(lines)
    assert "soon to come" in text
    assert "◌ analytics starts" in text
    assert "…" not in text
    for ask in ASKS if height > 24 else ASKS[:10]:
        assert ask.wish in text


def test_a_terminal_too_small_still_shows_what_is_most_urgent() -> None:
    lines = drawn(60, 12)
    assert any("access" in line for line in lines)
    assert "✖ event 29" in "\n".join(lines)


def test_of_what_has_ended_the_latest_comes_first() -> None:
    made = scene()
    made.clock = lambda: 20.0
    made.take(status(BY_KEY[WITHDRAWN]))
    ended = [row.key for row in made.by_urgency() if row.ended is not None]
    assert ended[0] == WITHDRAWN


def test_a_plain_line_for_each_change() -> None:
    console = Console(width=80, color_system=None)
    plain = Plain(console, scene())
    with console.capture() as capture:
        plain.changed(status(BY_KEY[UNKNOWN]))
        plain.changed(status(BY_KEY[CHILD], state="triage", outcome=None, reason=StatusReason(code="child_reported")))
        plain.refused(REFUSAL)
        plain.happened("killed collector with SIGKILL (pid 1)", Mark.BLOW)
    assert capture.get().splitlines() == [
        "  12.3 s   stranger HB-ZT60-EDET closed: nothing held "
        "(billing nothing, support nothing, analytics unasked, payments unasked)",
        "  12.3 s   child reported HB-ZT60-EDET triage, child reported "
        "(billing done, support done, analytics done, payments done)",
        "  12.3 s   malformed: rejected, not_json",
        "  12.3 s ✖ killed collector with SIGKILL (pid 1)",
    ]
