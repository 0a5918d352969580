"""What is said about a request makes of it: by table, without I/O."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.contracts import Reason
from habeas.contracts.command import CommandClassify, CommandRefuse
from habeas.contracts.submission import (
    AmendedPersonal,
    Details,
    Identity,
    Requester,
    Subject,
    SubmissionPersonal,
)
from services.intake.changes import (
    IDENTITIES_LIMIT,
    Effect,
    Judge,
    NotAccepted,
    Nothing,
    Proven,
    Refused,
    Reopened,
    Request,
    Said,
    State,
    Wish,
    Withdrawn,
    apply,
    begin,
    classify,
    refuse,
)
from shared.events import Decision
from shared.law.grounds import GROUNDS
from tests.core.workbench import NOW, REGISTRY
from tests.intake.samples import RECEIVED, identity, person, proof, submission

JUDGE = Judge(REGISTRY, NOW)
AGENT = Requester(relationship="agent", name="Bo", email="bo@example.org")
SELF = Requester(name="Ana", email="ana@example.org")
SHOWN = identity(shown=proof())
ACCOUNT = identity("acc-1", "account_id", proof())


def request(personal: SubmissionPersonal, state: State | None = None, **members: Any) -> Request:
    """As it is first opened, or else in `state`."""
    body = submission(**members)
    begun = begin(body.request_id, "HB-0000-0001", "web", Wish(body, personal), (), JUDGE).request
    if state is None:
        return begun
    return replace(
        begun,
        state=state,
        wish=None,
        reason="identity_not_established" if state is State.REFUSED else None,
        withdrawn_at=NOW if state is State.WITHDRAWN else None,
    )


def said(of: Request, *identities: Identity, portal: str = "web", **personal: Any) -> Said:
    amendment = AmendedPersonal(identities=identities, **personal)
    return Said(portal, uuid4(), of.request_id, NOW, amendment)


def withdrawal(of: Request, portal: str = "web") -> Said:
    return Said(portal, uuid4(), of.request_id, NOW, reason="changed_mind")


def reopened(effect: Effect | str) -> Reopened:
    assert isinstance(effect, Reopened)
    return effect


def in_triage(*identities: Identity, **members: Any) -> Request:
    found = request(person(*(identities or (SHOWN,)), requester=AGENT), **members)
    assert (found.state, found.reason) == (State.TRIAGE, "acts_for_another")
    return found


@pytest.mark.parametrize(
    ("identities", "changes", "state", "reason"),
    [
        ((SHOWN,), {"requester": SELF}, State.ACCEPTED, None),
        ((identity(),), {"requester": SELF}, State.REFUSED, "identity_not_established"),
        ((SHOWN,), {"details": Details(categories=("own_installation",))}, State.REFUSED, "not_controller"),
        ((SHOWN,), {"requester": SELF, "details": Details(purposes=("x",))}, State.TRIAGE, "scope_unknown"),
        ((SHOWN,), {"requester": Requester(relationship="parent")}, State.TRIAGE, "acts_for_another"),
    ],
)
def test_what_is_in_triage_is_judged_anew(
    identities: tuple[Identity, ...], changes: dict[str, Any], state: State, reason: str | None
) -> None:
    before = in_triage(*identities)
    effect = reopened(apply(before, said(before, **changes), JUDGE))
    after = effect.request
    assert (after.state, after.reason, after.version) == (state, reason, 2)
    assert (after.wish is not None) == (state is State.TRIAGE)
    assert effect.opening.decision.value == state.value
    assert (effect.wish.body.received_at, after.opened_at) == (RECEIVED, before.opened_at)
    for name, value in changes.items():
        assert getattr(effect.opening.personal, name) == value


def test_what_is_not_given_stays() -> None:
    before = request(person(SHOWN, requester=AGENT, details=Details(statement="all of it")))
    effect = reopened(apply(before, said(before, ACCOUNT, requester=SELF), JUDGE))
    assert effect.opening.personal.details.statement == "all of it"
    assert effect.opening.personal.subject.identities == (SHOWN, ACCOUNT)
    assert effect.opening.personal.subject.name == "Ana"


def test_a_further_proof_in_triage_is_told_since_the_collector_writes_to_proven_addresses() -> None:
    before = in_triage(identity())
    effect = reopened(apply(before, said(before, SHOWN), JUDGE))
    assert (effect.request.state, effect.request.version) == (State.TRIAGE, 2)
    assert effect.opening.personal.subject.identities == (SHOWN,)


def test_nobody_vouches_for_what_came_after_they_looked() -> None:
    before = in_triage(identity())
    effect = reopened(apply(before, said(before, identity("acc-9", "account_id")), JUDGE))
    assert effect.request.version == 2
    assert len(effect.wish.personal.subject.identities) == 2
    assert effect.opening.personal.subject.identities == (), "what is not proven is told to nobody"
    command = order(effect.request, authorised=True)
    assert classify(effect.request, command, JUDGE) == "amended_since"
    assert classify(effect.request, command.model_copy(update={"revision": None}), JUDGE) == "amended_since"
    assert isinstance(classify(effect.request, command.model_copy(update={"revision": 2}), JUDGE), Reopened)


@pytest.mark.parametrize("identities", [(), (SHOWN,), (identity(),), (identity(shown=proof("guess")),)])
def test_what_says_nothing_new_is_nothing(identities: tuple[Identity, ...]) -> None:
    """An untrusted proof does not take the place of a trusted one."""
    before = in_triage()
    assert apply(before, said(before, *identities, requester=AGENT), JUDGE) == Nothing()


def test_the_first_reason_told_counts_even_if_the_rules_have_changed_since() -> None:
    before = replace(in_triage(), reason="told_by_older_rules")
    effect = reopened(apply(before, said(before, identity("acc-9", "account_id")), JUDGE))
    assert (effect.request.reason, effect.request.version) == ("acts_for_another", 2)


def test_no_more_identities_than_the_contract_has() -> None:
    many = tuple(identity(f"a{number}@example.org") for number in range(IDENTITIES_LIMIT - 1))
    before = in_triage(*many)
    assert isinstance(apply(before, said(before, SHOWN), JUDGE), Reopened)
    effect = apply(before, said(before, SHOWN, ACCOUNT), JUDGE)
    assert isinstance(effect, Refused)
    assert (effect.reason, effect.pointer) == (Reason.MEMBER_INVALID, "/personal/identities")
    full = in_triage(*many, identity())
    assert isinstance(apply(full, said(full, SHOWN), JUDGE), Reopened)  # the same one, proven


def test_identities_of_what_is_accepted_are_those_that_are_proven() -> None:
    before = request(person(SHOWN))
    effect = apply(before, said(before, identity("x@example.org"), ACCOUNT), JUDGE)
    assert isinstance(effect, Proven)
    assert effect.identities == (ACCOUNT,)
    assert apply(before, said(before, identity("x@example.org")), JUDGE) == Nothing()


def test_what_is_accepted_is_not_amended_for_ever() -> None:
    """Else the tasks of a portal's request outgrow a message, and it is stuck."""
    before = request(person(SHOWN))
    many = tuple(identity(f"acc-{number}", "account_id", proof()) for number in range(IDENTITIES_LIMIT - 1))
    effect = apply(before, said(before, *many), JUDGE)
    assert isinstance(effect, Proven)
    refused = apply(effect.request, said(before, ACCOUNT), JUDGE)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.pointer) == (Reason.MEMBER_INVALID, "/personal/identities")


