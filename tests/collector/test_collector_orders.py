"""What ends, turns or prolongs a case: withdrawals, weighed objections, lifted restrictions, repeated and released
systems, and who comes after whom. By table; no I/O."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from habeas.contracts.result import SummaryItem, TaskError, TaskFinished
from habeas.contracts.submission import Identity, Requester, Subject
from habeas.contracts.vocabulary import Action, DeliverTo
from services.collector.case import COLLECTED, STOPPED, Case, Order, OrderKind, Result, Round, Step, Told
from services.collector.domain import advance, refusal
from services.collector.results import error_code, statement
from shared.events import Audience, DeliveryResult, Notice, PastTask, PlannedSystem, Recipient
from shared.people import address, audience, name
from tests.collector.samples import EMAIL, PERSONAL, SEALED, item, opened, task
from tests.core.workbench import NOW

ACCEPTED = DeliveryResult.ACCEPTED
MARKETING = frozenset({("analytics", "marketing_preference")})


def asked(case_id: UUID, system: str, *actions: str, state: str = "asked", reason: str | None = None) -> PlannedSystem:
    """A system that was given these tasks, one after the other."""
    tasks = [PastTask(task_id=task(case_id, system, number), action=action) for number, action in enumerate(actions, 1)]
    current = tasks.pop() if state == "asked" else None
    return PlannedSystem(
        system=system,
        state=state,
        action=actions[-1] if actions else "erase",
        task_id=current.task_id if current else None,
        attempt=len(actions) if current else 0,
        reason=reason,
        earlier=tuple(tasks),
    )


def case(request: dict[str, Any] | None = None, **members: Any) -> Case:
    return Case(opened=opened(**(request or {})), **{"marketing": MARKETING, **members})


def answered(known: Case, system: str, outcome: str = "completed", *summary: SummaryItem, attempt: int = 1) -> Case:
    key = task(known.opened.request_id, system, attempt)
    return replace(known, results={**known.results, key: Result(system, outcome, summary)})


def planned(known: Case, *systems: PlannedSystem) -> Case:
    return replace(known, plan=systems)


def told(known: Case, notice: Notice, result: DeliveryResult = ACCEPTED) -> Case:
    return replace(known, deliveries={**known.deliveries, notice: result})


def after(known: Case) -> tuple[Case, Step]:
    """The case once everything that follows now has been said."""
    step = advance(known, NOW)
    return (
        replace(
            known,
            status=step.status or known.status,
            noticed=known.noticed | {each.mark for each in step.notices},
            reported=known.reported | set(step.report),
            said=known.said | step.said,
        ),
        step,
    )


def standing(known: Case) -> tuple[str, str | None, str | None]:
    """State, outcome, reason."""
    status = after(known)[0].status
    assert status is not None
    return str(status.state), status.outcome, status.reason.code if status.reason else None


def order(kind: str, argument: str | None = None) -> Order:
    return Order(uuid4(), OrderKind(kind), argument)


def with_order(known: Case, given: Order) -> Case:
    return replace(known, orders=(*known.orders, given))


# Withdrawal


@pytest.mark.parametrize("decision", ["accepted", "triage"])
def test_a_withdrawal_ends_the_request_once_the_person_was_told(decision: str) -> None:
    known = case({"decision": decision, "right": "erasure", "reason": None if decision == "accepted" else "x"})
    known, step = after(replace(known, withdrawn=True))
    assert step.stop == ()
    assert Told(Notice.WITHDRAWN, Recipient.REQUESTER) in step.notices
    assert standing(known)[0] == "in_progress"
    known, step = after(told(known, Notice.WITHDRAWN))
    assert standing(known) == ("closed", "withdrawn", "withdrawn")
    assert step.stop is None
    assert known.said == {STOPPED}


def test_a_withdrawal_says_who_has_finished_and_what_was_done() -> None:
    known = case()
    request_id = known.opened.request_id
    known = planned(known, asked(request_id, "billing", "erase"), asked(request_id, "support", "erase"))
    known = replace(answered(known, "billing", "completed", item("deleted", 2)), withdrawn=True)
    _, step = after(known)
    assert step.stop == ("billing",)
    items, _ = statement(known)
    assert [(each.system, each.did, each.count) for each in items] == [("billing", "deleted", 2)]


def test_it_is_too_late_once_the_final_letter_is_on_its_way() -> None:
    known = case()
    known = answered(planned(known, asked(known.opened.request_id, "billing", "erase")), "billing", "completed", item())
    known, _ = after(known)
    known, step = after(replace(known, withdrawn=True))
    assert step == Step()
    assert standing(told(known, Notice.COMPLETED)) == ("closed", "completed", None)


@pytest.mark.parametrize(("notify_by", "reachable"), [("portal", True), ("habeas", False)])
def test_a_withdrawal_with_nobody_to_tell_closes_at_once(notify_by: str, reachable: bool) -> None:
    known = replace(case({"notify_by": notify_by, "reachable": reachable}), withdrawn=True)
    assert standing(known) == ("closed", "withdrawn", "withdrawn")


# Refused as not ours


def test_what_another_controls_ends_as_that() -> None:
    known = case({"decision": "refused", "reason": "not_controller"})
    known, step = after(known)
    assert Told(Notice.NOT_CONTROLLER, Recipient.REQUESTER) in step.notices
    assert standing(told(known, Notice.NOT_CONTROLLER)) == ("closed", "not_controller", "not_controller")


# Order


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("comes_after_another", ("waiting", None, "comes_after_another")),
        ("predecessor_missing", ("in_review", None, "predecessor_missing")),
    ],
)
def test_a_request_that_comes_after_another_says_so(reason: str, expected: tuple[str, None, str]) -> None:
    known = case()
    request_id = known.opened.request_id
    held = asked(request_id, "billing", "hold", state="waiting", reason=reason)
    known = planned(known, held, asked(request_id, "support", state="waiting", reason=reason))
    known = answered(known, "billing", "completed", item("retained"))
    assert standing(known) == expected
    assert advance(known, NOW).report == ()


def test_what_a_hold_kept_is_no_part_of_the_outcome() -> None:
    known = case()
    known = planned(known, asked(known.opened.request_id, "billing", "hold", "erase"))
    known = answered(known, "billing", "completed", item("retained", 3))
    assert standing(known)[0] == "in_progress", "the erasure itself is not answered"
    known = answered(known, "billing", "completed", item("deleted", 3), attempt=2)
    assert standing(told(known, Notice.COMPLETED)) == ("closed", "completed", None)
    assert [each.did for each in statement(known)[0]] == ["deleted"]


@pytest.mark.parametrize(
    ("request_", "awaited", "expected"),
    [
        ({"right": "access"}, False, True),
        ({"right": "portability"}, False, True),
        ({"right": "erasure"}, False, False),
        ({"right": "erasure"}, True, True),
    ],
)
def test_who_comes_after_is_told_as_soon_as_the_answers_are_in(
    request_: dict[str, Any], awaited: bool, expected: bool
) -> None:
    known = replace(case(request_), awaited=awaited)
    known = planned(known, asked(known.opened.request_id, "billing", "erase"))
    assert not advance(known, NOW).collected
    known, step = after(answered(known, "billing", "completed", item("disclosed")))
    assert step.collected is expected
    assert (COLLECTED in known.said) is expected
    assert not advance(known, NOW).collected


def test_one_that_is_closed_is_collected_for_whoever_asks_later() -> None:
    known = case({"notify_by": "portal"})
    known = answered(planned(known, asked(known.opened.request_id, "billing", "erase")), "billing", "nothing_held")
    known, step = after(known)
    assert not step.collected
    known, step = after(replace(known, awaited=True))
    assert step == Step(collected=True)
    assert after(known)[1] == Step()


def test_a_failed_system_has_not_been_collected_until_it_is_let_go() -> None:
    known = case({"right": "access"})
    known = answered(planned(known, asked(known.opened.request_id, "billing", "access")), "billing", "failed")
    known, step = after(known)
    assert not step.collected
    assert after(with_order(known, order("release", "system_failed")))[1].collected


# Failed systems


def failed() -> Case:
    known = case()
    request_id = known.opened.request_id
    known = planned(
        known,
        asked(request_id, "billing", "erase"),
        asked(request_id, "analytics", state="waiting", reason="waiting_for_identifier"),
    )
    return after(answered(known, "billing", "failed"))[0]


def test_a_repeated_attempt_puts_the_case_back_to_work_and_its_answer_counts() -> None:
    known = failed()
    assert standing(known) == ("in_review", None, "system_failed")
    again = order("retry", "billing")
    assert refusal(known, again, None) is None
    known, step = after(with_order(known, again))
    assert step.rounds == (Round(again.command_id, ("billing",)),)
    assert after(known)[1].rounds == ()
    known = planned(known, asked(known.opened.request_id, "billing", "erase", "erase"))
    assert standing(known) == ("in_progress", None, None)
    late = answered(known, "billing", "completed", item("deleted", 1))
    assert standing(told(late, Notice.COMPLETED)) == ("closed", "completed", None), "an earlier attempt's good answer"
    known = answered(known, "billing", "completed", item("deleted", 4), attempt=2)
    assert [each.count for each in statement(known)[0]] == [4]
    assert standing(told(known, Notice.COMPLETED)) == ("closed", "completed", None)


def test_a_released_request_goes_out_without_the_failed_system() -> None:
    known, step = after(with_order(failed(), order("release", "system_failed")))
    assert step.report == ("billing",), "whoever waits for it need not wait any more"
    request_id = known.opened.request_id
    gone = asked(request_id, "analytics", state="excluded", reason="identifier_not_found")
    known = planned(known, asked(request_id, "billing", "erase"), gone)
    assert standing(told(known, Notice.PARTIALLY_COMPLETED)) == ("closed", "partially_completed", None)


@pytest.mark.parametrize(("reachable", "reason"), [(False, "no_address"), (True, "notice_bounced")])
def test_what_nobody_can_be_told_is_closed_once_a_person_has_seen_to_it(reachable: bool, reason: str) -> None:
    known = case({"reachable": reachable})
    known = answered(planned(known, asked(known.opened.request_id, "billing", "erase")), "billing", "completed", item())
    known, _ = after(told(known, Notice.COMPLETED, DeliveryResult.BOUNCED) if reachable else known)
    assert standing(known) == ("in_review", None, reason)
    assert refusal(known, order("release"), None) is None
    assert standing(with_order(known, order("release", reason))) == ("closed", "completed", None)


# Objection


def objection(*summary: tuple[str, SummaryItem]) -> Case:
    known = case({"right": "objection"})
    systems = dict.fromkeys(system for system, _ in summary)
    known = planned(known, *(asked(known.opened.request_id, system, "object") for system in systems))
    for system in systems:
        known = answered(known, system, "completed", *(each for name, each in summary if name == system))
    return after(known)[0]


VISITS, MAILS = item("stopped", 5, "visits"), item("stopped", 1, "marketing_preference")


def test_an_objection_to_marketing_alone_is_not_weighed() -> None:
    assert standing(told(objection(("analytics", MAILS)), Notice.COMPLETED)) == ("closed", "completed", None)


def test_any_other_objection_is_weighed_by_a_person() -> None:
    known = objection(("analytics", MAILS), ("analytics", VISITS))
    assert standing(known) == ("in_review", None, "objection_to_weigh")
    assert any(mark.startswith("dpo_review") for mark in known.noticed)
    upheld = with_order(known, order("weigh", "upheld"))
    assert standing(told(upheld, Notice.COMPLETED)) == ("closed", "completed", None)


@pytest.mark.parametrize(
    ("summary", "outcome"),
    [((("analytics", VISITS),), "refused"), ((("analytics", VISITS), ("analytics", MAILS)), "partially_completed")],
)
def test_an_overridden_objection_resumes_what_had_stopped_and_says_why(
    summary: tuple[tuple[str, SummaryItem], ...], outcome: str
) -> None:
    verdict = order("weigh", "overridden")
    known, step = after(with_order(objection(*summary), verdict))
    assert step.rounds == (Round(verdict.command_id, ("analytics",), Action.UNRESTRICT, ("visits",)),)
    assert standing(known) == ("in_progress", None, None)
    known = planned(known, asked(known.opened.request_id, "analytics", "object", "unrestrict"))
    assert standing(known) == ("in_progress", None, None)
    known = answered(known, "analytics", "completed", item("unrestricted", 5, "visits"), attempt=2)
    items, _ = statement(known)
    found = {(each.category, each.did, each.ground) for each in items}
    assert ("visits", "unrestricted", "overriding_grounds") in found
    assert ("visits", "stopped", None) not in found
    assert standing(told(known, Notice(outcome))) == ("closed", outcome, "objection_overridden")


# Restriction


def restricted() -> Case:
    known = case({"right": "restriction"})
    known = planned(known, asked(known.opened.request_id, "billing", "restrict"))
    known = told(answered(known, "billing", "completed", item("restricted", 2)), Notice.COMPLETED)
    return after(after(known)[0])[0]


def test_a_restriction_is_lifted_after_the_person_was_told() -> None:
    known, lift = restricted(), order("lift")
    assert standing(known) == ("closed", "completed", None)
    assert refusal(known, lift, None) is None
    known, step = after(with_order(known, lift))
    assert (step.notices, step.rounds) == ((Told(Notice.RESTRICTION_LIFTING, Recipient.REQUESTER),), ())
    assert standing(known) == ("closed", "completed", "restriction_lifting")
    known, step = after(told(known, Notice.RESTRICTION_LIFTING))
    assert step.rounds == (Round(lift.command_id, ("billing",), Action.UNRESTRICT),)
    known = planned(known, asked(known.opened.request_id, "billing", "restrict", "unrestrict"))
    known, _ = after(known)
    assert known.status is not None
    assert [each.state for each in known.status.systems] == ["asked"]
    known, _ = after(answered(known, "billing", "completed", item("unrestricted", 2), attempt=2))
    assert standing(known) == ("closed", "completed", "restriction_lifted")
    assert after(known)[1] == Step()


@pytest.mark.parametrize(("notify_by", "reachable"), [("portal", True), ("habeas", False)])
def test_where_we_tell_nobody_it_is_lifted_at_once(notify_by: str, reachable: bool) -> None:
    known = restricted()
    known = replace(known, opened=known.opened.model_copy(update={"notify_by": notify_by, "reachable": reachable}))
    step = advance(with_order(known, order("lift")), NOW)
    assert (step.notices, len(step.rounds)) == ((), 1)


def test_a_restriction_stands_until_the_person_was_told_some_other_way() -> None:
    known = with_order(restricted(), order("lift"))
    known, step = after(told(after(known)[0], Notice.RESTRICTION_LIFTING, DeliveryResult.BOUNCED))
    assert step.rounds == ()
    assert [each.recipient for each in step.notices] == [Recipient.DPO]
    assert standing(known) == ("closed", "completed", "lifting_not_told")
    assert after(known)[1] == Step()
    again = order("lift")
    assert refusal(known, again, None) is None
    known, step = after(with_order(known, again))
    assert len(step.rounds) == 1
    assert refusal(known, order("lift"), None) == "not_restricted"
    assert standing(known) == ("closed", "completed", "restriction_lifting")


# Commands


@pytest.mark.parametrize(
    ("known", "kind", "argument", "version", "code"),
    [
        (case(), "weigh", "upheld", None, "version_differs"),
        (restricted(), "lift", None, 99, "version_differs"),
        (restricted(), "weigh", "upheld", None, "not_to_weigh"),
        (objection(("analytics", VISITS)), "weigh", "sideways", None, "verdict_unknown"),
        (objection(("analytics", VISITS)), "lift", None, None, "not_restricted"),
        (objection(("analytics", VISITS)), "release", None, None, "not_under_review"),
        (with_order(restricted(), order("lift")), "lift", None, None, "not_restricted"),
        (failed(), "retry", "support", None, "not_failed"),
        (restricted(), "retry", "billing", None, "not_failed"),
        (failed(), "retry", "billing", None, None),
        (failed(), "release", None, None, None),
        (objection(("analytics", VISITS)), "weigh", "overridden", None, None),
    ],
)
def test_a_command_that_does_not_fit_is_refused_with_a_reason(
    known: Case, kind: str, argument: str | None, version: int | None, code: str | None
) -> None:
    assert refusal(known, order(kind, argument), version) == code


# Whom to write to


@pytest.mark.parametrize(
    ("relationship", "minor", "deliver_to", "reader", "expected"),
    [
        ("self", False, "subject", Audience.PERSON, "proven"),
        ("parent", True, "subject", Audience.REPRESENTATIVE, "requester"),
        ("agent", False, "subject", Audience.PERSON, "proven"),
        ("agent", False, "requester", Audience.REPRESENTATIVE, "requester"),
        ("reporter", True, "subject", Audience.BYSTANDER, "requester"),
        ("reporter", False, "requester", Audience.BYSTANDER, "requester"),
        ("controller", True, "subject", Audience.BYSTANDER, "requester"),
        ("aunt", False, "subject", Audience.PERSON, "proven"),
    ],
)
def test_who_is_written_to_as_whom(
    relationship: str, minor: bool, deliver_to: str, reader: Audience, expected: str
) -> None:
    addresses = {"proven": EMAIL.identity_value, "requester": "asks@example.org"}
    personal = PERSONAL.model_copy(
        update={
            "subject": Subject(minor=minor, identities=(Identity(identity_type="phone", identity_value="1"), EMAIL)),
            "requester": Requester(relationship=relationship, email=addresses["requester"]),
            "deliver_to": DeliverTo(deliver_to),
        }
    )
    assert (audience(personal), address(personal)) == (reader, addresses[expected])


def test_each_reader_is_greeted_by_their_own_name() -> None:
    def greeted(relationship: str, deliver_to: str, requester: str | None) -> str | None:
        return name(
            PERSONAL.model_copy(
                update={
                    "requester": Requester(relationship=relationship, name=requester, email="asks@example.org"),
                    "deliver_to": DeliverTo(deliver_to),
                }
            )
        )

    assert greeted("self", "subject", None) == "Ana"
    assert greeted("agent", "subject", "Agnes Agent") == "Ana"
    assert greeted("agent", "requester", "Agnes Agent") == "Agnes Agent"
    assert greeted("agent", "requester", None) is None


def test_why_a_system_failed_stands_beside_its_state() -> None:
    known = case()
    known = planned(known, asked(known.opened.request_id, "billing", "rectify"))
    key = task(known.opened.request_id, "billing")
    known = replace(known, results={key: Result("billing", "needs_input", (), error="old_value_differs")})
    known, _ = after(known)
    assert known.status is not None
    assert [(each.outcome, each.reason) for each in known.status.systems] == [("needs_input", "old_value_differs")]


def test_whoever_reported_gets_no_copy_and_may_stay_nameless() -> None:
    known = case({"right": "access", "audience": Audience.BYSTANDER, "reachable": False})
    known = answered(
        planned(known, asked(known.opened.request_id, "billing", "access")), "billing", "completed", item()
    )
    step = advance(known, NOW + timedelta(days=1))
    assert not step.assemble
    assert step.status is not None
    assert (step.status.state, step.status.outcome) == ("closed", "completed")


def test_the_privacy_team_is_told_of_each_revision_in_triage() -> None:
    known = case({"decision": "triage", "reason": "child_reported"})
    known, step = after(known)
    assert Told(Notice.DPO_TRIAGE, Recipient.DPO, 1) in step.notices
    known = replace(known, opened=known.opened.model_copy(update={"version": 2}))
    known, step = after(known)
    assert step.notices == (Told(Notice.DPO_TRIAGE, Recipient.DPO, 2),)
    assert after(known)[1].notices == ()


@pytest.mark.parametrize(
    ("code", "shown"),
    [(None, None), ("old_value_differs", "old_value_differs"), ("ana.lopez_born_1980", "other")],
)
def test_a_code_that_is_none_of_the_contracts_is_shown_to_nobody(code: str | None, shown: str | None) -> None:
    error = TaskError(code=code) if code else None
    body = TaskFinished(
        task_id=uuid4(), request_id=uuid4(), system="billing", outcome="needs_input", error=error, personal=SEALED
    )
    assert error_code(body) == shown
