"""What a function may raise, what it may not, and how far one bad task reaches."""

from collections.abc import Callable

import pytest

from habeas.participant import Answer, NeedsInput, Permanent, Record, Refused, Task, TaskOutcome, Unavailable
from tests.participant.test_same_answer import raises
from tests.participant.toys import Bench, Died


def for_person(who: str, strike: Callable[[Task], None]) -> Callable[[Task], None]:
    return lambda task: strike(task) if who in task.identity("email") else None


@pytest.mark.parametrize(
    ("error", "outcome", "code", "retryable"),
    [
        (Refused("identity_not_established", "We could not tell."), "refused", "identity_not_established", False),
        (NeedsInput("which_account"), "needs_input", "which_account", False),
        (Permanent("mailbox_locked", retryable=True), "failed", "mailbox_locked", True),
    ],
)
async def test_a_function_ends_its_task(
    bench: Bench, error: Exception, outcome: str, code: str, retryable: bool
) -> None:
    bench.toy.after = for_person("ada", raises(error))
    ended, other = bench.bodies(await bench.work(bench.task("erase", "ada"), bench.task("erase", "bea")))
    assert ended.error is not None
    assert (ended.outcome, ended.error.code, ended.error.retryable) == (outcome, code, retryable)
    assert other.outcome == "completed"
    assert await bench.holds("ada") is bench.toy.kit.atomic


async def test_an_action_without_a_function_is_unsupported(bench: Bench) -> None:
    for action in ("object", "an_action_of_the_future"):
        body = await bench.one(bench.task(action, "ada"))
        assert body.outcome == "unsupported"
        assert body.error is not None
        assert body.error.code == "action_unsupported"


async def test_a_failure_that_passes_is_only_tried_again(bench: Bench) -> None:
    strikes = iter([RuntimeError("once")])

    def first_time(_: Task) -> None:
        for error in strikes:
            raise error

    bench.toy.after = first_time
    finished = await bench.work(bench.task("erase", "ada"))
    assert finished.stopped is None
    assert bench.bodies(finished)[0].outcome == "completed"
    assert [item.count for item in bench.bodies(finished)[0].summary] == [1]


async def test_one_failing_task_stops_the_process_but_not_the_others(bench: Bench) -> None:
    bench.toy.before = for_person("ada", raises(ValueError("ada@example.org is odd")))
    finished = await bench.work(bench.task("erase", "ada"), bench.task("erase", "bea"))
    assert [body.outcome for body in bench.bodies(finished)] == ["completed"]
    assert finished.stopped is not None
    assert finished.stopped.cause == "ValueError"
    assert "ada" not in str(finished.stopped)


async def test_a_poisoned_task_is_answered_failed_after_some_starts_and_the_rest_goes_on(bench: Bench) -> None:
    bench.toy.before = for_person("ada", raises(ValueError()))
    poisoned, good = bench.task("erase", "ada"), bench.task("erase", "bea")
    for _ in range(bench.toy.tuning.deliveries - 1):
        assert (await bench.work(poisoned, good)).stopped is not None
        await bench.start()
    finished = await bench.work(poisoned, good)
    assert finished.stopped is None
    outcomes = {body.task_id: body for body in bench.bodies(finished)}
    assert outcomes[good.task_id].outcome == "completed"
    failed = outcomes[poisoned.task_id]
    assert failed.error is not None
    assert (failed.outcome, failed.error.code, failed.error.retryable) == ("failed", "handler_failed", True)
    assert await bench.one(poisoned) == failed
    bench.toy.before = lambda _: None
    again = bench.task("erase", "ada", request_id=poisoned.request_id, attempt=2)
    assert (await bench.one(again)).outcome == "completed"


async def test_a_task_that_kills_the_process_is_given_up_and_its_neighbours_are_not(bench: Bench) -> None:
    bench.toy.before = for_person("bea", raises(Died()))
    tasks = [bench.task("erase", who) for who in ("ada", "bea", "cem")]
    for _ in range(bench.toy.tuning.deliveries):
        with pytest.raises(Died):
            await bench.work(*tasks)
        await bench.start()
    finished = await bench.work(*tasks)
    assert [body.outcome for body in bench.bodies(finished)] == ["completed", "failed", "completed"]
    assert bench.toy.runs.count(tasks[1].task_id) == bench.toy.tuning.deliveries


async def test_what_is_away_is_never_held_against_the_task(bench: Bench) -> None:
    bench.toy.before = raises(Unavailable("the mail server is away"))
    task = bench.task("erase", "ada")
    for _ in range(bench.toy.tuning.deliveries + 2):
        with pytest.raises(Unavailable):
            await bench.work(task)
        await bench.start()
    bench.toy.before = lambda _: None
    assert (await bench.one(task)).outcome == "completed"


async def test_an_answer_over_the_limit_is_refused_with_advice(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.toy.answer = Answer(
        records=[Record(id="1", category="notes", origin="provided", data={"text": "x" * 1_000_000})]
    )
    body = await bench.one(bench.task("erase", "ada"))
    assert body.error is not None
    assert (body.outcome, body.error.code) == ("failed", "answer_too_large")
    assert await bench.holds("ada") is bench.toy.kit.atomic
    said = capsys.readouterr()
    assert "artifact" in said.out + said.err


async def test_what_follows_an_erasure_runs_before_its_answer_is_out_and_at_each_start(bench: Bench) -> None:
    assert bench.toy.tidied == 1
    await bench.work(bench.task("access", "ada"))
    assert bench.toy.tidied == 1
    await bench.work(bench.task("erase", "ada"), bench.task("erase", "bea"))
    assert bench.toy.tidied == 2
    await bench.start()
    assert bench.toy.tidied == 3


async def test_disclosures_are_counted_and_others_words_count_as_withheld(sqlite_bench: Bench) -> None:
    answer = Answer(
        records=[
            Record(id=str(number), category="mails", origin="provided", third_parties=number == 2, data={})
            for number in range(3)
        ]
    )
    assert [(item.did, item.count, item.ground) for item in answer.settled("access").summary] == [
        ("disclosed", 2, None),
        ("withheld", 1, "rights_of_others"),
    ]
    assert [item.did for item in answer.settled("export").summary] == ["exported", "withheld"]
    assert answer.settled("access").outcome is TaskOutcome.COMPLETED
    assert Answer().settled("access").outcome is TaskOutcome.NOTHING_HELD


async def test_old_answers_are_dropped(bench: Bench) -> None:
    from datetime import UTC, datetime, timedelta

    task = bench.task("access", "ada")
    first = await bench.one(task)
    await bench.desk.store.forget(datetime.now(UTC) - timedelta(days=1))
    assert await bench.one(task) == first
    await bench.desk.store.forget(datetime.now(UTC) + timedelta(seconds=1))
    assert (await bench.one(task)) != first