@pytest.mark.parametrize("changes", [{"requester": SELF}, {"details": Details(statement="more")}])
def test_other_changes_of_what_is_accepted_are_too_late_as_a_whole(changes: dict[str, Any]) -> None:
    before = request(person(SHOWN))
    effect = apply(before, said(before, ACCOUNT, **changes), JUDGE)
    assert isinstance(effect, Refused)
    assert (effect.reason, effect.pointer) == (Reason.TOO_LATE, f"/personal/{next(iter(changes))}")


@pytest.mark.parametrize("state", [State.REFUSED, State.WITHDRAWN])
def test_what_has_ended_is_not_amended(state: State) -> None:
    before = request(person(SHOWN), state)
    effect = apply(before, said(before, ACCOUNT), JUDGE)
    assert isinstance(effect, Refused)
    assert effect.reason is Reason.TOO_LATE


@pytest.mark.parametrize("state", list(State))
def test_another_portal_has_no_say(state: State) -> None:
    before = in_triage() if state is State.TRIAGE else request(person(SHOWN), state)
    for message in (said(before, ACCOUNT, portal="helpdesk"), withdrawal(before, "helpdesk")):
        effect = apply(before, message, JUDGE)
        assert isinstance(effect, Refused)
        assert (effect.reason, effect.pointer) == (Reason.FOREIGN_REQUEST, "/request_id")


