"""Checks that kill the participant: what it has answered stands, what it has not answered is answered."""

from __future__ import annotations

from habeas.contracts.vocabulary import Action, TaskOutcome
from operations.conformance.bench import Assignment, Bench, difference, outcome
from operations.conformance.check import Check, NotTriedError, broken_if
from operations.conformance.people import Person
from operations.conformance.program import Program

_ERASURES = 3


async def same_answers(bench: Bench) -> str | None:
    program = _program(bench)
    tasks = []
    if Action.ACCESS not in bench.unsupported:
        tasks.append(bench.task(Action.ACCESS, bench.somebody()))
    if Action.ERASE not in bench.unsupported:
        tasks.append(bench.task(Action.ERASE, bench.destroyable()))
    first = [await bench.ask(task) for task in tasks]
    await program.kill()
    await bench.office.send(*tasks)
    for task, before in zip(tasks, first, strict=True):
        said = (await bench.office.answers(task.task_id, 2, bench.patience + bench.restart))[-1]
        broken_if(
            said.content() != before.content(),
            f"after a restart {task.action} is answered otherwise: {difference(before, said)}",
        )
    return None


async def killed_at_work(bench: Bench) -> str | None:
    """Many tasks at once; the process is killed as soon as the first is answered."""
    program = _program(bench)
    erasures = _erasures(bench)
    if Action.ACCESS not in bench.unsupported:
        lasting = bench.somebody()
        readings = [bench.task(Action.ACCESS, lasting) for _ in range(bench.flood // 2)]
    else:
        readings = [bench.task(Action.ACCESS, bench.stranger) for _ in range(bench.flood // 2)]
    middle = len(readings) // 2
    tasks = [*readings[:middle], *(task for task, _ in erasures), *readings[middle:]]
    await bench.office.send(*tasks)
    await bench.office.anything(bench.patience)
    unanswered = sum(not bench.office.count(task.task_id) for task in tasks)
    await program.kill()
    for task in tasks:
        said = (await bench.office.answers(task.task_id, 1, bench.patience + bench.restart))[0]
        if task.action == Action.ERASE:
            lost = said.outcome not in (TaskOutcome.COMPLETED, TaskOutcome.PARTIAL)
            broken_if(lost, f"an erasure is answered {outcome(said)}: done before the kill, forgotten after it")
    for task, _ in erasures:
        await bench.again(task, (await bench.office.answers(task.task_id, 1, bench.patience))[0], "an erasure")
    return f"{unanswered} of {len(tasks)} tasks were unanswered when it was killed"


def _erasures(bench: Bench) -> list[tuple[Assignment, Person]]:
    found: list[tuple[Assignment, Person]] = []
    if Action.ERASE in bench.unsupported:
        return found
    for number in range(_ERASURES):
        try:
            person = bench.destroyable()
        except NotTriedError:
            if number == 0:
                raise
            break
        found.append((bench.task(Action.ERASE, person), person))
    return found


def _program(bench: Bench) -> Program:
    if bench.program is None:
        raise NotTriedError("this process is not ours to kill: name its command with --command")
    return bench.program


CHECKS = (
    Check(
        "restart.same_answers",
        "after SIGKILL and a restart a task that comes again gets the answer it had",
        "Topics: keep the sealed answer together with the effect",
        same_answers,
        restarts=True,
    ),
    Check(
        "restart.killed_at_work",
        "killed in the middle of its work, it answers every task, each done once",
        "Topics: delivery is at least once",
        killed_at_work,
        restarts=True,
    ),
)
