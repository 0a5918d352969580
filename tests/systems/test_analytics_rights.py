"""Analytics and the further rights: what is asked for binds the team's own code, by account and by cookie alike."""

import datetime as dt
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from habeas.contracts.submission import Correction, Period
from systems import sample
from systems.analytics import recipients, retention
from systems.analytics.app import analytics
from systems.analytics.files import Files
from systems.analytics.limits import PURPOSES, Kind, Limits
from systems.analytics.marketing import Marketing
from systems.analytics.people import Person
from systems.analytics.store import Warehouse
from systems.analytics.use import use
from systems.analytics.visits import NewVisit
from tests.participant.toys import Died
from tests.systems.clerk import Clerk, Reply, occurrences, scope_of

VISITS, MARKETING = "visits", "marketing_preference"
SOMEONE = sample.person(30)
VISITOR = sample.visitor(5)
ACCOUNT = ("account_id", SOMEONE.account_id)
COOKIE = ("visitor_id", VISITOR.visitor_id)
KNOWN_BY = [(ACCOUNT, len(SOMEONE.visits)), (COOKIE, len(VISITOR.visits))]
LATER = dt.date(2030, 1, 1)
"""When everything in the sample is older than analytics keeps it."""
DUE = dt.datetime.combine(LATER, dt.time(12), dt.UTC)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analytics-rights", numbered=True)
    Warehouse(folder / "warehouse").close()
    return folder


@pytest.fixture
def folder(tmp_path: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HABEAS_DATA_DIR", str(tmp_path / "analytics"))
    return Path(shutil.copytree(seeded, tmp_path / "analytics"))


@pytest.fixture
async def clerk(folder: Path) -> AsyncIterator[Clerk]:
    clerk = Clerk(analytics)
    await clerk.start()
    yield clerk
    await clerk.stop()


@contextmanager
def opened(folder: Path) -> Iterator[Warehouse]:
    """As the team's own code opens it, beside the participant."""
    store = Warehouse(folder / "warehouse")
    try:
        yield store
    finally:
        store.close()


def only(category: str, *purposes: str) -> dict[str, Any]:
    return {"scope": scope_of("analytics", category, purposes=purposes or None)}


def correction(value: str | None, **changes: object) -> Correction:
    return Correction.model_validate({"category": MARKETING, "field": "email", "value": value, **changes})


async def correct(clerk: Clerk, *corrections: Correction, **changes: Any) -> Reply:
    return await clerk.ask("rectify", ACCOUNT, corrections=corrections, **changes)


async def held(clerk: Clerk, who: tuple[str, str] = ACCOUNT) -> tuple[int, int]:
    """How many visits and consents access finds."""
    reply = await clerk.ask("access", who)
    return len(reply.data(VISITS)), len(reply.data(MARKETING))


def counted(folder: Path, purpose: str = "trends") -> int:
    with opened(folder) as store:
        return sum(store.visits.report(purpose).values())


def a_visit(who: tuple[str, str]) -> NewVisit:
    at = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    return NewVisit(at, "/pricing", "Firefox 140", "198.51.100.7", **{who[0]: who[1]})


def notices(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "recipients").rglob("*.json"))]


def test_the_sample_has_what_these_tests_rest_on() -> None:
    assert SOMEONE.marketing_since is not None
    assert max(visit.at for visit in SOMEONE.visits).year == 2025


@pytest.mark.parametrize("action", ["access", "export"])
async def test_nothing_outside_the_scope_is_told(clerk: Clerk, action: str) -> None:
    for category in (VISITS, MARKETING):
        reply = await clerk.ask(action, ACCOUNT, **only(category))
        assert {record.category for record in reply.personal.records} == {category}
        assert {told for told, _ in reply.did} == {category}
        assert {record.origin for record in reply.personal.records} <= {"provided", "observed"}
    assert (await clerk.ask(action, ACCOUNT, scope=())).body.outcome == "nothing_held"


async def test_a_period_starts_with_its_start_and_stops_before_its_end(clerk: Clerk) -> None:
    times = sorted(visit.at.replace(second=0, microsecond=0) for visit in SOMEONE.visits)
    first, last = times[0], times[-1]
    for start, end, expected in (
        (first, last, times[:-1]),
        (first + dt.timedelta(seconds=1), None, times[1:]),
        (None, first, []),
    ):
        reply = await clerk.ask("access", ACCOUNT, period=Period(start=start, end=end))
        assert [visit["visited_at"] for visit in reply.data(VISITS)] == [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in expected]
        assert len(reply.data(MARKETING)) == 1