def test_a_withdrawal_ends_triage() -> None:
    effect = apply(before := in_triage(), withdrawal(before), JUDGE)
    assert isinstance(effect, Withdrawn)
    assert (effect.request.state, effect.request.wish, effect.request.withdrawn_at) == (State.WITHDRAWN, None, NOW)
    assert effect.request.version == 1


def test_a_withdrawal_of_what_is_accepted_is_the_collectors_to_judge() -> None:
    effect = apply(before := request(person(SHOWN)), withdrawal(before), JUDGE)
    assert isinstance(effect, Withdrawn)
    assert (effect.request.state, effect.request.withdrawn_at) == (State.ACCEPTED, NOW)
    assert apply(effect.request, withdrawal(before), JUDGE) == Nothing()


def test_what_was_refused_is_not_withdrawn_and_what_was_withdrawn_not_twice() -> None:
    refused = request(person(identity()))
    effect = apply(refused, withdrawal(refused), JUDGE)
    assert isinstance(effect, Refused)
    assert effect.reason is Reason.TOO_LATE
    ended = request(person(SHOWN), State.WITHDRAWN)
    assert apply(ended, withdrawal(ended), JUDGE) == Nothing()


def test_a_request_from_before_copies_were_kept_can_only_be_withdrawn() -> None:
    before = replace(in_triage(), wish=None)
    effect = apply(before, said(before, ACCOUNT), JUDGE)
    assert isinstance(effect, Refused)
    assert effect.reason is Reason.TOO_LATE
    assert classify(before, order(before), JUDGE) == NotAccepted.NOT_IN_TRIAGE
    assert isinstance(apply(before, withdrawal(before), JUDGE), Withdrawn)


def order(of: Request, right: str = "access", *, revision: int = 1, **members: Any) -> CommandClassify:
    ids = {"command_id": uuid4(), "request_id": of.request_id}
    return CommandClassify(**ids, by="dpo-1", reason="looked_at", right=right, revision=revision, **members)


def refusal(of: Request, ground: str = "unfounded_or_excessive") -> CommandRefuse:
    return CommandRefuse(command_id=uuid4(), request_id=of.request_id, by="dpo-1", reason="looked_at", ground=ground)


