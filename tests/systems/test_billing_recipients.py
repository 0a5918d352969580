"""Who holds a copy of billing's data is told of what was done with it, also where that takes a while (GDPR Art. 19)."""

import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from habeas.contracts.submission import Correction
from systems import sample
from systems.billing import recipients, retention
from systems.billing.app import billing
from systems.billing.recipients import HOSTING, PROCESSOR
from systems.payments.app import payments
from tests.systems.clerk import Clerk, scope_of
from tests.systems.company import Company

Db = asyncpg.Connection  # type: ignore[type-arg]
_ENDED = (
    sample.person(number) for number in range(20, sample.PEOPLE) if sample.person(number).contract_until and number % 4
)


def email(someone: sample.Person) -> tuple[str, str]:
    return ("email", someone.email)


def named(value: str) -> Correction:
    return Correction(category="account", field="name", value=value)


@pytest.fixture
def someone() -> sample.Person:
    """Somebody new for each test, whose contract has ended."""
    return next(_ENDED)


@pytest.fixture(scope="module")
async def clerk(billing_url: str) -> AsyncIterator[Clerk]:
    clerk = Clerk(billing)
    await clerk.start()
    yield clerk
    await clerk.stop()


@pytest.fixture
async def db(clerk: Clerk, billing_url: str) -> AsyncIterator[Db]:
    connection = await asyncpg.connect(billing_url)
    await connection.execute("delete from notices")
    yield connection
    await connection.close()


async def name_at(company: Company, someone: sample.Person) -> str:
    return str((await company.http.get(f"/customers/{someone.payment_customer_id}")).json()["name"])


async def outstanding(db: Db) -> list[tuple[str, str]]:
    rows = await db.fetch("select what, recipient from notices where told_at is null order by id")
    return [(row["what"], row["recipient"]) for row in rows]


def dropped() -> list[dict[str, Any]]:
    """What lies ready for the hosting provider."""
    path = Path(os.environ["HABEAS_DATA_DIR"]) / "notices-to-hosting.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_a_corrected_name_arrives_at_the_processor(
    clerk: Clerk, company: Company, someone: sample.Person, db: Db
) -> None:
    before = len(dropped())
    reply = await clerk.ask("rectify", email(someone), corrections=[named("Ada Adler")])
    assert reply.did == {("account", "rectified"): 1, ("account", "recipients_notified"): 2}
    assert await name_at(company, someone) == "Ada Adler"
    assert await outstanding(db) == []
    (line,) = dropped()[before:]
    assert (line["what"], line["category"]) == ("rectified", "account")
    assert "Ada" not in str(line)
    told = await db.fetch("select recipient, told_at, payment_customer_id from notices order by recipient")
    assert [row["recipient"] for row in told] == [HOSTING, PROCESSOR]
    assert all(row["told_at"] is not None and row["payment_customer_id"] is None for row in told)


async def test_who_holds_no_copy_of_a_field_is_not_told(
    clerk: Clerk, company: Company, someone: sample.Person, db: Db
) -> None:
    correction = Correction(category="account", field="street", value="Lindenweg 1")
    reply = await clerk.ask("rectify", email(someone), corrections=[correction])
    assert reply.did[("account", "recipients_notified")] == 1
    assert await db.fetchval("select array_agg(recipient) from notices") == [HOSTING]


