"""What a submission becomes: by table, and by property."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.contracts.status import Due
from habeas.contracts.submission import Correction, Details, Identity, Period, Requester, Subject, SubmissionPersonal
from habeas.contracts.vocabulary import ProofLevel, Relationship, Right
from services.intake.domain import CLOCK_TOLERANCE, due_date, in_future, is_proven, open_request, reference
from shared.events import Decision
from shared.law.deadline import deadline, strictest_deadline
from shared.law.regime import regime
from shared.registry_entries import Trust
from tests.core.workbench import NOW, REGISTRY
from tests.intake.samples import PROVEN, RECEIVED, identity, person, proof, submission

WEB, HELPDESK = REGISTRY.portals["web"], REGISTRY.portals["helpdesk"]


def opening(personal: SubmissionPersonal = PROVEN, portal: Any = WEB, vouched: bool = False, **members: Any) -> Any:
    return open_request(submission(**members), personal, portal=portal, registry=REGISTRY, now=NOW, vouched=vouched)


def strictest(received_at: datetime) -> Due:
    """The date of the strictest clock that the registry configures: of all that are known, others are stricter."""
    place, zone = REGISTRY.controller.place, REGISTRY.controller.time_zone
    due = strictest_deadline(received_at, regulations={"eu-gdpr"}, place=place, time_zone=zone)
    assert due.at > strictest_deadline(received_at, regulations=(), place=place, time_zone=zone).at
    return due


AUTOMATED = tuple(
    Right(word)
    for word in (
        "access",
        "portability",
        "rectification",
        "erasure",
        "restriction",
        "objection",
        "consent_withdrawal",
    )
)
CORRECTION = Correction(category="account", field="email", value="new@example.org")


def wish(*identities: Identity, relationship: str = "self", minor: bool = False, **details: Any) -> SubmissionPersonal:
    """What somebody asks for in detail; proven, unless identities are given."""
    return SubmissionPersonal(
        subject=Subject(name="Ana", minor=minor, identities=identities or (identity(shown=proof()),)),
        requester=Requester(relationship=relationship),
        details=Details(**details),
    )


def details_for(right: Right) -> dict[str, Any]:
    return {"corrections": (CORRECTION,)} if right is Right.RECTIFICATION else {}


def test_the_rights_that_run_by_themselves_are_those_whose_reach_is_known() -> None:
    assert set(regime("eu-gdpr").reach) == set(AUTOMATED)


@pytest.mark.parametrize(
    ("right", "details"),
    [
        *itertools.product(
            AUTOMATED,
            (
                {},
                {"categories": ("invoices",)},
                {"categories": ("own_installation", "account")},
                {"statement": "all of it"},
            ),
        ),
        *itertools.product(("access", "portability"), ({"period": Period(start=NOW)}, {"period": Period()})),
        *itertools.product(
            ("objection", "consent_withdrawal"),
            ({"categories": ("invoices", "account"), "purposes": ("billing", "marketing_messages")},),
        ),
    ],
)
def test_what_is_clear_is_accepted(right: Right | str, details: dict[str, Any]) -> None:
    asked = wish(**details_for(right), **details)
    found = opening(asked, right=right, after=(UUID(int=7),), case_id=UUID(int=8))
    assert (found.decision, found.reason, found.regulation) == (Decision.ACCEPTED, None, "eu-gdpr")
    assert found.personal.details == asked.details
    controller = REGISTRY.controller
    assert found.due == deadline("eu-gdpr", right, RECEIVED, place=controller.place, time_zone=controller.time_zone)


@pytest.mark.parametrize(
    ("members", "personal", "code"),
    [
        ({"right": "seance"}, PROVEN, "right_not_classified"),
        ({"right": "unclassified"}, PROVEN, "right_not_classified"),
        *(
            ({"right": right}, PROVEN, "right_not_automated")
            for right in Right
            if right not in AUTOMATED and right is not Right.UNCLASSIFIED
        ),
        ({"jurisdiction": None}, PROVEN, "regulation_unknown"),
        ({"jurisdiction": "US-CA"}, PROVEN, "regulation_unknown"),
        ({"jurisdiction": "Atlantis"}, PROVEN, "regulation_unknown"),
        ({"regulation": "xx-law"}, PROVEN, "regulation_unknown"),
        *(
            ({}, wish(relationship=word), "acts_for_another")
            for word in (*(word for word in Relationship if word is not Relationship.SELF), "neighbour")
        ),
        *(
            ({}, wish(relationship=word, minor=True), "acts_for_another")
            for word in Relationship
            if word not in {Relationship.SELF, Relationship.REPORTER}
        ),
        ({}, wish(relationship="reporter", minor=True), "child_reported"),
        ({"right": "erasure"}, wish(identity(), relationship="reporter", minor=True), "child_reported"),
        ({}, wish(categories=("invoices", "horoscopes")), "scope_unknown"),
        ({}, wish(categories=("horoscopes", "own_installation")), "scope_unknown"),
        ({}, wish(purposes=("billing", "astrology")), "scope_unknown"),
        ({"right": "erasure"}, wish(purposes=("billing",)), "scope_limited"),
        ({"right": "access"}, wish(purposes=("billing",)), "scope_limited"),
        ({"right": "erasure"}, wish(period=Period(end=NOW)), "scope_limited"),
        ({"right": "objection"}, wish(period=Period(end=NOW)), "scope_limited"),
        ({}, wish(identity(), purposes=("astrology",)), "scope_unknown"),
        ({"right": "rectification"}, PROVEN, "corrections_missing"),
        ({"right": "rectification"}, wish(categories=("account",)), "corrections_missing"),
        *(
            (
                {"right": "rectification"},
                wish(corrections=(CORRECTION, CORRECTION.model_copy(update={"category": category}))),
                "scope_unknown",
            )
            for category in ("horoscopes", "own_installation")
        ),
        # A person looks at it before its identity matters.
        ({"right": "seance"}, person(identity()), "right_not_classified"),
        # The first thing that is unclear is told.
        ({"right": "seance", "jurisdiction": "US"}, PROVEN, "right_not_classified"),
        ({"right": "opt_out", "jurisdiction": "US"}, PROVEN, "regulation_unknown"),
        ({"right": "opt_out"}, wish(relationship="agent"), "right_not_automated"),
        # Of a regime whose clock alone is known, nothing is carried out.
        ({"right": "access", "regulation": "ccpa"}, PROVEN, "right_not_automated"),
        ({"right": "opt_out"}, wish(categories=("own_installation",)), "right_not_automated"),
        ({"right": "rectification"}, wish(relationship="agent"), "acts_for_another"),
        ({"right": "rectification"}, wish(categories=("horoscopes",)), "scope_unknown"),
    ],
)
def test_what_is_unclear_is_never_refused(members: dict[str, Any], personal: SubmissionPersonal, code: str) -> None:
    found = opening(personal, **members)
    assert (found.decision, found.reason.code) == (Decision.TRIAGE, code)
    assert found.due == strictest(RECEIVED)


@pytest.mark.parametrize("right", AUTOMATED)
@pytest.mark.parametrize(
    "personal",
    [
        wish(categories=("own_installation",)),
        wish(identity(), categories=("own_installation",)),
        wish(relationship="agent", categories=("own_installation",)),
        wish(categories=("own_installation",), purposes=("astrology",)),
    ],
)
def test_what_another_decides_about_is_refused_whoever_asks(right: Right, personal: SubmissionPersonal) -> None:
    found = opening(personal, right=right)
    assert (found.decision, found.reason.code) == (Decision.REFUSED, "not_controller")
    assert found.due.on == date(2026, 4, 2)


def test_corrections_matter_to_a_rectification_alone() -> None:
    asked = wish(corrections=(CORRECTION.model_copy(update={"category": "horoscopes"}),))
    assert opening(asked, right="erasure").decision is Decision.ACCEPTED


def test_the_privacy_team_can_vouch_for_identity_and_authority() -> None:
    unproven = wish(identity(), identity("acc-1", "account_id"), relationship="parent", minor=True)
    found = opening(unproven, vouched=True)
    assert (found.decision, found.reason) == (Decision.ACCEPTED, None)
    assert found.personal.subject == unproven.subject
    assert found.personal.requester == unproven.requester


@pytest.mark.parametrize(
    ("members", "personal", "decision", "code"),
    [
        ({}, SubmissionPersonal(subject=Subject()), Decision.REFUSED, "identity_not_established"),
        ({"right": "opt_out"}, PROVEN, Decision.TRIAGE, "right_not_automated"),
        ({}, wish(categories=("horoscopes",)), Decision.TRIAGE, "scope_unknown"),
        ({}, wish(categories=("own_installation",)), Decision.REFUSED, "not_controller"),
    ],
)
def test_and_for_nothing_else(
    members: dict[str, Any], personal: SubmissionPersonal, decision: Decision, code: str
) -> None:
    found = opening(personal, vouched=True, **members)
    assert (found.decision, found.reason.code) == (decision, code)


def test_a_portal_that_has_left_the_registry_proves_nothing() -> None:
    assert opening(portal=None).reason.code == "identity_not_established"


@pytest.mark.parametrize(
    ("regulation", "right"), [("eu-gdpr", "opt_out"), ("eu-gdpr", "seance"), ("xx-law", "access"), (None, "access")]
)
def test_where_no_clock_fits_the_strictest_runs(regulation: str | None, right: str) -> None:
    at = datetime(2026, 3, 3, 9, tzinfo=UTC)
    found = due_date(submission(right=right, received_at=at), regulation, REGISTRY)
    assert found == strictest(at)


def test_a_stricter_clock_counts_once_the_registry_names_its_regime() -> None:
    also = REGISTRY.model_copy(update={"regulations": {**REGISTRY.regulations, "pipa": ("KR",)}})
    members = submission(right="access", jurisdiction="KR")
    found = open_request(members, PROVEN, portal=WEB, registry=also, now=NOW)
    assert (found.decision, found.regulation) == (Decision.TRIAGE, "pipa")
    assert found.due.at < opening(right="access", jurisdiction="KR").due.at
    assert found.due.rule.startswith("PIPA")


def test_a_regulation_that_is_named_needs_no_place() -> None:
    assert opening(regulation="eu-gdpr", jurisdiction=None).decision is Decision.ACCEPTED


@pytest.mark.parametrize(
    "identities",
    [
        (),
        (identity(),),
        (identity(shown=proof("knows_the_cat")),),
        (identity(shown=proof("id_document")),),  # trusted from the help desk alone
        (identity(shown=proof(level="vague")),),
        (identity(shown=proof(at=NOW + timedelta(minutes=6))),),
    ],
)
def test_nobody_proven_is_refused_and_nothing_unproven_kept(identities: tuple[Identity, ...]) -> None:
    found = opening(person(*identities))
    assert (found.decision, found.reason.code) == (Decision.REFUSED, "identity_not_established")
    assert found.personal.subject.identities == ()


def test_one_proven_identity_is_enough_and_only_it_goes_on() -> None:
    shown = identity("acc-1", "account_id", proof())
    found = opening(person(identity("someone@else.example"), shown, identity("x", "visitor_id", proof("guess"))))
    assert found.decision is Decision.ACCEPTED
    assert found.personal.subject.identities == (shown,)
    assert found.personal.subject.name == "Ana"


def test_what_was_said_travels_on_unchanged() -> None:
    personal = person(identity(shown=proof()), details=Details(statement="all of it"))
    found = opening(personal)
    assert (found.personal.requester, found.personal.details) == (personal.requester, personal.details)
    assert found.personal.deliver_to == personal.deliver_to


@pytest.mark.parametrize(
    ("portal", "method", "level", "at", "expected"),
    [
        (WEB, "portal_login", "low", NOW, True),
        (WEB, "portal_login", "high", NOW - timedelta(days=400), True),
        (WEB, "portal_login", "low", NOW + CLOCK_TOLERANCE, True),
        (WEB, "portal_login", "low", NOW + CLOCK_TOLERANCE + timedelta(microseconds=1), False),
        (WEB, "portal_login", "unheard_of", NOW, False),
        (WEB, "id_document", "high", NOW, False),
        (HELPDESK, "id_document", "low", NOW, True),
    ],
)
def test_whose_word_is_taken(portal: Any, method: str, level: str, at: datetime, expected: bool) -> None:
    assert is_proven(identity(shown=proof(method, level, at)), portal, NOW) is expected


@pytest.mark.parametrize(("level", "expected"), [("low", False), ("substantial", True), ("high", True)])
def test_the_lowest_level_a_portal_is_believed_at(level: str, expected: bool) -> None:
    strict = WEB.model_copy(update={"trusted": {"portal_login": Trust(level=ProofLevel.SUBSTANTIAL)}})
    assert is_proven(identity(shown=proof(level=level)), strict, NOW) is expected


def test_without_a_proof_nothing_is_proven() -> None:
    assert not is_proven(identity(), WEB, NOW)


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [(timedelta(days=-9000), False), (CLOCK_TOLERANCE, False), (CLOCK_TOLERANCE + timedelta(microseconds=1), True)],
)
def test_the_clock_of_the_law_does_not_start_ahead(ahead: timedelta, expected: bool) -> None:
    assert in_future(submission(received_at=NOW + ahead), NOW) is expected


@pytest.mark.parametrize(
    ("received", "on"),
    [
        ("2026-03-02T09:16:10Z", date(2026, 4, 2)),
        ("2026-03-03T09:16:10Z", date(2026, 4, 7)),  # 3 April is Good Friday, 6 April Easter Monday
        ("2026-03-02T22:59:59Z", date(2026, 4, 2)),
        ("2026-03-02T23:00:00Z", date(2026, 4, 7)),  # already 3 March in Berlin
        ("2026-01-30T12:00:00Z", date(2026, 3, 2)),  # no 30 February: the 28th, a Saturday
        ("2026-02-08T12:00:00Z", date(2026, 3, 9)),  # 8 March is a holiday of Berlin, and a Sunday
    ],
)
def test_a_calendar_month_with_the_controllers_holidays(received: str, on: date) -> None:
    found = opening(received_at=datetime.fromisoformat(received))
    assert found.due.on == on
    assert found.due.at == found.due.original_at


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2026, 3, 2), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([*Right, "seance"]),
    st.sampled_from([None, "DE-BE", "FR", "US", "ZZ"]),
    st.booleans(),
)
def test_every_submission_is_decided_and_due(at: datetime, right: str, place: str | None, proven: bool) -> None:
    personal = person(identity(shown=proof() if proven else None))
    found = opening(personal, received_at=at, right=right, jurisdiction=place)
    assert (found.reason is None) == (found.decision is Decision.ACCEPTED)
    assert found.due.at > at
    assert all(each.proof is not None for each in found.personal.subject.identities)


def test_references_of_many_numbers_are_unique_and_well_formed() -> None:
    numbers = range(100_000)
    references = [reference(number) for number in numbers]
    assert len(set(references)) == len(numbers)
    assert {len(each) for each in references} == {12}
    assert set("".join(each[3:7] + each[8:] for each in references)) == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert {(each[:3], each[7]) for each in references} == {("HB-", "-")}


@given(st.integers(0, 2**40 - 1), st.integers(0, 2**40 - 1))
def test_no_two_numbers_share_a_reference(one: int, other: int) -> None:
    assert (reference(one) == reference(other)) == (one == other)


def test_a_reference_does_not_count() -> None:
    """Neighbours differ all over, so nobody can name the next request, or tell how many there are."""
    differing = [
        sum(a != b for a, b in zip(reference(number), reference(number + 1), strict=True)) for number in range(2000)
    ]
    assert sum(differing) / len(differing) > 6
    drawn = [reference(number) for number in range(64)]
    assert drawn != sorted(drawn)
    assert drawn != sorted(drawn, reverse=True)
