"""Two operators at once, systems that say what they must not, letters that cross with other news. By table; no I/O."""

from dataclasses import replace
from datetime import timedelta

from services.collector.domain import advance, refusal
from shared.events import Notice
from tests.collector.samples import item
from tests.collector.test_collector_orders import (
    after,
    answered,
    asked,
    case,
    failed,
    order,
    planned,
    restricted,
    standing,
    told,
    with_order,
)
from tests.core.workbench import NOW


def test_letting_a_predecessor_go_lets_no_failed_system_go() -> None:
    known = case({"right": "erasure"})
    request_id = known.opened.request_id
    known, _ = after(planned(known, asked(request_id, "billing", state="waiting", reason="predecessor_missing")))
    assert standing(known) == ("in_review", None, "predecessor_missing")
    known = with_order(known, order("release", "predecessor_missing"))
    known = answered(planned(known, asked(request_id, "billing", "erase")), "billing", "failed")
    assert standing(known) == ("in_review", None, "system_failed")
    known = with_order(after(known)[0], order("release", "system_failed"))
    assert standing(told(known, Notice.PARTIALLY_COMPLETED))[0] == "closed"


def test_a_system_is_repeated_by_the_first_of_two_operators() -> None:
    known, again = failed(), order("retry", "billing")
    assert refusal(known, again, None) is None
    known, _ = after(with_order(known, again))
    assert refusal(known, order("retry", "billing"), None) == "not_failed"
    assert standing(known) == ("in_progress", None, None), "at work again, before fan-out has said so"
    known = planned(known, asked(known.opened.request_id, "billing", "erase", "erase"))
    known, step = after(answered(known, "billing", "failed", attempt=2))
    assert standing(known) == ("in_review", None, "system_failed")
    assert len(step.notices) == 1, "the privacy team is told that it failed again"
    assert refusal(known, order("retry", "billing"), None) is None


def test_what_a_system_could_not_lift_is_not_called_lifted_and_can_be_repeated() -> None:
    known, _ = after(with_order(restricted(), order("lift")))
    known, _ = after(told(known, Notice.RESTRICTION_LIFTING))
    known = planned(known, asked(known.opened.request_id, "billing", "restrict", "unrestrict"))
    known, _ = after(answered(known, "billing", "failed", attempt=2))
    assert standing(known) == ("closed", "completed", "restriction_lifting")
    again = order("retry", "billing")
    assert refusal(known, again, None) is None
    known, step = after(with_order(known, again))
    assert [each.systems for each in step.rounds] == [("billing",)]
    assert refusal(known, order("retry", "billing"), None) == "not_failed"
    known = planned(known, asked(known.opened.request_id, "billing", "restrict", "unrestrict", "unrestrict"))
    known, _ = after(answered(known, "billing", "completed", item("unrestricted", 2), attempt=3))
    assert standing(known) == ("closed", "completed", "restriction_lifted")


def test_one_that_nobody_can_be_told_about_holds_up_no_other() -> None:
    known = case({"right": "access", "reachable": False})
    known = answered(planned(known, asked(known.opened.request_id, "billing", "access")), "billing", "nothing_held")
    known, step = after(known)
    assert standing(known) == ("in_review", None, "no_address")
    assert step.collected


def test_a_withdrawn_request_has_no_answer() -> None:
    known = case({"right": "access"})
    known = answered(planned(known, asked(known.opened.request_id, "billing", "access")), "billing")
    known, step = after(known)
    assert step.assemble
    known, _ = after(replace(known, withdrawn=True))
    status = advance(replace(known, answer_expires_at=NOW + timedelta(days=7)), NOW).status
    assert status is None
    known, _ = after(told(replace(known, answer_expires_at=NOW + timedelta(days=7)), Notice.WITHDRAWN))
    assert known.status is not None
    assert (known.status.outcome, known.status.answer) == ("withdrawn", None)


def test_what_stopped_where_nobody_asked_is_not_resumed_there() -> None:
    known = case({"right": "objection"})
    request_id = known.opened.request_id
    asked_about = asked(request_id, "analytics", "object").model_copy(update={"categories": ("visits",)})
    strange = asked(request_id, "billing", "object").model_copy(update={"categories": ("account",)})
    known = answered(planned(known, asked_about, strange), "analytics", "completed", item("stopped", 5, "visits"))
    known, _ = after(answered(known, "billing", "completed", item("stopped", 1, "invoices")))
    _, step = after(with_order(known, order("weigh", "overridden")))
    assert [(each.systems, each.categories) for each in step.rounds] == [(("analytics",), ("visits",))]
    resumed = asked(request_id, "analytics", "object", "unrestrict").model_copy(update={"categories": ("visits",)})
    known = with_order(planned(known, resumed, strange), order("weigh", "overridden"))
    known = answered(known, "analytics", "completed", item("unrestricted", 5, "visits"), attempt=2)
    assert after(known)[1].notices, "the person is told: nobody waits for what cannot come"
