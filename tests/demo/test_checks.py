"""The demo's checks: a good run passes them all, and whatever is spoilt is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console
from seen import TODAY, copy_of, observed, status

from habeas.contracts.vocabulary import RequestOutcome
from operations.demo import scenario
from operations.demo.checks import Letter, Observed, examine
from operations.demo.report import Results, verdict
from operations.demo.scenario import ACCESS, ASKS, BY_KEY, ERASURE, LATER, LEAVER, READER, UNKNOWN


def failed(seen: Observed) -> list[str]:
    return [check.what for check in examine(seen, TODAY) if not check.passed]


def test_a_good_run_passes_every_check() -> None:
    assert failed(observed()) == []


def with_status(seen: Observed, key: str, **members: object) -> Observed:
    return replace(seen, statuses={**seen.statuses, key: status(BY_KEY[key], **members)})


def with_copy(seen: Observed, key: str, *strings: str) -> Observed:
    """The copy with these strings in one more category."""
    files = dict(seen.copies[key])
    return replace(seen, copies={**seen.copies, key: {**files, "csv/more.csv": "\n".join(strings).encode()}})


SPOILT: dict[str, tuple[Callable[[Observed], Observed], str]] = {
    "not closed": (lambda seen: with_status(seen, ERASURE, state="in_review"), "erasure: closed"),
    "another outcome": (lambda seen: with_status(seen, ACCESS, outcome="completed"), "access: its outcome"),
    "another system's end": (
        lambda seen: with_status(seen, UNKNOWN, systems=status(BY_KEY[ACCESS]).systems),
        "stranger's access: how billing ended",
    ),
    "no due date": (lambda seen: with_status(seen, LATER, due=None), "access afterwards: has a due date"),
    "no status": (
        lambda seen: replace(seen, statuses={key: seen.statuses[key] for key in (ACCESS, ERASURE, LATER)}),
        "stranger's access: has a status",
    ),
    "a mail twice": (
        lambda seen: replace(seen, mails={**seen.mails, ACCESS: [*seen.mails[ACCESS], "acknowledged"]}),
        "access: each mail once",
    ),
    "a mail too few": (
        lambda seen: replace(seen, mails={**seen.mails, LATER: []}),
        "access afterwards: each mail once",
    ),
    "a mail of nobody": (lambda seen: replace(seen, stray_mails=1), "no other mail was sent"),
    "no copy": (lambda seen: replace(seen, copies={LATER: seen.copies[LATER]}), "the copy can be fetched"),
    "no later copy": (
        lambda seen: replace(seen, copies={ACCESS: seen.copies[ACCESS]}),
        "the later copy can be fetched",
    ),
    "data missing in the copy": (
        lambda seen: replace(seen, copies={**seen.copies, ACCESS: copy_of({"account": [READER.email]})}),
        "the copy holds their charges",
    ),
    "another's words in the copy": (
        lambda seen: with_copy(seen, ACCESS, scenario.of_others(READER)[1]),
        "the copy holds nothing of others",
    ),
    "an address after the erasure": (lambda seen: with_copy(seen, LATER, LEAVER.email), "after the erasure no address"),
    "visits after the erasure": (
        lambda seen: with_copy(seen, LATER, LEAVER.visits[0].ip),
        "after the erasure no visits",
    ),
    "another category after the erasure": (
        lambda seen: replace(
            seen,
            copies={**seen.copies, LATER: copy_of({"invoices": scenario.kept(LEAVER, TODAY), "charges": ["one"]})},
        ),
        "after the erasure only what is lawfully kept",
    ),
    "an invoice lost in the erasure": (
        lambda seen: replace(
            seen,
            copies={
                **seen.copies,
                LATER: copy_of({"invoices": [LEAVER.account_id], "marketing_preference": [LEAVER.account_id]}),
            },
        ),
        "after the erasure the kept invoices",
    ),
    "no dead letter": (lambda seen: replace(seen, letters=[]), "one dead letter"),
    "a dead letter for another reason": (
        lambda seen: replace(seen, letters=[Letter("tombstone", "t", scenario.MALFORMED_VALUE)]),
        "the dead letter's reason",
    ),
    "a dead letter that stays shut": (
        lambda seen: replace(seen, letters=[Letter("not_json", "t", None)]),
        "operators can open the dead letter and find the submission",
    ),
    "the portal not told": (lambda seen: replace(seen, rejected=None), "the portal was told of the refusal"),
    "never restarted": (lambda seen: replace(seen, back=seen.killed), "the killed collector runs again"),
    "killed while idle": (lambda seen: replace(seen, waiting=0), "work waited for the killed collector"),
    "analytics not missed": (
        lambda seen: replace(seen, waited_for_analytics=False),
        "requests waited for the stopped analytics",
    ),
    "stalled": (lambda seen: replace(seen, troubles=["too late"]), "no step was waited for in vain"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_whatever_is_spoilt_is_found(name: str) -> None:
    spoil, check = SPOILT[name]
    assert check in failed(spoil(observed()))


def test_what_is_found_names_no_person() -> None:
    seen = with_copy(observed(), LATER, LEAVER.email, *(visit.ip for visit in LEAVER.visits))
    told = " ".join(f"{check.what} {check.found} {check.look}" for check in examine(seen, TODAY))
    assert LEAVER.email not in told
    assert LEAVER.visits[0].ip not in told


def test_a_failed_check_fails_the_demo_and_says_where_to_look(tmp_path) -> None:
    expecting_more = [replace(ask, outcome=RequestOutcome.REFUSED) if ask.key == ACCESS else ask for ask in ASKS]
    console = Console(record=True, width=200, quiet=True)
    code = verdict(console, results(), examine(observed(), TODAY, expecting_more), tmp_path)
    assert code == 1
    text = printed(results(), examine(observed(), TODAY, expecting_more), tmp_path)
    assert "failed: access: its outcome. Found: partially_completed, expected refused" in text
    assert str(tmp_path / "log" / "collector.log") in text


def test_the_closing_line(tmp_path) -> None:
    text = printed(results(), examine(observed(), TODAY), tmp_path)
    assert "nothing was lost: 5 submissions, 5 answered, in 33.0 s (start 20.0 s, requests 13.0 s)" in text


def test_an_unanswered_submission_fails_the_demo(tmp_path) -> None:
    console = Console(record=True, width=200, quiet=True)
    assert verdict(console, results(), examine(observed(), TODAY), tmp_path) == 0
    assert verdict(console, replace(results(), answered=4), examine(observed(), TODAY), tmp_path) == 1


def results() -> Results:
    return Results(
        observed=observed(),
        summaries={},
        mails=[],
        copies={},
        letters=[],
        submissions=5,
        answered=5,
        seconds={"start": 20.0, "requests": 13.0},
    )


def printed(*arguments) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        verdict(console, *arguments)
    return capture.get()