@pytest.mark.parametrize(
    ("members", "personal", "command", "regulation"),
    [
        ({"right": "seance"}, person(SHOWN), {}, "eu-gdpr"),
        ({"right": "unclassified"}, person(SHOWN), {"right": "erasure"}, "eu-gdpr"),
        ({"jurisdiction": "Atlantis"}, person(SHOWN), {"jurisdiction": "FR"}, "eu-gdpr"),
        ({"jurisdiction": "US"}, person(SHOWN), {"regulation": "eu-gdpr"}, "eu-gdpr"),
        ({}, person(identity(), requester=AGENT), {"authorised": True}, "eu-gdpr"),
        ({"right": "opt_out"}, person(SHOWN), {"right": "objection"}, "eu-gdpr"),
    ],
)
def test_a_person_classifies_what_the_rules_could_not(
    members: dict[str, Any], personal: SubmissionPersonal, command: dict[str, Any], regulation: str
) -> None:
    before = request(personal, **members)
    assert before.state is State.TRIAGE
    given = {"right": "access"} | command
    effect = reopened(classify(before, order(before, **given), JUDGE))
    assert (effect.request.state, effect.request.version, effect.request.wish) == (State.ACCEPTED, 2, None)
    assert (effect.opening.decision, effect.opening.regulation) == (Decision.ACCEPTED, regulation)
    assert effect.wish.body.right == given["right"]
    assert effect.wish.body.jurisdiction == given.get("jurisdiction", effect.wish.body.jurisdiction)
    assert effect.opening.due.on.isoformat() == "2026-04-02"


def test_who_is_vouched_for_keeps_their_identities_and_their_part() -> None:
    personal = SubmissionPersonal(
        subject=Subject(name="Kim", minor=True, identities=(identity(), identity("acc-1", "account_id"))),
        requester=Requester(relationship="parent", name="Ana", email="ana@example.org"),
    )
    effect = reopened(classify(before := request(personal), order(before, authorised=True), JUDGE))
    assert effect.opening.personal.subject == personal.subject
    assert effect.opening.personal.requester == personal.requester


@pytest.mark.parametrize(
    ("personal", "command", "code"),
    [
        (person(SHOWN, requester=AGENT), {}, "acts_for_another"),
        (person(identity(), requester=AGENT), {"right": "opt_out", "authorised": True}, "right_not_automated"),
        (person(requester=AGENT), {"authorised": True}, "identity_not_established"),
        (person(SHOWN, requester=AGENT), {"right": "seance"}, "right_not_classified"),
        (person(SHOWN, requester=AGENT), {"regulation": "xx-law"}, "regulation_unknown"),
        (person(SHOWN, requester=AGENT), {"right": "rectification", "authorised": True}, "corrections_missing"),
        (
            person(SHOWN, requester=AGENT, details=Details(categories=("horoscopes",))),
            {"authorised": True},
            "scope_unknown",
        ),
    ],
)
def test_a_classification_that_would_not_be_accepted_changes_nothing(
    personal: SubmissionPersonal, command: dict[str, Any], code: str
) -> None:
    before = request(personal)
    assert before.state is State.TRIAGE
    assert classify(before, order(before, **({"right": "access"} | command)), JUDGE) == code


@pytest.mark.parametrize("state", [state for state in State if state is not State.TRIAGE])
def test_commands_are_for_what_is_in_triage(state: State) -> None:
    before = request(person(SHOWN), state)
    assert classify(before, order(before), JUDGE) == "not_in_triage"
    assert refuse(before, refusal(before), JUDGE) == "not_in_triage"
    assert classify(None, order(before), JUDGE) == refuse(None, refusal(before), JUDGE) == "request_unknown"


@pytest.mark.parametrize("ground", sorted(GROUNDS))
def test_a_person_refuses_on_a_ground_there_is(ground: str) -> None:
    before = in_triage(identity())
    effect = reopened(refuse(before, refusal(before, ground), JUDGE))
    assert (effect.request.state, effect.request.reason, effect.request.wish) == (State.REFUSED, ground, None)
    reason = effect.opening.reason
    assert reason is not None
    assert (effect.opening.decision, reason.code, reason.ground) == (Decision.REFUSED, ground, ground)
    assert effect.opening.personal.subject.identities == ()
    assert refuse(before, refusal(before, f"{ground}_x"), JUDGE) == "ground_unknown"