@pytest.mark.parametrize(
    "trouble",
    [{"error_rate": 1}, {"rate_limit_per_s": 0.0001}, None],
    ids=["errors", "rate limit", "not configured"],
)
async def test_a_recipient_that_is_away_is_told_later(
    clerk: Clerk,
    company: Company,
    someone: sample.Person,
    db: Db,
    trouble: dict[str, float] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trouble is None:
        monkeypatch.delenv("HABEAS_PROCESSOR_URL")
    else:
        await company.behave(**trouble)
        if "rate_limit_per_s" in trouble:
            await company.http.get("/customers/cus_0")  # uses up what the bucket holds
    reply = await clerk.ask("rectify", email(someone), corrections=[named("Ada Adler")])
    assert reply.did[("account", "recipients_notified")] == 2
    assert await outstanding(db) == [("rectified", PROCESSOR)]
    monkeypatch.setenv("HABEAS_PROCESSOR_URL", company.url)
    await company.behave()
    await clerk.start()  # a restart is enough
    assert await name_at(company, someone) == "Ada Adler"
    assert await outstanding(db) == []


async def test_a_late_notice_undoes_no_later_correction(
    clerk: Clerk, company: Company, someone: sample.Person, db: Db
) -> None:
    await company.behave(error_rate=1)
    await clerk.ask("rectify", email(someone), corrections=[named("First Name")])
    await clerk.ask("rectify", email(someone), corrections=[named("Second Name")])
    assert await outstanding(db) == [("rectified", PROCESSOR)] * 2
    await company.behave(error_rate=0.5)
    for _ in range(40):
        await recipients.tell(db)
    assert await outstanding(db) == []
    await company.behave()
    assert await name_at(company, someone) == "Second Name"


async def test_an_effect_that_is_undone_leaves_nobody_to_tell(clerk: Clerk, someone: sample.Person, db: Db) -> None:
    wrong = Correction(category="account", field="plan", value="business")
    reply = await clerk.ask("rectify", email(someone), corrections=[named("Ada Adler"), wrong])
    assert reply.body.outcome == "needs_input"
    assert await db.fetchval("select count(*) from notices") == 0


async def test_restriction_its_end_and_erasure_are_told_once_each(
    clerk: Clerk, company: Company, someone: sample.Person, db: Db
) -> None:
    request = uuid4()
    account = scope_of("billing", "account")
    for attempt, action in enumerate(("restrict", "restrict", "unrestrict", "erase"), 1):
        reply = await clerk.ask(action, email(someone), request_id=request, attempt=attempt, scope=account)
        assert reply.did[("account", "recipients_notified")] == 2, action
    await clerk.start()
    ledger = _ledger(company)
    assert [(row["what"], row["category"]) for row in ledger] == [
        ("restricted", "account"),
        ("unrestricted", "account"),
        ("erased", "account"),
    ]
    assert {row["customer"] for row in ledger} == {someone.payment_customer_id}


async def test_the_processor_keeps_its_customer_until_payments_has_it_detached(
    clerk: Clerk, company: Company, someone: sample.Person, db: Db, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clerk.ask("erase", email(someone))
    with monkeypatch.context() as patch:
        patch.setenv("HABEAS_DATA_DIR", str(tmp_path / "payments"))
        other = Clerk(payments)
        await other.start()
    reply = await other.ask("erase", ("payment_customer_id", someone.payment_customer_id))
    await other.stop()
    assert reply.did[("payment_customer", "detached")] == 1


async def test_a_customer_the_processor_does_not_know_needs_no_correction_there(
    clerk: Clerk, company: Company, someone: sample.Person, db: Db
) -> None:
    path = f"/customers/{someone.payment_customer_id}"
    assert (await company.http.delete(path, headers={"Idempotency-Key": "gone"})).status_code == 200
    await clerk.ask("rectify", email(someone), corrections=[named("Ada Adler")])
    assert await outstanding(db) == []


async def test_the_daily_run_tells_what_is_outstanding_and_cuts_the_log(
    clerk: Clerk, company: Company, someone: sample.Person, db: Db
) -> None:
    await company.behave(error_rate=1)
    await clerk.ask("restrict", email(someone))
    assert len(await outstanding(db)) == 2  # the account's and the invoices'
    await company.behave()
    today = await db.fetchval("select (now() at time zone 'utc')::date")
    await retention.run(today)
    assert await outstanding(db) == []
    assert await db.fetchval("select count(*) from notices") == 3
    await db.execute("update notices set made_at = made_at - interval '5 years'")
    await retention.run(today)
    assert await db.fetchval("select count(*) from notices") == 0


def _ledger(company: Company) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(company.folder / "processor.db")) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("select * from notices order by at")]