async def test_locate_hands_out_identifiers_alone(clerk: Clerk) -> None:
    reply = await clerk.ask("locate", ACCOUNT, COOKIE, ("visitor_id", "vis_nobody"))
    assert (reply.identities, reply.did, reply.personal.records) == ([ACCOUNT, COOKIE], {}, ())
    assert (await clerk.ask("locate", ("visitor_id", "vis_nobody"))).body.outcome == "nothing_held"


async def test_erasure_of_one_category_leaves_the_other(clerk: Clerk) -> None:
    reply = await clerk.ask("erase", ACCOUNT, **only(VISITS))
    assert reply.did == {(VISITS, "anonymized"): len(SOMEONE.visits), (VISITS, "recipients_notified"): 1}
    assert await held(clerk) == (0, 1)
    assert (await use(SOMEONE.email)).done
    other = sample.person(32)
    await clerk.ask("erase", ("account_id", other.account_id), **only(MARKETING))
    assert await held(clerk, ("account_id", other.account_id)) == (len(other.visits), 1)
    assert (await use(other.email)).why == "suppressed"


@pytest.mark.parametrize(("who", "visits"), KNOWN_BY)
async def test_restricted_visits_rest_until_they_are_unrestricted(
    clerk: Clerk, folder: Path, who: tuple[str, str], visits: int
) -> None:
    everything, request = counted(folder), uuid4()
    assert (await use(who[1])).done
    reply = await clerk.ask("restrict", who, request_id=request, **only(VISITS))
    assert reply.did == {(VISITS, "restricted"): visits, (VISITS, "recipients_notified"): 1}
    for purpose in PURPOSES[VISITS]:
        assert counted(folder, purpose) == everything - visits
        assert (await use(who[1], purpose)).why == "restricted"
    assert (await held(clerk, who))[0] == visits
    lifted = await clerk.ask("unrestrict", who, request_id=request, attempt=2, **only(VISITS))
    assert lifted.did == {(VISITS, "unrestricted"): visits, (VISITS, "recipients_notified"): 1}
    assert counted(folder) == everything
    assert (await use(who[1])).done


@pytest.mark.parametrize(("who", "visits"), KNOWN_BY)
@pytest.mark.parametrize(("right", "why"), [("objection", "objected"), ("consent_withdrawal", "withdrawn")])
async def test_stopped_visits_are_neither_counted_nor_recorded(
    clerk: Clerk, folder: Path, who: tuple[str, str], visits: int, right: str, why: str
) -> None:
    everything = counted(folder)
    with opened(folder) as store:
        assert store.visits.record(a_visit(who)) is None
    assert counted(folder) == everything + 1
    reply = await clerk.ask("object", who, right=right, **only(VISITS))
    assert reply.did == {(VISITS, "stopped"): visits + 1}
    with opened(folder) as store:
        assert store.visits.record(a_visit(who)) == why
        assert store.visits.record(a_visit(("visitor_id", "vis_somebody-else"))) is None
    assert counted(folder) == everything - visits + 1
    assert (await use(who[1])).why == why
    assert (await held(clerk, who))[0] == visits + 1


async def test_visits_of_restricted_people_are_not_recorded(clerk: Clerk, folder: Path) -> None:
    await clerk.ask("restrict", COOKIE)
    with opened(folder) as store:
        assert store.visits.record(a_visit(COOKIE)) == "restricted"


async def test_the_first_visit_of_a_month_is_recorded(folder: Path) -> None:
    with opened(folder) as store:
        assert store.visits.record(a_visit(COOKIE)) is None
        assert len(store.visits.of(Person((), (VISITOR.visitor_id,)))) == len(VISITOR.visits) + 1
    assert (folder / "warehouse" / "visits" / "2026-03.parquet").exists()


@pytest.mark.parametrize("basis", ["consent", "legitimate_interests"])
async def test_an_objection_stops_its_own_purposes_alone_on_either_basis(
    clerk: Clerk, folder: Path, basis: str
) -> None:
    (item,) = scope_of("analytics", VISITS, purposes=["trends"])
    everything = counted(folder)
    await clerk.ask("object", COOKIE, scope=[item.model_copy(update={"basis": basis})])
    assert counted(folder) == everything - len(VISITOR.visits)
    assert counted(folder, "diagnosis") == everything
    assert (await use(VISITOR.visitor_id)).why == "objected"
    assert (await use(VISITOR.visitor_id, "diagnosis")).done
    with opened(folder) as store:
        assert store.visits.record(a_visit(COOKIE)) is None  # for the purposes that are left


