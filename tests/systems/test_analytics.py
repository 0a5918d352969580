"""Analytics' Parquet files: visits lose their person, proof and suppression stay, other people's rows are untouched."""

import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from systems import sample
from systems.analytics import recipients
from systems.analytics.app import analytics
from systems.analytics.limits import Limits
from systems.analytics.marketing import Marketing
from systems.analytics.people import Person
from systems.analytics.store import Warehouse
from systems.analytics.visits import Visits
from systems.keyed_hash import KeyedHash
from tests.participant.toys import Died
from tests.systems.clerk import Clerk, occurrences

SOMEONE = sample.person(30)
VISITOR = sample.visitor(5)
ACCOUNT = ("account_id", SOMEONE.account_id)
COOKIE = ("visitor_id", VISITOR.visitor_id)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analytics", numbered=True)
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


def rows(folder: Path) -> int:
    warehouse = Warehouse(folder / "warehouse")
    try:
        return len(warehouse.visits.everybody_s())
    finally:
        warehouse.close()


async def test_access_by_account_tells_visits_and_consent(clerk: Clerk) -> None:
    reply = await clerk.ask("access", ACCOUNT)
    assert len(reply.data("visits")) == len(SOMEONE.visits)
    (consent,) = reply.data("marketing_preference")
    assert consent["email"] == SOMEONE.email


async def test_access_by_cookie_finds_a_visitor_without_an_account(clerk: Clerk) -> None:
    reply = await clerk.ask("access", COOKIE)
    assert len(reply.data("visits")) == len(VISITOR.visits)
    assert {visit["visitor_id"] for visit in reply.data("visits")} == {VISITOR.visitor_id}


async def test_erasure_anonymizes_visits_and_keeps_mere_proof(clerk: Clerk, folder: Path) -> None:
    everyone = rows(folder)
    gone = (SOMEONE.email, SOMEONE.visits[0].ip)
    assert all(occurrences(folder, value) for value in gone)
    reply = await clerk.ask("erase", ACCOUNT)
    assert reply.did == {
        ("visits", "anonymized"): len(SOMEONE.visits),
        ("marketing_preference", "retained"): 1,
        ("marketing_preference", "suppressed"): 1,
        ("visits", "recipients_notified"): 1,
        ("marketing_preference", "recipients_notified"): 1,
    }
    (kept,) = (item for item in reply.body.summary if item.did == "retained")
    assert kept.ground == "proof_of_consent"
    assert kept.until is not None
    assert (kept.until.month, kept.until.day) == (12, 31)
    assert {value: occurrences(folder, value) for value in gone} == {value: {} for value in gone}
    assert occurrences(folder, SOMEONE.account_id) == {"consents.parquet": 1}
    assert rows(folder) == everyone


async def test_what_is_left_of_a_visit_is_day_browser_and_page(clerk: Clerk, folder: Path) -> None:
    await clerk.ask("erase", COOKIE)
    assert occurrences(folder, VISITOR.visitor_id) == {}
    warehouse = Warehouse(folder / "warehouse")
    left = [row for row in warehouse.visits.everybody_s() if row["account_id"] is None and row["visitor_id"] is None]
    warehouse.close()
    assert len(left) == len(VISITOR.visits)
    for row in left:
        assert row["visited_at"].endswith("T00:00:00Z")
        assert row["ip"] is None
        assert row["browser"] in {"Firefox", "Chrome", "Safari", "Edge"}
        assert row["page"]


async def test_the_address_is_suppressed_by_its_keyed_hash(clerk: Clerk, folder: Path) -> None:
    await clerk.ask("erase", ACCOUNT)
    warehouse = Warehouse(folder / "warehouse")
    hashed = KeyedHash(folder)
    assert warehouse.marketing.suppressed(hashed.of(SOMEONE.email.upper()))
    assert not warehouse.marketing.suppressed(hashed.of(sample.person(32).email))
    warehouse.close()


async def test_access_afterwards_finds_the_proof_of_consent_alone(clerk: Clerk) -> None:
    await clerk.ask("erase", ACCOUNT)
    reply = await clerk.ask("access", ACCOUNT)
    assert reply.data("visits") == []
    (proof,) = reply.data("marketing_preference")
    assert proof["restricted"]
    assert "ended_at" in proof
    assert "email" not in proof


async def test_others_keep_theirs(clerk: Clerk) -> None:
    neighbour = sample.person(32)
    await clerk.ask("erase", ACCOUNT)
    reply = await clerk.ask("access", ("account_id", neighbour.account_id))
    assert len(reply.data("visits")) == len(neighbour.visits)
    assert reply.data("marketing_preference")[0]["email"] == neighbour.email


@pytest.mark.parametrize(
    ("part", "step"),
    [
        (Visits, "anonymize"),
        (Limits, "forget"),
        (Marketing, "suppress"),
        (Marketing, "end"),
        (recipients, "tell"),
    ],
)
async def test_a_crash_after_any_step_answers_as_if_none_had_happened(
    clerk: Clerk, folder: Path, part: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(part, step)

    def die(*arguments: Any) -> None:
        real(*arguments)
        raise Died

    request = uuid4()
    with monkeypatch.context() as patch:
        patch.setattr(part, step, die)
        with pytest.raises(Died):
            await clerk.ask("erase", ACCOUNT, request_id=request)
    await clerk.start()
    reply = await clerk.ask("erase", ACCOUNT, request_id=request)
    assert reply.did == {
        ("visits", "anonymized"): len(SOMEONE.visits),
        ("marketing_preference", "retained"): 1,
        ("marketing_preference", "suppressed"): 1,
        ("visits", "recipients_notified"): 1,
        ("marketing_preference", "recipients_notified"): 1,
    }
    assert occurrences(folder, SOMEONE.email) == {}


async def test_leftovers_of_a_crash_while_writing_are_removed(clerk: Clerk, folder: Path) -> None:
    leftover = folder / "warehouse" / "visits" / "2025-01.new"
    leftover.write_text(SOMEONE.email)
    await clerk.start()
    assert not leftover.exists()


async def test_unknown_people_are_not_held(clerk: Clerk) -> None:
    for action in ("access", "erase"):
        assert (await clerk.ask(action, ("account_id", "acc-999999"))).body.outcome == "nothing_held"


def test_nobody_else_may_read_the_files(clerk: Clerk, folder: Path) -> None:
    paths = list(folder.rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}


def test_no_identity_is_no_criterion(folder: Path) -> None:
    """A person without a cookie is not everybody without one."""
    warehouse = Warehouse(folder / "warehouse")
    assert warehouse.visits.of(Person((), ())) == []
    warehouse.close()
