"""Each check can fail: a participant that is wrong in just one way is found out by just that check."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from stand import Stand

from habeas.contracts import KeyFile
from habeas.contracts.vocabulary import Action
from operations.conformance import CHECKS, Bench, Finding, People, Person, State, conform
from operations.conformance.bad_records import BAD
from operations.conformance.program import Program, private_log
from operations.conformance.report import verdict
from operations.connection import client_options
from tests.conformance.place import Place
from tests.conformance.wrong import CATEGORIES, Wrong

pytestmark = pytest.mark.xdist_group("wrong")

ENTRY = """
[systems.{name}]
title = "Notes"
team = "Notes team"
contact = "notes@ale.example"
needs = ["email"]
provides = ["account_id"]
days = 7
""" + "".join(
    f"""
[[systems.{{name}}.categories]]
name = "{category}"
title = "What is noted"
purposes = ["answering"]
basis = "contract"
origin = ["provided"]
recipients = []
retention = "As long as it is needed."
at_erasure = {{{{ instruction = "delete" }}}}
"""
    for category in CATEGORIES
)
SILENCE = 1.5
"""Seconds to wait for an answer that does not come."""

WRONG: list[tuple[str, str]] = [
    ("nothing held", "people"),
    *((f"fails {action}", f"answers.{action}") for action in Action),
    *((f"says deleted for {action}", f"answers.{action}") for action in Action if action not in ("locate", "erase")),
    ("tells more than it is asked", "answers.locate"),
    ("counts anew", "answers.restrict"),
    ("holds for ever", "answers.hold"),
    ("guesses actions", "answers.unknown_action"),
    ("knows everybody", "answers.stranger"),
    ("minds no scope", "scope.reading"),
    ("minds no scope", "scope.erasing"),
    ("exports what it derived", "export.origins"),
    ("does again what it has done", "repeats.duplicate"),
    ("does again what it has done", "repeats.erasure"),
    ("does again what it has done", "repeats.reminder_afterwards"),
    ("only says that it erased", "repeats.access_after_erasure"),
    ("erases in silence", "repeats.access_after_erasure"),
    ("forgets earlier attempts", "repeats.second_attempt"),
    ("forgets the identifiers", "repeats.second_attempt"),
    ("forgets earlier attempts", "repeats.old_attempt"),
    ("needs the assignment", "repeats.reminder_alone"),
    ("minds no cancellation", "cancelled.before"),
    ("erases what is cancelled", "cancelled.before"),
    ("forgets answers once cancelled", "cancelled.afterwards"),
    *((f"drops {reason}", f"refuses.{reason}") for reason in BAD),
    *((f"misnames {reason}", f"refuses.{reason}") for reason in BAD),
    ("keeps nothing of a bad record", "refuses.key_mismatch"),
    ("refuses new members", "bears.unknown_members"),
    ("counts on words it knows", "bears.unknown_words"),
    ("guesses instructions", "bears.unknown_instruction"),
]
SAYS: list[tuple[str, str]] = [
    ("another key", "all.contract"),
    ("no time", "all.contract"),
    ("a sentence as a code", "all.contract"),
    ("a count in words", "all.contract"),
    ("seals for another type", "all.contract"),
    ("seals for another task", "all.contract"),
    ("seals under another's key", "all.contract"),
    ("two answers", "all.same"),
    ("another system's topic", "all.own_topics"),
    ("the identity in a header", "all.sealed"),
    ("the identity in the summary", "all.sealed"),
    ("the identity escaped", "all.sealed"),
]
"""What is found out by looking at an answer, to whatever check."""
DYING: list[tuple[str, str]] = [
    ("remembers until it dies", "restart.same_answers"),
    ("commits first", "restart.killed_at_work"),
    ("ends over new words", "bears.unknown_words"),
    ("the identity in its output", "all.sealed"),
]


@pytest.fixture(scope="module")
async def place(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    name = f"notes-{uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp("place")
    async with Place.laid(name, ENTRY.format(name=name), stand.env("operators"), folder) as laid:
        yield laid


@pytest.fixture(scope="module")
async def participant(place: Place) -> AsyncIterator[Wrong]:
    """In this process: a test says what it does wrong."""
    keys = KeyFile(place.root / "keys" / "own.json")
    wrong = Wrong(place.name, keys.keyring(), client_options(place.operators), place.root / "wrong.json")
    stop = asyncio.Event()
    running = asyncio.create_task(wrong.run(stop))
    running.add_done_callback(lambda _: setattr(wrong, "alive", False))
    yield wrong
    stop.set()
    await running


def somebody_else() -> People:
    """Nobody whom an earlier test has asked about."""
    number = uuid4().hex[:8]
    names = [f"person-{index}.{number}@example.org" for index in range(11)]
    return People(
        people=tuple(
            Person(identities={"email": name}, may_be_destroyed=index > 0) for index, name in enumerate(names)
        ),
        stranger={"email": f"nobody.{number}@example.net"},
    )


@asynccontextmanager
async def a_bench(place: Place, wrong: Wrong, fault: str, patience: float = SILENCE) -> AsyncIterator[Bench]:
    people = somebody_else()
    wrong.hold(*(person.identities["email"] for person in people.people))
    wrong.fault = fault
    async with place.bench(people, patience=patience, flood=20) as bench:
        yield bench
    assert wrong.alive


async def the_one(bench: Bench, *only: str) -> Finding:
    return (await conform(bench, only=only))[-1]


@pytest.mark.parametrize(("fault", "check"), WRONG)
async def test_a_wrong_participant_is_found_out(place: Place, participant: Wrong, fault: str, check: str) -> None:
    async with a_bench(place, participant, fault) as bench:
        finding = await the_one(bench, check)
    assert (finding.state, finding.check.id) == (State.FAILS, check)
    assert finding.detail


@pytest.mark.parametrize(("fault", "check"), SAYS)
async def test_a_wrong_answer_is_found_out(place: Place, participant: Wrong, fault: str, check: str) -> None:
    async with a_bench(place, participant, fault, patience=20) as bench:
        finding = await the_one(bench, "answers.locate", "answers.access", "answers.export", check)
    assert (finding.state, finding.check.id) == (State.FAILS, check)


@asynccontextmanager
async def a_process(place: Place, folder: Path, fault: str) -> AsyncIterator[Bench]:
    people = somebody_else()
    keys = KeyFile(place.root / "keys" / "own.json").keyring()
    wrong = Wrong(place.name, keys, {}, folder / "wrong.json")
    wrong.hold(*(person.identities["email"] for person in people.people))
    wrong.save()
    environment = {**place.environment, "HABEAS_DATA_DIR": str(folder)}
    command = f"{sys.executable} -m tests.conformance.wrong {place.name} '{fault}'"
    async with (
        place.bench(people, patience=20, restart=5, flood=120) as bench,
        Program(place.name, command, environment, private_log(folder, place.name)) as program,
    ):
        bench.program = program
        yield bench


@pytest.mark.parametrize(("fault", "check"), DYING)
async def test_what_shows_in_a_process_is_found_out(
    stand: Stand, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, fault: str, check: str
) -> None:
    name = f"notes-{uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp("place")
    async with (
        Place.laid(name, ENTRY.format(name=name), stand.env("operators"), folder) as place,
        a_process(place, tmp_path, fault) as bench,
    ):
        finding = await the_one(bench, "answers.access", check)
    assert (finding.state, finding.check.id) == (State.FAILS, check)
    assert ("no answer came" in finding.detail) == (fault in ("commits first", "ends over new words"))
    assert ("ended by itself" in finding.detail) == (fault == "ends over new words")


async def test_the_same_participant_conforms_when_it_does_nothing_wrong(
    stand: Stand, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = f"notes-{uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp("place")
    async with (
        Place.laid(name, ENTRY.format(name=name), stand.env("operators"), folder) as place,
        a_process(place, tmp_path, "") as bench,
    ):
        findings = await conform(bench)
    assert {finding.check.id: finding.detail for finding in findings if finding.state is not State.HOLDS} == {
        "speed": findings_of(findings, "speed").detail
    }
    assert verdict(findings).exit_code == 0
    assert bench.measured["answers_per_second"] > 0


async def test_without_its_people_nothing_is_judged(place: Place, participant: Wrong) -> None:
    async with a_bench(place, participant, "nothing held") as bench:
        findings = await conform(bench)
    assert [finding.check.id for finding in findings if finding.state is not State.NOT_TRIED] == ["people"]
    assert verdict(findings).exit_code == 1


def findings_of(findings: Sequence[Finding], check: str) -> Finding:
    return next(finding for finding in findings if finding.check.id == check)


def test_every_check_can_fail() -> None:
    shown = {check for _, check in (*WRONG, *SAYS, *DYING)}
    assert {check.id for check in CHECKS if not check.measures} - shown == set()
