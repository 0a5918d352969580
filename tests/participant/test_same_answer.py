"""A participant answers twice the same, on every kind of store, whatever dies in between."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from habeas.participant import Task
from tests.participant.toys import PEOPLE, Bench, Died, Toy, cancellation, sqlite_kit


def raises(error: BaseException) -> Callable[[Task], None]:
    def strike(_: Task) -> None:
        raise error

    return strike


async def test_a_task_seen_again_gets_the_stored_answer(bench: Bench) -> None:
    task = bench.task("erase", "ada")
    (first,) = (await bench.work(task)).answers
    (second,) = (await bench.work(task)).answers
    assert second == first
    await bench.start()
    (third,) = (await bench.work(task)).answers
    assert third == first
    assert bench.toy.runs == [task.task_id]


async def test_twice_in_one_batch_is_done_and_answered_once(bench: Bench) -> None:
    task = bench.task("erase", "ada")
    reminder = bench.task("erase", "ada", task_id=task.task_id, request_id=task.request_id, reminder=True)
    assert len((await bench.work(task, reminder)).answers) == 1
    assert bench.toy.runs == [task.task_id]


async def test_a_reminder_is_enough_to_do_the_work_by(bench: Bench) -> None:
    reminder = bench.task("erase", "ada", reminder=True)
    body = await bench.one(reminder)
    assert body.outcome == "completed"
    assert not await bench.holds("ada")
    task = bench.task("erase", "ada", task_id=reminder.task_id, request_id=reminder.request_id)
    assert await bench.one(task) == body


async def test_a_crash_between_effect_and_answer_does_not_make_it_nothing_held(bench: Bench) -> None:
    bench.toy.after = raises(Died())
    task = bench.task("erase", "ada")
    with pytest.raises(Died):
        await bench.work(task)
    bench.toy.after = lambda _: None
    await bench.start()
    body = await bench.one(task)
    assert body.outcome == "completed"
    assert [item.count for item in body.summary] == [1]
    assert [found.identity_value for found in bench.personal(body).identities] == ["acc-ada"]
    assert not await bench.holds("ada")


async def test_a_new_attempt_gets_what_the_earlier_one_did_under_its_own_task_id(bench: Bench) -> None:
    first = bench.task("erase", "ada")
    done = await bench.one(first)
    again = bench.task("erase", "ada", request_id=first.request_id, attempt=2)
    body = await bench.one(again)
    assert (body.task_id, body.outcome, body.summary) == (again.task_id, "completed", done.summary)
    assert bench.personal(body) == bench.personal(done)
    assert bench.toy.runs == [first.task_id]


async def test_a_new_attempt_in_the_same_batch_is_no_second_effect(bench: Bench) -> None:
    first = bench.task("erase", "ada")
    again = bench.task("erase", "ada", request_id=first.request_id, attempt=2)
    one, two = bench.bodies(await bench.work(first, again))
    assert (one.summary, one.outcome) == (two.summary, two.outcome)
    assert bench.toy.runs == [first.task_id]


async def test_a_new_attempt_with_more_identities_adds_to_what_was_done(bench: Bench) -> None:
    first = bench.task("erase", "ada")
    await bench.one(first)
    wider = await bench.one(bench.task("erase", "ada", "bea", request_id=first.request_id, attempt=2))
    assert wider.outcome == "completed"
    assert [item.count for item in wider.summary] == [2]
    assert {found.identity_value for found in bench.personal(wider).identities} == {"acc-ada", "acc-bea"}
    assert not await bench.holds("bea")


async def test_the_same_person_in_another_request_is_another_question(bench: Bench) -> None:
    await bench.one(bench.task("erase", "ada"))
    body = await bench.one(bench.task("erase", "ada"))
    assert body.outcome == "nothing_held"


async def test_an_intent_is_not_taken_for_another_question(bench: Bench) -> None:
    bench.toy.before = lambda _: None
    bench.toy.after = raises(Died())
    task = bench.task("erase", "ada")
    with pytest.raises(Died):
        await bench.work(task)
    bench.toy.after = lambda _: None
    await bench.start()
    body = await bench.one(bench.task("erase", "bea", request_id=task.request_id, attempt=2))
    assert [found.identity_value for found in bench.personal(body).identities] == ["acc-bea"]
    assert not await bench.holds("bea")


async def test_a_cancellation_before_its_task_is_remembered(bench: Bench) -> None:
    task = bench.task("erase", "ada")
    await bench.work(cancelled=[cancellation(task)])
    await bench.start()
    body = await bench.one(task)
    assert body.outcome == "cancelled"
    assert await bench.holds("ada")


async def test_a_cancellation_in_the_batch_of_its_task_comes_in_time(bench: Bench) -> None:
    task, other = bench.task("erase", "ada"), bench.task("erase", "bea")
    bodies = bench.bodies(await bench.work(task, other, cancelled=[cancellation(task)]))
    assert {body.task_id: body.outcome for body in bodies} == {task.task_id: "cancelled", other.task_id: "completed"}
    assert await bench.holds("ada")


async def test_a_cancellation_of_what_is_done_changes_nothing(bench: Bench) -> None:
    task = bench.task("erase", "ada")
    done = await bench.one(task)
    finished = await bench.work(cancelled=[cancellation(task)])
    assert finished.answers == []
    assert await bench.one(task) == done


async def test_a_used_task_id_for_another_task_is_a_conflict(bench: Bench) -> None:
    task = bench.task("erase", "ada")
    await bench.one(task)
    finished = await bench.work(bench.task("erase", "bea", task_id=task.task_id), bench.task("access", "bea"))
    assert [(error.reason, error.pointer) for _, error in finished.conflicts] == [("conflict", "/task_id")]
    assert len(finished.answers) == 1
    assert await bench.holds("bea")


async def test_stored_answers_and_intents_are_sealed(bench: Bench) -> None:
    bench.toy.after = raises(Died())
    with pytest.raises(Died):
        await bench.work(bench.task("erase", "bea"))
    bench.toy.after = lambda _: None
    task = bench.task("erase", "ada")
    await bench.one(task)
    await bench.stop()
    stored = await bench.toy.kit.stored()
    assert str(task.task_id).encode() in stored
    assert b"acc-ada" not in stored
    assert b'"bea"' not in stored


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=6), min_size=1, max_size=6
    ),
    deaths=st.sets(st.integers(0, 11), max_size=2),
)
async def test_any_redelivery_gives_each_task_one_answer_and_each_effect_once(
    batches: list[list[tuple[int, bool]]], deaths: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Six tasks: three people, two attempts each; repeats, any order and grouping, and deaths at any run."""
    bench = Bench(Toy(sqlite_kit(Path(tmp_path_factory.mktemp("toy")))))
    runs = 0

    def perhaps_die(_: Task) -> None:
        nonlocal runs
        runs += 1
        if runs - 1 in deaths:
            raise Died

    bench.toy.after = perhaps_die
    requests = [uuid4() for _ in PEOPLE]
    tasks = [
        bench.task("erase", PEOPLE[number % 3], request_id=requests[number % 3], attempt=number // 3 + 1)
        for number in range(6)
    ]
    reminders = [
        bench.task("erase", PEOPLE[n % 3], request_id=requests[n % 3], task_id=tasks[n].task_id, reminder=True)
        for n in range(6)
    ]
    await bench.start()
    seen: dict[object, set[object]] = {}
    for batch in batches:
        while True:
            try:
                finished = await bench.work(*((reminders if late else tasks)[number] for number, late in batch))
                break
            except Died:
                await bench.start()
        for event, body in zip(finished.answers, bench.bodies(finished), strict=True):
            seen.setdefault(body.task_id, set()).add((event.id, event.data))
            assert body.outcome == "completed"
            assert [item.count for item in body.summary] == [1]
    assert set(seen) == {tasks[number].task_id for batch in batches for number, _ in batch}
    assert all(len(answers) == 1 for answers in seen.values())
    await bench.stop()
