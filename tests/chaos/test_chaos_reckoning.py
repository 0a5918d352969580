"""The reckoning finds what is wrong: a reconciliation that cannot fail would prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from chaos_evidence import Evidence
from chaos_faults import plan
from chaos_imagined import evidence, of_kind, status, with_statuses
from chaos_mail import Attempt, Came
from chaos_mail_reckoning import reconcile_mails
from chaos_reckoning import reconcile
from chaos_scenarios import rotation
from chaos_script import Script, Twist, outcome_of, script
from chaos_stage import CONNECTIONS_CUT, KILLED, REFUSING, SESSIONS_ENDED, STOPPED, Happening

PLAIN = of_kind(Twist.NONE, by_mail=True, right="erasure")
STRANGER = UUID(int=7)


def findings(given: Evidence) -> list[str]:
    return [finding.what for finding in (*reconcile(given), *reconcile_mails(given)[0])]


def closing(**members: object) -> Callable[[Evidence], Evidence]:
    def spoil(given: Evidence) -> Evidence:
        *before, closed = given.statuses[PLAIN.request_id]
        return with_statuses(given, PLAIN.request_id, [*before, closed.model_copy(update=members)])

    return spoil


def saying(*numbers: int) -> Callable[[Evidence], Evidence]:
    """Those of the three statuses, in that order on the topic."""

    def spoil(given: Evidence) -> Evidence:
        statuses = given.statuses[PLAIN.request_id]
        return with_statuses(given, PLAIN.request_id, [statuses[number - 1] for number in numbers])

    return spoil


def closed_again(given: Evidence) -> Evidence:
    statuses = given.statuses[PLAIN.request_id]
    again = statuses[-1].model_copy(update={"version": 4})
    return with_statuses(given, PLAIN.request_id, [*statuses, again])


def reopened(given: Evidence) -> Evidence:
    statuses = given.statuses[PLAIN.request_id]
    return with_statuses(given, PLAIN.request_id, [*statuses, status(PLAIN, 4, "in_progress")])


def without_status(given: Evidence) -> Evidence:
    return with_statuses(given, PLAIN.request_id, [])


def with_stranger(given: Evidence) -> Evidence:
    return with_statuses(given, STRANGER, [status(PLAIN, 1, "received")])


def without_tasks(given: Evidence) -> Evidence:
    return replace(given, assigned={})


def given_twice(given: Evidence) -> Evidence:
    first, *others = given.assigned[PLAIN.request_id]
    return replace(given, assigned={PLAIN.request_id: [first, replace(first, ce_id=STRANGER), *others]})


def one_attempt_more(given: Evidence) -> Evidence:
    first, *others = given.assigned[PLAIN.request_id]
    more = first.body.model_copy(update={"attempt": 2, "task_id": PLAIN.task("billing", 2)})
    return replace(given, assigned={PLAIN.request_id: [first, replace(first, body=more), *others]})


def another_task_id(given: Evidence) -> Evidence:
    first, *others = given.assigned[PLAIN.request_id]
    other = first.body.model_copy(update={"task_id": STRANGER})
    return replace(given, assigned={PLAIN.request_id: [replace(first, body=other), *others]})


def without_mails(given: Evidence) -> Evidence:
    return replace(given, mails=())


def another_message_id(given: Evidence) -> Evidence:
    return replace(given, mails=[*given.mails, replace(given.mails[0], message_id="<another>")])


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (without_status, "lost"),
        (saying(1, 2), "stuck: in_progress in version 2"),
        (saying(1, 3), "versions [2] are missing below 3"),
        (saying(1, 3, 2), "version 2 stands last on the compacted topic, and 3 is the highest"),
        (closed_again, "closed 2 times"),
        (reopened, "open again in version 4"),
        (closing(version=2), "version 2 says two things"),
        (closing(outcome="lapsed"), "closed as lapsed"),
        (closing(systems=()), "billing ended as None"),
        (with_stranger, "has a status, and was never submitted"),
        (without_tasks, "billing was given 0 tasks, foretold 1"),
        (given_twice, "was given in 2 different events"),
        (one_attempt_more, "billing was given 2 tasks, foretold 1"),
        (another_task_id, "billing's attempt 1 has an id of its own"),
        (without_mails, "0 mails acknowledged to requester, foretold 1"),
        (another_message_id, "2 mails acknowledged to requester, foretold 1"),
        (lambda given: replace(given, dead_letters={STRANGER: "conflict"}), "that nobody foretold: conflict"),
        (lambda given: replace(given, foreseen={STRANGER: STRANGER}), "have no dead letter"),
        (
            lambda given: replace(
                given,
                foreseen={STRANGER: STRANGER},
                dead_letters={STRANGER: "not_json"},
                reasons={STRANGER: "conflict"},
            ),
            "says not_json, foretold conflict",
        ),
        (lambda given: replace(given, to_be_rejected=frozenset({STRANGER})), "were not told to their portal"),
        (lambda given: replace(given, rejected=frozenset({STRANGER})), "and it was right"),
    ],
)
def test_what_is_wrong_is_found(spoil: Callable[[Evidence], Evidence], what: str) -> None:
    found = findings(spoil(evidence(PLAIN)))
    assert any(what in each for each in found), found


@pytest.mark.parametrize("twist", Twist)
def test_what_came_as_foretold_is_well(twist: Twist) -> None:
    assert findings(evidence(of_kind(twist, by_mail=True))) == []


def test_a_retry_that_was_refused_is_found() -> None:
    failing = of_kind(Twist.FAILS)
    given = evidence(failing)
    ((decided,),) = given.decisions.values()
    refused = replace(given, decisions={decided.command_id: [decided.model_copy(update={"accepted": False})]})
    assert findings(refused) == ["the retry was refused: "]
    assert findings(replace(given, decisions={})) == ["the retry was never decided"]


def test_an_answer_that_is_not_there_is_found() -> None:
    given = evidence(of_kind(Twist.NONE, right="access"))
    assert findings(replace(given, answers=frozenset())) == ["its answer does not lie in the store"]


def test_a_task_that_nobody_cancelled_is_found() -> None:
    given = evidence(of_kind(Twist.WITHDRAWN))
    assert findings(replace(given, cancelled=frozenset())) == ["support's task was not cancelled"]


def repeated(came: Came, *happened: Happening) -> Evidence:
    """The acknowledgement, taken at 1000 s and again at 1020 s."""
    given = evidence(PLAIN)
    first = next(each for each in given.mails if each.notice == "acknowledged")
    others = [each for each in given.mails if each is not first]
    attempts: list[Attempt] = [replace(first, at=1000.0, came=came), replace(first, at=1020.0), *others]
    return replace(given, mails=attempts, happened=happened)


@pytest.mark.parametrize(
    ("given", "excuse"),
    [
        (repeated(Came.CUT), "connection lost after DATA"),
        (repeated(Came.ACCEPTED, Happening(1000.4, 1000.4, KILLED, "notifier-2")), "notifier: killed"),
        (
            repeated(
                Came.ACCEPTED,
                Happening(995.0, 1010.0, REFUSING, "postgres"),  # nothing could be committed
                Happening(1012.0, 1012.0, KILLED, "notifier"),
            ),
            "notifier: killed",
        ),
        (repeated(Came.ACCEPTED, Happening(1000.1, 1000.1, CONNECTIONS_CUT, "mail")), "connection lost after DATA"),
        (repeated(Came.ACCEPTED, Happening(999.9, 1310.0, STOPPED, "notifier")), "notifier: stopped"),
    ],
)
def test_a_repeated_mail_has_its_reason(given: Evidence, excuse: str) -> None:
    found, repeats = reconcile_mails(given)
    assert found == []
    assert repeats == {excuse: 1}


@pytest.mark.parametrize(
    "given",
    [
        repeated(Came.ACCEPTED),
        repeated(Came.ACCEPTED, Happening(1000.4, 1000.4, KILLED, "collector")),
        repeated(Came.ACCEPTED, Happening(1012.0, 1012.0, KILLED, "notifier")),  # its yes was long committed
        repeated(Came.ACCEPTED, Happening(999.9, 1009.0, STOPPED, "notifier")),  # shorter than a lease
        repeated(Came.ACCEPTED, Happening(994.0, 994.0, KILLED, "notifier")),
        repeated(Came.ACCEPTED, Happening(999.0, 1010.0, REFUSING, "postgres")),  # and nobody died of it
        repeated(Came.ACCEPTED, Happening(999.0, 999.0, CONNECTIONS_CUT, "mail")),
        repeated(Came.ACCEPTED, Happening(1000.1, 1004.0, SESSIONS_ENDED, "postgres")),  # it comes back
    ],
)
def test_a_mail_repeated_without_reason_is_found(given: Evidence) -> None:
    assert findings(given) == ["acknowledged was sent again after 20.0 s for no reason we know"]


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        (["nothing_held", "nothing_held"], "nothing_held"),
        (["refused", "nothing_held"], "refused"),
        (["completed", "refused"], "partially_completed"),
        (["completed", "partial"], "partially_completed"),
        (["completed", "nothing_held"], "completed"),
    ],
)
def test_the_outcome_is_foretold(answers: list[str], outcome: str) -> None:
    assert outcome_of(answers) == outcome


def test_a_seed_means_the_same_requests_and_faults() -> None:
    def drawn(seed: int) -> tuple[list[Script], list[tuple[float, str]]]:
        slots = plan(seed, rotation(1), 600.0, 2)
        return [script(seed, number) for number in range(50)], [(f.at, f.what) for slot in slots for f in slot.faults]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


@pytest.mark.parametrize("brokers", [1, 3])
def test_ten_minutes_have_every_scenario(brokers: int) -> None:
    slots = plan(1, rotation(brokers), 600.0, 2)
    assert {slot.scenario.name for slot in slots} == {scenario.name for scenario in rotation(brokers)}
    assert all(slot.faults for slot in slots)
    assert all(0.0 <= fault.at <= 600.0 for slot in slots for fault in slot.faults)