async def test_a_purpose_that_analytics_does_not_have_cannot_be_stopped(clerk: Clerk) -> None:
    item = scope_of("analytics", VISITS)[0].model_copy(update={"purposes": ("trends", "billing")})
    reply = await clerk.ask("object", COOKIE, scope=[item])
    assert (reply.body.outcome, reply.code) == ("needs_input", "purpose_unknown")
    assert (await use(VISITOR.visitor_id)).done


async def test_half_a_scope_leaves_the_other_half_in_use(clerk: Clerk) -> None:
    await clerk.ask("restrict", ACCOUNT, **only(MARKETING))
    assert (await use(SOMEONE.account_id)).done
    assert (await use(SOMEONE.account_id, "marketing_messages")).why == "restricted"
    assert (await use(SOMEONE.email)).why == "restricted"


async def test_an_objection_to_marketing_is_heeded_and_may_be_lifted(clerk: Clerk, folder: Path) -> None:
    assert (await use(SOMEONE.email)).done
    request = uuid4()
    reply = await clerk.ask("object", ACCOUNT, request_id=request, right="objection", **only(MARKETING))
    assert reply.did == {(MARKETING, "stopped"): 1, (MARKETING, "suppressed"): 1}
    assert (await use(SOMEONE.email)).why == "objected"
    with opened(folder) as store:
        assert store.marketing.suppressed(store.hash.of(SOMEONE.email))
    lifted = await clerk.ask("unrestrict", ACCOUNT, request_id=request, attempt=2, **only(MARKETING))
    assert lifted.did == {(MARKETING, "unrestricted"): 1}
    assert (await use(SOMEONE.email)).done


async def test_a_withdrawn_consent_ends_with_its_proof_kept_and_is_lifted_by_nobody(clerk: Clerk, folder: Path) -> None:
    request, year = uuid4(), dt.datetime.now(dt.UTC).year
    reply = await clerk.ask("object", ACCOUNT, request_id=request, right="consent_withdrawal", **only(MARKETING))
    assert reply.did == {(MARKETING, did): 1 for did in ("stopped", "suppressed", "retained")}
    (kept,) = (item for item in reply.body.summary if item.did == "retained")
    assert (kept.ground, kept.until) == ("proof_of_consent", dt.date(year + 3, 12, 31))
    assert occurrences(folder, SOMEONE.email) == {}
    await clerk.ask("unrestrict", ACCOUNT, request_id=request, attempt=2)
    assert (await use(SOMEONE.account_id, "marketing_messages")).why == "withdrawn"
    assert (await use(SOMEONE.email)).why == "suppressed"
    (proof,) = (await clerk.ask("access", ACCOUNT)).data(MARKETING)
    assert proof["restricted"]
    assert "email" not in proof


async def test_an_objection_outlives_erasure_and_names_nobody(clerk: Clerk, folder: Path) -> None:
    await clerk.ask("object", COOKIE, **only(VISITS))
    await clerk.ask("erase", COOKIE)
    assert occurrences(folder, VISITOR.visitor_id) == {}
    with opened(folder) as store:
        assert store.visits.record(a_visit(COOKIE)) == "objected"


async def test_a_restriction_ends_with_what_it_was_on(clerk: Clerk, folder: Path) -> None:
    await clerk.ask("restrict", COOKIE)
    await clerk.ask("erase", COOKIE)
    with opened(folder) as store:
        assert store.visits.record(a_visit(COOKIE)) is None


async def test_one_request_does_not_lift_another_s_limits(clerk: Clerk) -> None:
    first, second = uuid4(), uuid4()
    for request in (first, second):
        await clerk.ask("object", ACCOUNT, request_id=request, **only(MARKETING))
        await clerk.ask("restrict", COOKIE, request_id=request)
    for request, why, did in (
        (first, ("objected", "restricted"), set()),
        (second, (None, None), {(VISITS, "unrestricted"), (MARKETING, "unrestricted")}),
    ):
        reply = await clerk.ask("unrestrict", ACCOUNT, COOKIE, request_id=request)
        assert reply.body.outcome == "completed"
        assert {key for key in reply.did if key[1] == "unrestricted"} == did
        assert ((await use(SOMEONE.email)).why, (await use(VISITOR.visitor_id)).why) == why


