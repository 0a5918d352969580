"""A further task of a request: when the earlier answer is given again, when it is widened, and when it is past."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from habeas.contracts.result import SummaryItem, TaskFinished
from habeas.contracts.submission import Correction, Period
from habeas.contracts.task import ScopeItem, TaskDetails
from habeas.participant import Answer, Did, NeedsInput, Permanent, Task, Unavailable
from habeas.participant.answers import Known, StoredAnswer
from habeas.participant.composing import Composer
from habeas.participant.inbox import Assigned
from habeas.participant.question import question
from tests.participant.tasks import a_keyring, opened, personal_of, task_for
from tests.participant.test_same_answer import raises
from tests.participant.toys import LOGS, NOTES, Bench, Died, cancellation

DUE = datetime(2026, 1, 10, 12, tzinfo=UTC)


def did(body: TaskFinished) -> dict[tuple[str, str], int]:
    return {(item.category, str(item.did)): item.count for item in body.summary}


async def further(bench: Bench, first: Any, action: str, *who: str, **options: Any) -> TaskFinished:
    return await bench.one(bench.task(action, *who, request_id=first.request_id, **options))


# The question


@pytest.mark.parametrize(
    "change",
    [
        {"action": "restrict"},
        {"right": "consent_withdrawal"},
        {"regulation": "uk-gdpr"},
        {"scope": (NOTES, LOGS)},
        {"scope": (NOTES.model_copy(update={"purposes": ("marketing",)}),)},
        {"scope": (NOTES.model_copy(update={"instruction": "delete"}),)},
        {"period": Period(start=DUE)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_function_sees_is_part_of_the_question(change: dict[str, Any]) -> None:
    asked = Assigned(task_for("toy", a_keyring("toy"), "object", scope=(NOTES,)), personal_of(("email", "ada")))
    other = Assigned(asked.body.model_copy(update=change), asked.personal)
    assert question(other) != question(asked)


@pytest.mark.parametrize(
    "details",
    [
        TaskDetails(corrections=(Correction(category="notes", field="who", value="eda"),)),
        TaskDetails(purposes=("marketing",)),
        TaskDetails(statement="Not that one."),
    ],
    ids=["corrections", "purposes", "statement"],
)
def test_what_is_sealed_is_part_of_the_question(details: TaskDetails) -> None:
    body = task_for("toy", a_keyring("toy"), "rectify", ("email", "ada"))
    asked = personal_of(("email", "ada"))
    assert question(Assigned(body, asked.model_copy(update={"details": details}))) != question(Assigned(body, asked))
    assert question(Assigned(body, personal_of(("email", "bea")))) != question(Assigned(body, asked))


@pytest.mark.parametrize(("action", "same"), [("erase", True), ("restrict", True), ("hold", False)])
def test_when_it_is_due_makes_a_difference_to_a_hold(action: str, same: bool) -> None:
    keyring, who = a_keyring("toy"), personal_of(("email", "ada"))
    early = Assigned(task_for("toy", keyring, action, due_at=DUE), who)
    late = Assigned(early.body.model_copy(update={"due_at": DUE + timedelta(days=1)}), who)
    assert (question(early) == question(late)) is same


def test_neither_number_nor_order_is_part_of_the_question() -> None:
    keyring = a_keyring("toy")
    scope = (ScopeItem(category="logs", purposes=("a", "b"), basis="contract"), NOTES)
    turned = (NOTES, ScopeItem(category="logs", purposes=("b", "a"), basis="contract"))
    one = task_for("toy", keyring, "erase", scope=scope)
    two = task_for("toy", keyring, "erase", scope=turned, attempt=2, reminder=True, policy_version="2030-01-01")
    assert question(Assigned(one, personal_of(("email", "ada"), ("phone", "1")))) == question(
        Assigned(two, personal_of(("phone", "1"), ("email", "ada")))
    )


# The same again, or something else


async def test_another_scope_is_done(bench: Bench) -> None:
    first = bench.task("restrict", "ada")
    await bench.one(first)
    body = await further(bench, first, "restrict", "ada", attempt=2, scope=(LOGS,))
    assert bench.toy.restricted == {("ada", "notes"), ("ada", "logs")}
    assert did(body) == {("logs", "restricted"): 1}


async def test_what_was_undone_is_done_again(bench: Bench) -> None:
    first = bench.task("restrict", "ada", "bea")
    await bench.one(first)
    await further(bench, first, "unrestrict", "ada", "bea", attempt=2)
    assert bench.toy.restricted == set()
    body = await further(bench, first, "restrict", "ada", "bea", attempt=3)
    assert bench.toy.restricted == {("ada", "notes"), ("bea", "notes")}
    assert did(body) == {("notes", "restricted"): 2}
    await further(bench, first, "unrestrict", "ada", "bea", attempt=4)
    assert did(await further(bench, first, "restrict", "ada", attempt=5)) == {("notes", "restricted"): 1}


async def test_what_failed_to_be_undone_is_done_again(bench: Bench) -> None:
    """Half of it may be undone: that the earlier answer still is so, nobody knows."""
    first = bench.task("erase", "ada")
    await bench.one(first)
    bench.toy.after = raises(Permanent("full"))
    await further(bench, first, "hold", "ada", attempt=2)
    again = bench.task("erase", "ada", request_id=first.request_id, attempt=3)
    bench.toy.after = lambda _: None
    assert did(await bench.one(again)) == {("notes", "deleted"): 1}
    assert again.task_id in bench.toy.runs


async def test_a_later_hold_lasts_longer_and_says_so(bench: Bench) -> None:
    first = bench.task("hold", "ada", due_at=DUE)
    await bench.one(first)
    body = await further(bench, first, "hold", "ada", attempt=2, due_at=DUE + timedelta(days=30))
    until = (DUE + timedelta(days=30)).date()
    assert bench.toy.held == {(first.request_id, "notes"): until}
    assert [item.until for item in body.summary] == [until]


async def test_an_erasure_is_not_forgotten_over_what_came_after_it(bench: Bench) -> None:
    """Restarted in between, so that only what is stored can tell."""
    first = bench.task("hold", "ada")
    await bench.one(first)
    done = await further(bench, first, "erase", "ada", attempt=2)
    await further(bench, first, "hold", "ada", attempt=3)
    await bench.start()
    body = await further(bench, first, "erase", "ada", attempt=4)
    assert (body.outcome, body.summary) == (done.outcome, done.summary)
    assert bench.personal(body).identities == bench.personal(done).identities


async def test_an_answer_speaks_of_its_own_scope_and_forgets_nothing_for_the_next(bench: Bench) -> None:
    first = bench.task("erase", "ada")
    await bench.one(first)
    other = await further(bench, first, "erase", "ada", attempt=2, scope=(LOGS,))
    assert (other.outcome, other.summary) == ("nothing_held", ())
    bench.toy.answer = Answer(summary=[SummaryItem(category="logs", did=Did.DELETED, count=5)])
    await further(bench, first, "erase", "ada", attempt=3, scope=(LOGS,))
    bench.toy.answer = None
    both = await further(bench, first, "erase", "ada", attempt=4, scope=(NOTES, LOGS))
    assert did(both) == {("notes", "deleted"): 1, ("logs", "deleted"): 5}


async def test_an_access_tells_what_there_is_by_then(bench: Bench) -> None:
    first = bench.task("access", "ada", "dan")
    await bench.one(first)
    await bench.add("dan")
    again = await further(bench, first, "access", "ada", "dan", attempt=2)
    assert {record.id for record in bench.personal(again).records} == {"ada", "dan"}


@pytest.mark.parametrize(
    ("word", "count"),
    [
        (Did.DELETED, 5),
        (Did.ANONYMIZED, 5),
        (Did.PSEUDONYMIZED, 5),
        (Did.DETACHED, 5),
        (Did.REDACTED, 5),
        (Did.RECTIFIED, 3),
        (Did.RESTRICTED, 3),
        (Did.UNRESTRICTED, 3),
        (Did.STOPPED, 3),
        (Did.SUPPRESSED, 3),
        (Did.RETAINED, 3),
        (Did.WITHHELD, 3),
        (Did.DISCLOSED, 3),
        (Did.EXPORTED, 3),
        (Did.RECIPIENTS_NOTIFIED, 3),
        ("imagined", 3),
    ],
)
def test_only_what_is_gone_adds_up(word: str, count: int) -> None:
    keyring = a_keyring("toy")
    composer = Composer("toy", keyring, lambda: DUE)
    ada, bea = (opened(task_for("toy", keyring, "erase", ("email", who), scope=(NOTES,)), keyring) for who in "ab")

    def said(number: int) -> Answer:
        return Answer(summary=[SummaryItem(category="notes", did=word, count=number)])

    second = composer.compose(bea, said(2), [composer.compose(ada, said(3))])
    assert [item.count for item in second.message().summary] == [count]


def test_no_word_is_left_undecided() -> None:
    marks = test_only_what_is_gone_adds_up.pytestmark  # type: ignore[attr-defined]
    assert set(Did) <= {word for word, _ in marks[0].args[1]}


def test_a_clock_that_goes_back_does_not_turn_the_order() -> None:
    keyring, request_id = a_keyring("toy"), uuid4()
    known, clock = Known(), iter([DUE, DUE - timedelta(hours=1), DUE])
    composer = Composer("toy", keyring, lambda: next(clock))

    def answered(action: str) -> StoredAnswer:
        task = opened(task_for("toy", keyring, action, ("email", "ada"), request_id=request_id), keyring)
        return known.admit(composer.compose(task, Answer(summary=[SummaryItem(category="a", did="d", count=1)])))

    kept = [answered("restrict"), answered("unrestrict"), answered("restrict")]
    assert Known.of(sorted(kept, key=lambda answer: answer.task_id), ()).last(request_id) == kept[2]


# What was found before


async def test_what_was_found_for_another_scope_is_not_taken_for_this_one(bench: Bench) -> None:
    bench.toy.after = raises(Died())
    first = bench.task("erase", "ada", scope=(LOGS,))
    with pytest.raises(Died):
        await bench.work(first)
    bench.toy.after = lambda _: None
    await bench.start()
    body = await further(bench, first, "erase", "ada", attempt=2)
    assert did(body) == {("notes", "deleted"): 1}
    assert not await bench.holds("ada")


async def test_nothing_held_is_looked_up_again(bench: Bench) -> None:
    first = bench.task("erase", "dan")
    assert (await bench.one(first)).outcome == "nothing_held"
    await bench.add("dan")
    assert (await further(bench, first, "erase", "dan", attempt=2)).outcome == "completed"
    assert not await bench.holds("dan")


async def test_what_wanted_input_is_looked_up_again(bench: Bench) -> None:
    bench.toy.after = raises(NeedsInput("which"))
    first = bench.task("erase", "dan")
    assert (await bench.one(first)).outcome == "needs_input"
    bench.toy.after = lambda _: None
    await bench.add("dan")
    assert (await further(bench, first, "erase", "dan", attempt=2)).outcome == "completed"


async def test_what_failed_half_done_is_gone_on_with(bench: Bench) -> None:
    bench.toy.after = raises(Permanent("full"))
    first = bench.task("erase", "ada")
    assert (await bench.one(first)).outcome == "failed"
    bench.toy.after = lambda _: None
    body = await further(bench, first, "erase", "ada", attempt=2)
    assert did(body) == {("notes", "deleted"): 1}


async def test_what_failed_and_was_undone_is_looked_up_again(bench: Bench) -> None:
    bench.toy.after = raises(Permanent("full"))
    first = bench.task("restrict", "ada", "dan")
    assert (await bench.one(first)).outcome == "failed"
    bench.toy.after = lambda _: None
    bench.toy.restricted.add(("ada", "notes"))
    await further(bench, first, "unrestrict", "ada", attempt=2)
    await bench.add("dan")
    await further(bench, first, "restrict", "ada", "dan", attempt=3)
    assert bench.toy.restricted == {("ada", "notes"), ("dan", "notes")}


async def test_a_crash_over_two_questions_forgets_neither(bench: Bench) -> None:
    """Both were done in one batch, and neither was answered."""
    first = bench.task("erase", "ada")
    wider = bench.task("erase", "ada", "bea", request_id=first.request_id, attempt=2)
    bench.toy.after = lambda task: raises(Died())(task) if task.id == wider.task_id else None
    with pytest.raises(Died):
        await bench.work(first, wider)
    bench.toy.after = lambda _: None
    await bench.start()
    one, two = bench.bodies(await bench.work(first, wider))
    assert (did(one), did(two)) == ({("notes", "deleted"): 1}, {("notes", "deleted"): 2})


async def test_a_new_key_does_not_make_it_look_anew(bench: Bench) -> None:
    bench.toy.after = raises(Died())
    task = bench.task("erase", "ada")
    with pytest.raises(Died):
        await bench.work(task)
    bench.toy.after = lambda _: None
    bench.rotate()
    await bench.start()
    assert did(await bench.one(task)) == {("notes", "deleted"): 1}


# The order of a request's tasks


async def test_what_comes_after_a_failing_task_of_its_request_waits_for_it(bench: Bench) -> None:
    failing = bench.task("erase", "ada")
    bench.toy.after = lambda task: raises(ValueError())(task) if task.id == failing.task_id else None
    later = bench.task("restrict", "bea", request_id=failing.request_id, attempt=2)
    other = bench.task("restrict", "cem")
    finished = await bench.work(failing, later, other)
    assert [body.task_id for body in bench.bodies(finished)] == [other.task_id]
    assert finished.stopped is not None
    assert bench.toy.restricted == {("cem", "notes")}
    bench.toy.after = lambda _: None
    await bench.start()
    finished = await bench.work(failing, later, other)
    assert [body.task_id for body in bench.bodies(finished)] == [failing.task_id, later.task_id, other.task_id]


async def test_one_that_fails_once_is_still_done_before_what_comes_after_it(bench: Bench) -> None:
    strikes = iter([RuntimeError("once")])

    def first_time(_: Any) -> None:
        for error in strikes:
            raise error

    bench.toy.after = first_time
    held = bench.task("hold", "ada", due_at=DUE)
    longer = bench.task("hold", "ada", request_id=held.request_id, attempt=2, due_at=DUE + timedelta(days=1))
    await bench.work(held, longer)
    assert bench.toy.held == {(held.request_id, "notes"): (DUE + timedelta(days=1)).date()}


async def test_a_reminder_in_the_same_batch_does_not_turn_the_order(bench: Bench) -> None:
    first = bench.task("restrict", "ada")
    lifted = bench.task("unrestrict", "ada", request_id=first.request_id, attempt=2)
    late = bench.task("restrict", "ada", request_id=first.request_id, task_id=first.task_id, reminder=True)
    await bench.work(first, lifted, late)
    assert bench.toy.runs == [first.task_id, lifted.task_id]
    assert bench.toy.restricted == set()


# Cancelled afterwards


async def test_a_hold_that_is_cancelled_is_over(bench: Bench) -> None:
    first, other = bench.task("hold", "ada"), bench.task("hold", "bea")
    await bench.work(first, other)
    await bench.work(cancelled=[cancellation(first)])
    assert set(bench.toy.held) == {(other.request_id, "notes")}
    await further(bench, first, "hold", "ada", attempt=2, due_at=first.due_at)
    assert (first.request_id, "notes") in bench.toy.held


async def test_a_cancellation_read_again_does_not_end_the_next_hold(bench: Bench) -> None:
    first = bench.task("hold", "ada", due_at=DUE)
    second = bench.task("hold", "ada", request_id=first.request_id, attempt=2, due_at=DUE)
    await bench.one(first)
    await bench.work(cancelled=[cancellation(first)])
    await bench.one(second)
    await bench.start()
    await bench.work(first, second, cancelled=[cancellation(first)])
    assert bench.toy.held == {(first.request_id, "notes"): DUE.date()}
    assert bench.toy.called_off == [first.task_id]


async def test_one_begun_and_then_cancelled_is_called_off_before_it_is_answered(bench: Bench) -> None:
    bench.toy.after = raises(Died())
    task, other = bench.task("hold", "ada"), bench.task("hold", "bea")
    with pytest.raises(Died):
        await bench.work(task)
    await bench.start()
    bench.toy.after = lambda _: None
    bodies = bench.bodies(await bench.work(task, other, cancelled=[cancellation(task), cancellation(other)]))
    assert [body.outcome for body in bodies] == ["cancelled", "cancelled"]
    assert bench.toy.called_off == [task.task_id]
    assert bench.toy.held == {}


async def test_a_cancellation_of_an_action_nobody_listens_for_is_only_remembered(bench: Bench) -> None:
    task = bench.task("restrict", "ada")
    await bench.one(task)
    await bench.work(cancelled=[cancellation(task)])
    assert bench.toy.called_off == []
    assert bench.toy.restricted == {("ada", "notes")}


async def test_a_cancellation_that_fails_is_tried_at_each_start_and_given_up(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    task, other = bench.task("hold", "ada"), bench.task("hold", "bea")
    await bench.one(task)
    bench.toy.calling_off = raises(ValueError("ada@example.org"))
    for _ in range(bench.toy.tuning.deliveries - 1):
        finished = await bench.work(other, cancelled=[cancellation(task)])
        assert finished.stopped is not None
        assert len(finished.answers) == 1
        await bench.start()
    assert (await bench.work(cancelled=[cancellation(task)])).stopped is None
    bench.toy.calling_off = lambda _: None
    said = capsys.readouterr()
    assert "cancellation_failed" in said.out + said.err
    assert "ada@example.org" not in said.out + said.err


async def test_a_store_that_was_away_is_not_held_against_a_cancellation(bench: Bench) -> None:
    task = bench.task("hold", "ada")
    await bench.one(task)
    bench.toy.calling_off = raises(Unavailable("away"))
    for _ in range(bench.toy.tuning.deliveries + 2):
        with pytest.raises(Unavailable):
            await bench.work(cancelled=[cancellation(task)])
    bench.toy.calling_off = raises(ValueError())
    assert (await bench.work(cancelled=[cancellation(task)])).stopped is not None  # the first time that counts
    bench.toy.calling_off = lambda _: None
    assert (await bench.work(cancelled=[cancellation(task)])).stopped is None
    assert bench.toy.held == {}


async def test_what_is_called_off_is_the_task_as_it_came(sqlite_bench: Bench) -> None:
    seen: list[Task] = []
    sqlite_bench.toy.calling_off = seen.append
    task = sqlite_bench.task("hold", "ada", scope=(LOGS,), due_at=DUE)
    await sqlite_bench.one(task)
    await sqlite_bench.start()
    await sqlite_bench.work(cancelled=[cancellation(task)])
    (found,) = seen
    assert (found.id, found.scope, found.due_at, found.attempt) == (task.task_id, (LOGS,), DUE, 1)
    assert found.identity("email") == ("ada",)
