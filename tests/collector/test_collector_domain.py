"""The rules of the case file: by table, and for every order and splitting of the same facts."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.contracts.result import Record, SummaryItem
from habeas.contracts.submission import Identity, Requester, Subject
from habeas.contracts.vocabulary import DeliverTo, Did
from services.collector.case import Case, Result, Step, Told
from services.collector.domain import advance
from services.collector.results import left_out, statement
from shared.events import DeliveryResult, Notice, PlanMade, Recipient
from shared.people import address
from tests.collector.samples import EMAIL, PERSONAL, item, opened, plan, record, task
from tests.core.workbench import NOW

ACCEPTED, BOUNCED = DeliveryResult.ACCEPTED, DeliveryResult.BOUNCED
EXPIRES = NOW + timedelta(days=14)


def case(
    *results: tuple[str, str, tuple[SummaryItem, ...]], states: dict[str, str] | None = None, **members: Any
) -> Case:
    """A case whose systems answered so; `states` for those that did not."""
    reachable = members.pop("reachable", True)
    request = members.pop("opened", None) or opened(reachable=reachable, **members.pop("request", {}))
    systems = {system: "asked" for system, _, _ in results} | (states or {})
    return Case(
        opened=request,
        plan=plan(request.request_id, 1, **systems).systems,
        results={
            task(request.request_id, system): Result(system, outcome, summary) for system, outcome, summary in results
        },
        **members,
    )


NOTHING, DELETED = ("nothing_held", ()), ("completed", (item(),))
KEPT = ("completed", (item(), item("retained", 3, "invoices")))


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([NOTHING], "nothing_held"),
        ([NOTHING, NOTHING], "nothing_held"),
        ([DELETED], "completed"),
        ([DELETED, NOTHING], "completed"),
        ([("completed", (item("retained", 0),))], "completed"),
        ([("completed", (item("vaporized"),))], "completed"),
        ([KEPT], "partially_completed"),
        ([DELETED, KEPT], "partially_completed"),
        ([("completed", (item("withheld"),))], "partially_completed"),
        ([("completed", (item("redacted"),))], "completed"),  # in an erasure, blackening is erasing
        ([("partial", (item(),)), NOTHING], "partially_completed"),
        ([("refused", ()), DELETED], "partially_completed"),
        ([("refused", ())], "refused"),
        ([("refused", ()), NOTHING], "refused"),
    ],
)
def test_outcomes(answers: list[tuple[str, tuple[SummaryItem, ...]]], outcome: str) -> None:
    found = case(*((f"s{number}", *answer) for number, answer in enumerate(answers)), deliveries={outcome: ACCEPTED})
    status = advance(found, NOW).status
    assert status is not None
    assert (status.state, status.outcome) == ("closed", outcome)


@pytest.mark.parametrize("did", ["redacted", "withheld", "retained"])
def test_a_copy_that_leaves_something_out_is_partial(did: str) -> None:
    found = case(("billing", "completed", (item("disclosed"), item(did))), request={"right": "access"})
    step = advance(replace(found, answer_expires_at=EXPIRES), NOW)
    assert Told(Notice.PARTIALLY_COMPLETED, Recipient.REQUESTER) in step.notices


def test_nobody_asked_is_nothing_held() -> None:
    found = case(states={"payments": "excluded"}, deliveries={"nothing_held": ACCEPTED})
    status = advance(found, NOW).status
    assert status is not None
    assert (status.state, status.outcome) == ("closed", "nothing_held")


@pytest.mark.parametrize("outcome", ["failed", "unsupported", "needs_input", "exploded"])
def test_what_a_person_has_to_look_at(outcome: str) -> None:
    step = advance(case(("billing", outcome, ()), ("support", *DELETED)), NOW)
    assert step.status is not None
    assert (step.status.state, step.status.reason and step.status.reason.code) == ("in_review", "system_failed")
    assert Told(Notice.DPO_REVIEW, Recipient.DPO) in step.notices
    assert step.status.outcome is None


def test_a_failure_waits_for_the_others() -> None:
    step = advance(case(("billing", "failed", ()), states={"support": "asked"}), NOW)
    assert step.status is not None
    assert step.status.state == "in_progress"


def test_a_refused_request_is_told_and_closed_with_its_reason() -> None:
    request = opened(decision="refused", reason="identity_not_established")
    told = advance(Case(request), NOW)
    assert told.notices == (Told(Notice.REFUSED, Recipient.REQUESTER),)
    assert told.status is not None
    assert told.status.state == "in_progress"
    closed = advance(Case(request, deliveries={"refused": ACCEPTED}), NOW).status
    assert closed is not None
    assert (closed.state, closed.outcome, closed.reason and closed.reason.code) == (
        "closed",
        "refused",
        "identity_not_established",
    )


def test_triage_is_told_to_the_dpo_and_acknowledged() -> None:
    step = advance(Case(opened(decision="triage", reason="right_not_classified")), NOW)
    assert step.status is not None
    assert step.status.state == "triage"
    assert set(step.notices) == {Told(Notice.ACKNOWLEDGED, Recipient.REQUESTER), Told(Notice.DPO_TRIAGE, Recipient.DPO)}


def test_a_portal_that_tells_the_person_itself_gets_no_mails() -> None:
    step = advance(case(("billing", *DELETED), request={"notify_by": "portal"}, reachable=False), NOW)
    assert step.status is not None
    assert (step.status.state, step.status.outcome, step.notices) == ("closed", "completed", ())


def test_an_answer_is_sent_by_us_even_where_the_portal_tells_the_rest() -> None:
    """Only its link opens it, and that link stands in the mail alone."""
    found = case(("billing", *DELETED), request={"notify_by": "portal", "right": "access"})
    assert advance(found, NOW).assemble
    step = advance(replace(found, answer_expires_at=EXPIRES), NOW)
    assert step.notices == (Told(Notice.COMPLETED, Recipient.REQUESTER),)
    assert not step.assemble
    assert step.status is not None
    assert step.status.answer is not None
    assert (step.status.answer.available, step.status.answer.expires_at) == (True, EXPIRES)


@pytest.mark.parametrize("outcome", ["nothing_held", "refused"])
def test_no_answer_is_put_together_where_there_is_nothing_to_give(outcome: str) -> None:
    step = advance(case(("billing", outcome, ()), request={"right": "access"}), NOW)
    assert not step.assemble
    assert Told(Notice(outcome), Recipient.REQUESTER) in step.notices


def test_a_bounced_mail_goes_to_review() -> None:
    step = advance(case(("billing", *DELETED), deliveries={"completed": BOUNCED}), NOW)
    assert step.status is not None
    assert (step.status.state, step.status.reason and step.status.reason.code) == ("in_review", "notice_bounced")


def test_a_bounced_acknowledgement_stops_nothing() -> None:
    step = advance(case(("billing", *DELETED), deliveries={"acknowledged": BOUNCED}), NOW)
    assert step.status is not None
    assert step.status.state == "in_progress"
    assert Told(Notice.COMPLETED, Recipient.REQUESTER) in step.notices


def test_without_an_address_a_person_has_to_find_one() -> None:
    step = advance(case(("billing", *DELETED), reachable=False), NOW)
    assert step.status is not None
    assert (step.status.state, step.status.reason and step.status.reason.code) == ("in_review", "no_address")
    assert step.notices == (Told(Notice.DPO_REVIEW, Recipient.DPO, 3),)


def test_who_acts_for_another_may_be_written_to_and_nobody_else() -> None:
    acting = Requester(relationship="parent", email="parent@example.org")
    found = PERSONAL.model_copy(update={"requester": acting, "deliver_to": DeliverTo.REQUESTER})
    assert address(found) == "parent@example.org"
    assert address(found.model_copy(update={"deliver_to": DeliverTo.SUBJECT})) == "ana@example.org"


@pytest.mark.parametrize("outcome", ["failed", "needs_input", "unsupported", "cancelled", "artifacts_not_read"])
def test_what_waits_for_a_failed_system_goes_on_waiting(outcome: str) -> None:
    """Else payments would be given up, and the erasure closed although it was never asked."""
    failed = case(("billing", outcome, ()), states={"payments": "waiting"})
    step = advance(failed, NOW)
    assert step.status is not None
    assert step.status.state == "in_review"
    assert step.report == ()
    mended = replace(
        case(("billing", *DELETED), states={"payments": "waiting"}, opened=failed.opened), status=step.status
    )
    again = advance(mended, NOW)
    assert again.report == ("billing",)
    assert again.status is not None
    assert again.status.state == "in_progress"


def test_the_dpo_is_told_of_each_reason_for_a_review() -> None:
    """First a system fails; it answers after all, and then the final mail bounces."""
    failed = case(("billing", "failed", ()))
    first = advance(failed, NOW)
    assert Told(Notice.DPO_REVIEW, Recipient.DPO, 1) in first.notices
    marks = frozenset(told.mark for told in first.notices)
    bounced = case(("billing", *DELETED), deliveries={"completed": BOUNCED})
    second = advance(replace(bounced, status=first.status, noticed=marks | {"completed.1"}), NOW)
    assert second.notices == (Told(Notice.DPO_REVIEW, Recipient.DPO, 2),)


def test_a_strangers_answer_does_not_count() -> None:
    request = opened()
    found = replace(
        case(states={"billing": "asked"}, opened=request),
        results={task(request.request_id, "billing"): Result("support", "completed", ())},
    )
    status = advance(found, NOW).status
    assert status is not None
    assert [(each.system, each.state) for each in status.systems] == [("billing", "asked")]


def test_working_shows() -> None:
    found = case(("support", *DELETED), states={"billing": "asked", "payments": "waiting"})
    found = replace(found, working={task(found.opened.request_id, name) for name in ("billing", "support")})
    status = advance(found, NOW).status
    assert status is not None
    assert {each.system: each.state for each in status.systems} == {
        "support": "finished",
        "billing": "working",
        "payments": "waiting",
    }


def test_fan_out_hears_of_finished_systems_while_others_wait() -> None:
    found = case(("billing", *DELETED), ("support", *NOTHING), states={"payments": "waiting"})
    assert advance(found, NOW).report == ("billing", "support")
    assert advance(replace(found, reported=frozenset({"billing"})), NOW).report == ("billing", "support")
    assert advance(replace(found, reported=frozenset({"billing", "support"})), NOW).report == ()
    assert advance(case(("billing", *DELETED), states={"payments": "excluded"}), NOW).report == ()


def test_since_is_kept_while_the_state_is() -> None:
    first = advance(case(states={"billing": "asked", "support": "asked"}), NOW).status
    assert first is not None
    later = NOW + timedelta(hours=1)
    request = opened(request_id=first.request_id)
    one = case(("billing", *DELETED), states={"support": "asked"}, opened=request, status=first)
    status = advance(one, later).status
    assert status is not None
    assert (status.since, status.version) == (NOW, 2)
    final = case(("billing", *DELETED), ("support", *NOTHING), opened=request, status=status)
    ended = advance(replace(final, deliveries={"completed": ACCEPTED}), later).status
    assert ended is not None
    assert (ended.state, ended.since, ended.version) == ("closed", later, 3)


def test_the_statement_names_every_system() -> None:
    items, notes = statement(case(("billing", *KEPT), ("support", *NOTHING), states={"payments": "excluded"}))
    assert [(each.system, each.category, each.did, each.count) for each in items] == [
        ("billing", "account", "deleted", 1),
        ("billing", "invoices", "retained", 3),
    ]
    assert [(each.system, each.state, each.outcome, each.reason) for each in notes] == [
        ("billing", "finished", "completed", None),
        ("support", "finished", "nothing_held", None),
        ("payments", "excluded", None, "identifier_not_found"),
    ]


OTHER = Identity(identity_type="account_id", identity_value="a-1")


@pytest.mark.parametrize(
    ("identities", "typed", "deliver_to", "expected"),
    [
        ((EMAIL,), "typed@example.org", "subject", "ana@example.org"),
        ((OTHER, EMAIL), "typed@example.org", "subject", "ana@example.org"),
        ((OTHER,), "typed@example.org", "subject", "typed@example.org"),
        ((), None, "subject", None),
        ((EMAIL,), "typed@example.org", "requester", "ana@example.org"),
        ((EMAIL,), None, "requester", "ana@example.org"),
        ((EMAIL,), "typed@example.org", "a_friend", "ana@example.org"),
    ],
)
def test_where_the_person_is_written_to(
    identities: tuple[Identity, ...], typed: str | None, deliver_to: str, expected: str | None
) -> None:
    found = PERSONAL.model_copy(
        update={
            "subject": Subject(identities=identities),
            "requester": Requester(email=typed),
            "deliver_to": DeliverTo.REQUESTER if deliver_to == "requester" else deliver_to,
        }
    )
    assert address(found) == expected


def of_others(*categories: str) -> list[Record]:
    return [record(category, third_parties=True) for category in categories]


def test_what_shows_others_is_withheld_by_category() -> None:
    assert left_out((), [record()]) == ()
    assert [(each.category, each.did, each.count, each.ground) for each in left_out((), of_others("b", "a", "b"))] == [
        ("a", Did.WITHHELD, 1, "rights_of_others"),
        ("b", Did.WITHHELD, 2, "rights_of_others"),
    ]


def test_what_a_system_has_named_itself_is_told_once() -> None:
    named = SummaryItem(category="b", did="withheld", count=1, ground="rights_of_others")
    other = SummaryItem(category="a", did="withheld", count=5, ground="legal_claims")
    found = left_out((named, other), of_others("b", "a", "b"))
    assert [(each.category, each.count) for each in found] == [("a", 1), ("b", 1)]
    assert left_out((named,), of_others("b")) == ()


def test_what_a_portability_does_not_cover_is_withheld_if_a_system_sends_it() -> None:
    derived = record().model_copy(update={"origin": "derived"})
    assert left_out((item("disclosed"),), [derived]) == ()
    (found,) = left_out((item("exported"),), [derived, record()])
    assert (found.count, found.ground) == (1, "not_provided_by_person")


# Every order, every splitting. Facts come at random; deliveries and the answer come after they were asked for.

Fact = Callable[[Case], Case]


@dataclass
class World:
    """A request, the facts about it, and how the rest of the world answers."""

    right: str
    outcomes: dict[str, str]
    """By system; `excluded` for one that is never asked."""
    mail: DeliveryResult
    notify_by: str
    request_id: UUID = field(default_factory=uuid4)

    def facts(self) -> list[Fact]:
        first = {system: "asked" if number == 0 else "waiting" for number, system in enumerate(self.outcomes)}
        final = {system: "excluded" if word == "excluded" else "asked" for system, word in self.outcomes.items()}
        made = [self._plan(1, first), self._plan(2, final)]
        for system, outcome in self.outcomes.items():
            if outcome != "excluded":
                made += [self._working(system), self._result(system, outcome)]
        return made

    def _plan(self, version: int, states: dict[str, str]) -> Fact:
        made = plan(self.request_id, version, **states)

        def record(known: Case) -> Case:
            self.newest = max([made, *([self.newest] if self.newest else [])], key=lambda each: each.version)
            return replace(known, plan=self.newest.systems)

        return record

    newest: PlanMade | None = None

    def _working(self, system: str) -> Fact:
        return lambda known: replace(known, working={*known.working, task(self.request_id, system)})

    def _result(self, system: str, outcome: str) -> Fact:
        result = Result(system, outcome, (item("retained"),) if outcome == "kept" else (item(),))
        result = result._replace(outcome="completed") if outcome == "kept" else result
        return lambda known: replace(known, results={**known.results, task(self.request_id, system): result})

    def _delivery(self, notice: Notice) -> Fact:
        return lambda known: replace(known, deliveries={**known.deliveries, notice: self.mail})

    def replay(self, order: random.Random | None) -> tuple[Any, set[str]]:
        """The last status without version and times, and the notices. Checks on the way what has to hold always."""
        self.newest = None
        request = opened(request_id=self.request_id, right=self.right, notify_by=self.notify_by)
        known = Case(opened=request)
        facts, noticed = self.facts(), list[str]()
        if order:
            order.shuffle(facts)
        while facts:
            size = order.randint(1, len(facts)) if order else len(facts)
            for fact in facts[:size]:
                known = fact(known)
            facts = facts[size:]
            if order and facts and order.random() < 0.2:
                continue  # settled with the next ones
            step = advance(known, NOW)
            version = known.status.version if known.status else 0
            if known.status is not None and known.status.state == "closed":
                assert step == Step()
            if step.status is not None:
                assert step.status.version == version + 1
                known = replace(known, status=step.status)
            for told in step.notices:
                assert told.mark not in noticed
                noticed.append(told.mark)
                if told.recipient is Recipient.REQUESTER:
                    facts.insert(order.randint(0, len(facts)) if order else 0, self._delivery(told.notice))
            known = replace(
                known,
                reported=known.reported | set(step.report),
                noticed=frozenset(noticed),
                said=known.said | step.said,
            )
            if step.assemble:
                facts.append(lambda before: replace(before, answer_expires_at=EXPIRES))
            again = advance(known, NOW + timedelta(days=1))
            assert again == Step(assemble=again.assemble)  # until the answer is there, it is asked for again: harmless
        assert known.status is not None
        return self._told(known), set(noticed)

    def _told(self, known: Case) -> Any:
        last = known.status
        assert last is not None
        return last.model_copy(update={"version": 1, "since": NOW})


OUTCOMES = ["completed", "kept", "partial", "nothing_held", "refused", "failed", "sublimated", "excluded"]


@given(
    st.sampled_from(["access", "portability", "erasure", "rectification", "restriction", "objection"]),
    st.dictionaries(st.sampled_from(["billing", "support", "analytics"]), st.sampled_from(OUTCOMES), min_size=1),
    st.sampled_from([ACCEPTED, BOUNCED]),
    st.sampled_from(["habeas", "portal"]),
    st.randoms(use_true_random=False),
)
def test_every_order_and_splitting_ends_alike(
    right: str, outcomes: dict[str, str], mail: DeliveryResult, notify_by: str, order: random.Random
) -> None:
    if next(iter(outcomes.values())) == "excluded":
        outcomes = {"first": "nothing_held", **outcomes}
    world = World(right, outcomes, mail, notify_by)
    assert world.replay(order) == world.replay(None)