async def test_half_a_lifted_restriction_is_a_restriction(clerk: Clerk) -> None:
    request = uuid4()
    await clerk.ask("restrict", COOKIE, request_id=request, **only(VISITS))
    reply = await clerk.ask("unrestrict", COOKIE, request_id=request, **only(VISITS, "trends"))
    assert (reply.body.outcome, reply.did) == ("completed", {})
    assert (await use(VISITOR.visitor_id)).why == "restricted"


async def test_nothing_to_lift_is_not_nothing_held(clerk: Clerk) -> None:
    reply = await clerk.ask("unrestrict", ACCOUNT)
    assert (reply.body.outcome, reply.did) == ("completed", {})


async def test_an_address_is_corrected_and_its_suppression_follows(clerk: Clerk, folder: Path) -> None:
    await clerk.ask("object", ACCOUNT, **only(MARKETING))
    reply = await correct(clerk, correction(" new@example.org", old=SOMEONE.email.upper()))
    assert reply.did == {(MARKETING, "rectified"): 1, (MARKETING, "recipients_notified"): 1}
    assert (await clerk.ask("access", ACCOUNT)).data(MARKETING)[0]["email"] == "new@example.org"
    assert occurrences(folder, SOMEONE.email) == {}
    with opened(folder) as store:
        assert store.marketing.suppressed(store.hash.of("new@example.org"))


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (correction("x@example.org", old="nobody@example.org"), "old_value_differs"),
        (correction("x@example.org", op="complete"), "already_filled"),
        (correction(None, op="remove"), "field_unknown"),
        (correction("x@example.org", field="text"), "field_unknown"),
        (correction("/", category=VISITS, field="page"), "field_unknown"),
        (correction(None), "value_missing"),
        (correction("nowhere"), "value_invalid"),
        (correction("x@example.org", record_id="consent-acc-000002"), "record_unknown"),
    ],
)
async def test_a_correction_that_cannot_be_made_makes_none(clerk: Clerk, wrong: Correction, code: str) -> None:
    reply = await correct(clerk, correction("new@example.org"), wrong)
    assert (reply.body.outcome, reply.code, reply.did) == ("needs_input", code, {})
    assert (await clerk.ask("access", ACCOUNT)).data(MARKETING)[0]["email"] == SOMEONE.email


async def test_corrections_need_something_to_correct(clerk: Clerk) -> None:
    assert (await correct(clerk)).code == "corrections_missing"
    assert (await correct(clerk, correction("x@example.org"), **only(VISITS))).code == "corrections_missing"
    nobody = await clerk.ask("rectify", ("account_id", "acc-999999"), corrections=[correction("x@example.org")])
    assert nobody.body.outcome == "nothing_held"
    await clerk.ask("erase", ACCOUNT, **only(MARKETING))
    assert (await correct(clerk, correction("x@example.org"))).code == "field_unknown"


async def test_what_is_right_already_counts_the_same(clerk: Clerk) -> None:
    wanted = correction("new@example.org", old=SOMEONE.email)
    first, second = await correct(clerk, wanted), await correct(clerk, wanted)
    assert first.did[(MARKETING, "rectified")] == 1
    assert first.did == second.did


@pytest.mark.parametrize("action", ["restrict", "unrestrict", "object", "hold"])
async def test_who_is_not_held_is_not_limited(clerk: Clerk, action: str) -> None:
    assert (await clerk.ask(action, ("visitor_id", "vis_nobody"))).body.outcome == "nothing_held"
    assert (await use("vis_nobody")).why == "not_held"


@pytest.mark.parametrize("right", ["objection", "consent_withdrawal"])
@pytest.mark.parametrize("action", ["restrict", "object", "hold"])
async def test_what_is_so_already_counts_the_same(clerk: Clerk, action: str, right: str) -> None:
    first, second = [await clerk.ask(action, ACCOUNT, COOKIE, right=right) for _ in range(2)]
    assert first.did
    assert first.did == second.did


@pytest.mark.parametrize("action", ["rectify", "erase", "restrict", "object", "hold"])
async def test_a_new_attempt_answers_the_same(clerk: Clerk, folder: Path, action: str) -> None:
    request, wanted = uuid4(), [correction("new@example.org")] if action == "rectify" else []
    replies, told = [], []
    for number in (1, 2):
        replies.append(await clerk.ask(action, ACCOUNT, COOKIE, request_id=request, attempt=number, corrections=wanted))
        told.append(notices(folder))
        await clerk.start()
    assert replies[0].did
    assert replies[0].did == replies[1].did
    assert told[0] == told[1]


