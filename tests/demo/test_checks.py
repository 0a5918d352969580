"""The demo's checks: a good run passes them all, and whatever is spoilt is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console
from seen import TODAY, copy_of, mail, observed, status

from habeas.contracts.vocabulary import RequestOutcome
from operations.demo import people, scenario
from operations.demo.checks import Letter, Observed, examine
from operations.demo.people import BOTH, LEAVER, MOVER, READER
from operations.demo.report import Results, verdict
from operations.demo.scenario import (
    ACCESS,
    ASKS,
    BY_KEY,
    CHILD,
    COPIES,
    ERASURE,
    FIRST,
    LATER,
    PORTABILITY,
    RECTIFICATION,
    RESTRICTION,
    THEN,
    UNKNOWN,
    WITHDRAWN,
    Moment,
    Work,
)


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


def without(key: str) -> Callable[[Observed], Observed]:
    """That copy was not to be had."""
    return lambda seen: replace(seen, copies={name: copy for name, copy in seen.copies.items() if name != key})


def with_mail(seen: Observed, key: str, notice: str, text: str = "", to: str | None = None) -> Observed:
    """One more mail about a request."""
    return replace(seen, mails={**seen.mails, key: [*seen.mails[key], mail(BY_KEY[key], notice, text, to)]})


def with_use(seen: Observed, key: str, moment: Moment, work: Work, came: str) -> Observed:
    return replace(seen, uses={**seen.uses, (key, moment, work): came})


SPOILT: dict[str, tuple[Callable[[Observed], Observed], str]] = {
    "not closed": (lambda seen: with_status(seen, ERASURE, state="in_review"), "erasure: closed"),
    "another outcome": (lambda seen: with_status(seen, ACCESS, outcome="completed"), "access: its outcome"),
    "another system's end": (
        lambda seen: with_status(seen, UNKNOWN, systems=status(BY_KEY[ACCESS]).systems),
        "stranger: how billing ended",
    ),
    "no due date": (lambda seen: with_status(seen, LATER, due=None), "access again: has a due date"),
    "no status": (
        lambda seen: replace(seen, statuses={key: seen.statuses[key] for key in (ACCESS, ERASURE, LATER)}),
        "stranger: has a status",
    ),
    "a copy that comes after the erasure": (
        lambda seen: replace(seen, passed={**seen.passed, THEN: ("received", "in_progress", "closed")}),
        "letter: erasure: was in waiting: comes_after_another",
    ),
    "classified by nobody": (
        lambda seen: replace(seen, passed={**seen.passed, CHILD: ()}),
        "child reported: was in triage: child_reported",
    ),
    "a mail twice": (lambda seen: with_mail(seen, ACCESS, "acknowledged"), "access: each mail once"),
    "a mail too few": (
        lambda seen: replace(seen, mails={**seen.mails, LATER: []}),
        "access again: each mail once",
    ),
    "nothing said before the lifting": (
        lambda seen: replace(seen, mails={**seen.mails, RESTRICTION: seen.mails[RESTRICTION][:2]}),
        "restriction: each mail once",
    ),
    "a mail to the child": (
        lambda seen: with_mail(seen, CHILD, "completed", to=people.CHILD.email),
        "child reported: mails go to who reported it alone",
    ),
    "a mail that tells a bystander": (
        lambda seen: with_mail(seen, CHILD, "completed", text="We have deleted 4 Invoices."),
        "child reported: the mails tell nothing of what was held",
    ),
    "used although restricted": (
        lambda seen: with_use(seen, RESTRICTION, Moment.AFTER, Work.CHARGE, "done"),
        "restriction: the charge afterwards",
    ),
    "restricted for ever": (
        lambda seen: with_use(seen, RESTRICTION, Moment.LIFTED, Work.REPLY, "restricted"),
        "restriction: the reply once lifted",
    ),
    "unused before": (
        lambda seen: with_use(seen, ERASURE, Moment.BEFORE, Work.REPLY, "not_held"),
        "erasure: the reply before",
    ),
    "not tried": (lambda seen: replace(seen, uses={}), "erasure: the reply afterwards"),
    "the recipient not told": (
        lambda seen: replace(seen, told_recipient=False),
        "rectification: the payment processor knows the new name",
    ),
    "the recipient not named": (
        lambda seen: replace(seen, mails={**seen.mails, RECTIFICATION: []}),
        "rectification: the mail says who else was told",
    ),
    "a mail of nobody": (lambda seen: replace(seen, stray_mails=1), "no other mail was sent"),
    **{f"no copy for {key}": (without(key), f"{BY_KEY[key].title}: the copy can be fetched") for key in COPIES},
    "a copy of what was taken back": (
        lambda seen: replace(seen, copies={**seen.copies, WITHDRAWN: copy_of({})}),
        "taken back: no copy",
    ),
    "the copy made after the erasure": (
        lambda seen: replace(seen, copies={**seen.copies, FIRST: copy_of({"account": [BOTH.email]})}),
        "letter: copy: the copy holds their visits",
    ),
    "the processor's data to be taken along": (
        lambda seen: with_copy(seen, PORTABILITY, MOVER.charges[0].id),
        "portability: nothing that others provided",
    ),
    "derived data to be taken along": (
        lambda seen: replace(seen, copies={**seen.copies, PORTABILITY: copy_of({"notes": ["one"]}, origin="derived")}),
        "portability: only what was provided or observed",
    ),
    "nothing to be taken along": (
        lambda seen: replace(seen, copies={**seen.copies, PORTABILITY: copy_of({})}),
        "portability: it holds their account",
    ),
    "data missing in the copy": (
        lambda seen: replace(seen, copies={**seen.copies, ACCESS: copy_of({"account": [READER.email]})}),
        "access: the copy holds their charges",
    ),
    "another's words in the copy": (
        lambda seen: with_copy(seen, ACCESS, people.of_others(READER)[1]),
        "access: the copy holds nothing of others",
    ),
    "an address after the erasure": (lambda seen: with_copy(seen, LATER, LEAVER.email), "after the erasure no address"),
    "visits after the erasure": (
        lambda seen: with_copy(seen, LATER, LEAVER.visits[0].ip),
        "after the erasure no visits",
    ),
    "another category after the erasure": (
        lambda seen: replace(
            seen,
            copies={**seen.copies, LATER: copy_of({"invoices": people.kept(LEAVER, TODAY), "charges": ["one"]})},
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


def look(place: str) -> str:
    return f"demo/{place}"


def test_a_failed_check_fails_the_demo_and_says_where_to_look() -> None:
    expecting_more = [replace(ask, outcome=RequestOutcome.REFUSED) if ask.key == ACCESS else ask for ask in ASKS]
    console = Console(record=True, width=200, quiet=True)
    code = verdict(console, results(), examine(observed(), TODAY, expecting_more), look)
    assert code == 1
    text = printed(results(), examine(observed(), TODAY, expecting_more), look)
    assert "failed: access: its outcome. Found: partially_completed, expected refused" in text
    assert "Look in demo/log/collector.log" in text


def test_the_closing_line() -> None:
    text = printed(results(), examine(observed(), TODAY), look)
    assert "nothing was lost: 5 submissions, 5 answered, in 33.0 s (start 20.0 s, requests 13.0 s)" in text


def test_an_unanswered_submission_fails_the_demo() -> None:
    console = Console(record=True, width=200, quiet=True)
    assert verdict(console, results(), examine(observed(), TODAY), look) == 0
    assert verdict(console, replace(results(), answered=4), examine(observed(), TODAY), look) == 1


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