@pytest.mark.parametrize("members", [{"right": "seance"}, {"jurisdiction": None}, {"regulation": "xx-law"}])
def test_what_nobody_can_classify_can_be_refused(members: dict[str, Any]) -> None:
    before = request(person(SHOWN), **members)
    effect = reopened(refuse(before, refusal(before), JUDGE))
    assert (effect.request.state, effect.opening.due) == (State.REFUSED, JUDGE.opening(effect.wish, "web").due)


def begun(personal: SubmissionPersonal, *early: Said, **members: Any) -> Any:
    body = submission(**members)
    return begin(body.request_id, "HB-0000-0001", "web", Wish(body, personal), early, JUDGE)


def test_what_was_amended_before_counts_from_the_start() -> None:
    agents = person(identity(), requester=AGENT)
    of = in_triage()
    found = begun(agents, said(of, SHOWN), said(of, requester=SELF, details=Details(statement="one")))
    assert (found.request.state, found.request.version, found.refused) == (State.ACCEPTED, 1, ())
    assert found.told.opening.personal.details.statement == "one"
    last = begun(agents, said(of, requester=SELF), said(of, requester=AGENT))
    assert last.request.reason == "acts_for_another"


def test_what_others_said_before_counts_for_nothing() -> None:
    of = in_triage()
    foreign = said(of, SHOWN, portal="helpdesk", requester=SELF), withdrawal(of, "helpdesk")
    found = begun(person(identity(), requester=AGENT), *foreign)
    assert (found.request.reason, found.withdrawal) == ("acts_for_another", None)
    assert [(message, refused.reason) for message, refused in found.refused] == [
        (message, Reason.FOREIGN_REQUEST) for message in foreign
    ]


@pytest.mark.parametrize(
    ("personal", "state", "refused"),
    [
        (person(SHOWN), State.ACCEPTED, []),
        (person(SHOWN, requester=AGENT), State.WITHDRAWN, []),
        (person(identity()), State.REFUSED, [Reason.TOO_LATE]),
    ],
)
def test_what_was_withdrawn_before_opens_and_ends(
    personal: SubmissionPersonal, state: State, refused: list[Reason]
) -> None:
    message = withdrawal(in_triage())
    found = begun(personal, message, withdrawal(in_triage()))
    assert found.request.state is state
    assert found.request.wish is None
    assert found.told.opening.decision != "withdrawn"
    assert found.withdrawal == (None if refused else message)
    assert [each.reason for _, each in found.refused] == refused * 2


changes_of_personal = st.builds(
    AmendedPersonal,
    identities=st.lists(
        st.sampled_from([SHOWN, ACCOUNT, identity(), identity("b@example.org", shown=proof("guess"))]), max_size=3
    ).map(tuple),
    requester=st.sampled_from([None, SELF, AGENT]),
    details=st.sampled_from([None, Details(), Details(purposes=("x",)), Details(categories=("own_installation",))]),
)


@given(st.lists(changes_of_personal | st.just(None), max_size=6), st.booleans())
def test_whatever_is_said_the_state_and_what_is_kept_agree(messages: list[AmendedPersonal | None], agent: bool) -> None:
    now = request(person(identity(), requester=AGENT if agent else SELF), right="access" if agent else "seance")
    for message in messages:
        before = now
        effect = apply(before, Said("web", uuid4(), before.request_id, NOW + timedelta(1), message), JUDGE)
        if isinstance(effect, Reopened | Withdrawn):
            now = effect.request
        assert (now.wish is not None) == (now.state is State.TRIAGE)
        assert (now.reason is None) == (now.state in {State.ACCEPTED, State.WITHDRAWN})
        assert now.version == before.version + isinstance(effect, Reopened)
        assert before.state is State.TRIAGE or now.state is before.state
        # The same again makes no difference to what it is.
        again = apply(now, Said("web", UUID(int=1), now.request_id, NOW, message), JUDGE)
        assert isinstance(again, Nothing | Refused | Proven)