CRASHES: list[tuple[str, str, tuple[Any, str]]] = [
    ("restrict", "restriction", (Limits, "impose")),
    ("restrict", "restriction", (recipients, "tell")),
    ("object", "objection", (Limits, "impose")),
    ("object", "objection", (Marketing, "suppress")),
    ("object", "consent_withdrawal", (Marketing, "suppress")),
    ("object", "consent_withdrawal", (Marketing, "end")),
    ("hold", "erasure", (Limits, "impose")),
    ("rectify", "rectification", (Marketing, "follow_address")),
    ("rectify", "rectification", (Marketing, "readdress")),
    ("rectify", "rectification", (recipients, "tell")),
    ("unrestrict", "restriction", (Limits, "lift")),
    ("unrestrict", "restriction", (recipients, "tell")),
    ("unrestrict", "objection", (Marketing, "unsuppress")),
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("action", "right", "where"), CRASHES)
async def test_a_crash_between_intent_and_effect_answers_as_if_there_had_been_none(
    clerk: Clerk,
    action: str,
    right: str,
    where: tuple[Any, str],
    after: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask(request: Any) -> Reply:
        wanted = [correction("new@example.org", old=SOMEONE.email)] if action == "rectify" else []
        return await clerk.ask(action, ACCOUNT, request_id=request, right=right, due_at=DUE, corrections=wanted)

    async def prepared() -> Any:
        request = uuid4()
        if action == "unrestrict":
            before = "restrict" if right == "restriction" else "object"
            await clerk.ask(before, ACCOUNT, request_id=request, right=right)
        return request

    expected = {
        "restrict": {(VISITS, "restricted"): len(SOMEONE.visits), (MARKETING, "restricted"): 1},
        "unrestrict": {(VISITS, "unrestricted"): len(SOMEONE.visits), (MARKETING, "unrestricted"): 1},
        "object": {(VISITS, "stopped"): len(SOMEONE.visits), (MARKETING, "stopped"): 1, (MARKETING, "suppressed"): 1},
        "hold": {(VISITS, "retained"): len(SOMEONE.visits), (MARKETING, "retained"): 1},
        "rectify": {(MARKETING, "rectified"): 1},
    }[action]
    request = await prepared()
    real: Callable[..., Any] = getattr(where[0], where[1])

    def die(*arguments: Any) -> None:
        if after:
            real(*arguments)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(*where, die)
        with pytest.raises(Died):
            await ask(request)
    await clerk.start()
    reply = await ask(request)
    assert expected.items() <= reply.did.items()
    stands = {"restrict": "restricted", "object": "withdrawn" if right == "consent_withdrawal" else "objected"}
    assert (await use(SOMEONE.account_id)).why == stands.get(action)


async def test_recipients_are_told_whom_by_the_hash_they_know(clerk: Clerk, folder: Path) -> None:
    await clerk.ask("erase", COOKIE)
    (notice,) = notices(folder)
    with opened(folder) as store:
        assert notice["subjects"] == [store.hash.of(VISITOR.visitor_id)]
    assert (notice["action"], notice["category"]) == ("erase", VISITS)
    assert [path.parent.name for path in (folder / "recipients").rglob("*.json")] == ["analytics_provider"]


async def test_old_visits_lose_their_people(clerk: Clerk, folder: Path) -> None:
    assert await retention.run(dt.date(2026, 6, 1)) == {}
    total = counted(folder)
    assert await retention.run(LATER) == {VISITS: total}
    assert await held(clerk, COOKIE) == (0, 0)
    assert counted(folder) == total
    assert occurrences(folder, VISITOR.visits[0].ip) == {}
    assert await retention.run(LATER) == {}


async def test_visits_of_the_last_months_stay(clerk: Clerk) -> None:
    last = max(visit.at for visit in VISITOR.visits).date()
    month = last.month + retention.MONTHS % 12
    day = dt.date(last.year + retention.MONTHS // 12 + (month - 1) // 12, (month - 1) % 12 + 1, min(last.day, 28))
    await retention.run(day)
    assert (await held(clerk, COOKIE))[0] >= 1
    await retention.run(day + dt.timedelta(days=4))
    assert (await held(clerk, COOKIE))[0] == 0


async def test_a_hold_keeps_until_it_is_due(clerk: Clerk) -> None:
    reply = await clerk.ask("hold", ACCOUNT, due_at=DUE)
    kept = {item.category: (item.did, item.count, item.ground, item.until) for item in reply.body.summary}
    assert kept == {
        VISITS: ("retained", len(SOMEONE.visits), "held_for_request", LATER),
        MARKETING: ("retained", 1, "held_for_request", LATER),
    }
    await retention.run(LATER)
    assert await held(clerk) == (len(SOMEONE.visits), 1)
    assert await held(clerk, COOKIE) == (0, 0)
    assert (await use(SOMEONE.account_id)).done
    await retention.run(LATER + dt.timedelta(days=1))
    assert await held(clerk) == (0, 1)


async def test_the_hold_s_own_request_ends_it_and_another_s_does_not(clerk: Clerk) -> None:
    request = uuid4()
    await clerk.ask("hold", ACCOUNT, request_id=request, due_at=DUE)
    await clerk.ask("restrict", ACCOUNT, **only(MARKETING))
    await retention.run(LATER)
    assert await held(clerk) == (len(SOMEONE.visits), 1)
    erased = await clerk.ask("erase", ACCOUNT, request_id=request, attempt=2, **only(MARKETING))
    assert (MARKETING, "retained") in erased.did
    await retention.run(LATER)
    assert await held(clerk) == (0, 1)


async def test_a_hold_that_is_cancelled_is_over(clerk: Clerk) -> None:
    reply = await clerk.ask("hold", ACCOUNT, due_at=DUE)
    await clerk.ask("hold", COOKIE, due_at=DUE)
    kept = (await held(clerk, COOKIE))[0]
    for _ in range(2):
        await clerk.cancel(reply)
    await retention.run(LATER)
    assert (await held(clerk))[0] == 0
    assert (await held(clerk, COOKIE))[0] == kept > 0


async def test_restricted_records_are_stored_and_not_deleted(clerk: Clerk) -> None:
    request = uuid4()
    await clerk.ask("restrict", ACCOUNT, request_id=request)
    await retention.run(LATER)
    assert (await held(clerk))[0] == len(SOMEONE.visits)
    await clerk.ask("unrestrict", ACCOUNT, request_id=request)
    await retention.run(LATER)
    assert (await held(clerk))[0] == 0


async def test_a_proof_goes_the_day_after_it_was_said_to(clerk: Clerk) -> None:
    reply = await clerk.ask("erase", ACCOUNT, **only(MARKETING))
    (until,) = (item.until for item in reply.body.summary if item.did == "retained")
    assert until is not None
    await retention.run(until)
    assert (await held(clerk))[1] == 1
    await clerk.ask("restrict", ACCOUNT, request_id=(request := uuid4()), **only(MARKETING))
    await retention.run(until + dt.timedelta(days=1))
    assert (await held(clerk))[1] == 1
    await clerk.ask("unrestrict", ACCOUNT, request_id=request, **only(MARKETING))
    assert (await retention.run(until + dt.timedelta(days=1)))[MARKETING] == 1
    assert (await held(clerk))[1] == 0
    assert (await use(SOMEONE.email)).why == "suppressed"


@pytest.mark.usefixtures("folder")
async def test_a_use_names_a_purpose_of_the_team() -> None:
    with pytest.raises(ValueError, match="name one of these"):
        await use(SOMEONE.account_id, "answering")


def test_one_changes_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process neither changes a file under the first nor clears away what it is writing."""
    monkeypatch.setattr("systems.analytics.files._PATIENCE", 0.01)
    with opened(folder) as store, opened(folder) as other:
        half = folder / "warehouse" / "limits.new"
        with Files(folder / "warehouse").changing():
            half.write_text("half of it")
            with pytest.raises(Exception, match="locked"):
                store.visits.record(a_visit(COOKIE))
            with pytest.raises(Exception, match="locked"):
                Warehouse(folder / "warehouse")
            assert half.exists()
        assert other.visits.record(a_visit(COOKIE)) is None


def test_limits_are_kept_apart_by_kind(folder: Path) -> None:
    with opened(folder) as store:
        now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
        for kind in (Kind.WITHDRAWN, Kind.OBJECTED, Kind.RESTRICTED):
            store.limits.impose(["hash"], VISITS, ["trends"], kind, uuid4(), now)
            assert store.limits.why_not(["hash"], VISITS, "trends") is kind
        assert store.limits.why_not(["other"], VISITS, "trends") is None
