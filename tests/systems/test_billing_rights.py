"""What people may have billing do and not do, seen at what it does: an invoice run, and the scheduled deletion."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from stand import eventually

from habeas.contracts.submission import Correction, Period
from habeas.contracts.task import ScopeItem
from systems import sample
from systems.billing import limits, retention
from systems.billing.app import billing
from systems.billing.store import accounts_due, invoices_due, keep_until
from systems.billing.use import invoice_run, use
from systems.use import Use
from tests.systems.clerk import Clerk, scope_of

Db = asyncpg.Connection  # type: ignore[type-arg]
TODAY = dt.datetime.now(dt.UTC).date()
DONE = Use("invoice", True, "billing")
LONG_AGO = dt.date(2009, 5, 1)
_RUNNING = (sample.person(number) for number in range(107, sample.PEOPLE, 50))
_ENDED = (
    sample.person(number) for number in range(20, sample.PEOPLE) if sample.person(number).contract_until and number % 4
)


def email(someone: sample.Person) -> tuple[str, str]:
    return ("email", someone.email)


def refused(why: str) -> Use:
    return Use("invoice", False, "billing", why)


def set_to(field: str, value: str | None, **members: Any) -> Correction:
    return Correction(**{"category": "account", "field": field, "value": value, **members})


def scope(*categories: str, purposes: tuple[str, ...] | None = None) -> tuple[ScopeItem, ...]:
    return scope_of("billing", *categories, purposes=purposes)


@pytest.fixture
def someone() -> sample.Person:
    """Somebody new for each test, whose contract runs."""
    return next(_RUNNING)


@pytest.fixture
def ended() -> sample.Person:
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
    yield connection
    await connection.close()


async def tried(db: Db) -> dict[str, Use]:
    """The whole invoice run, undone: other tests count invoices."""
    attempt = db.transaction()
    await attempt.start()
    try:
        return await invoice_run(db, TODAY)
    finally:
        await attempt.rollback()


async def test_the_invoice_run_bills_running_contracts_once_a_year(
    clerk: Clerk, someone: sample.Person, ended: sample.Person, db: Db
) -> None:
    for _ in range(2):
        assert await use(someone.account_id) == DONE
    told = await clerk.ask("access", email(someone))
    assert len(told.data("invoices")) == len(someone.invoices) + 1
    assert await use(ended.account_id) == refused("contract_ended")
    assert await use("acc-999999") == refused("not_held")
    everybody = await tried(db)
    assert len(everybody) == await db.fetchval("select count(*) from accounts")
    assert everybody[someone.account_id] == DONE


@pytest.mark.parametrize("category", ["account", "invoices"])
async def test_restricted_data_is_not_used_until_the_restriction_is_lifted(
    clerk: Clerk, someone: sample.Person, category: str, db: Db
) -> None:
    request = uuid4()
    held = {"account": 1, "invoices": len(someone.invoices)}[category]
    told = {"account": 2, "invoices": 1}[category]
    reply = await clerk.ask("restrict", email(someone), request_id=request, scope=scope(category))
    assert reply.body.outcome == "completed"
    assert reply.did == {(category, "restricted"): held, (category, "recipients_notified"): told}
    assert await use(someone.account_id) == refused("restricted")
    assert (await tried(db))[someone.account_id] == refused("restricted")
    reply = await clerk.ask("unrestrict", email(someone), request_id=request, attempt=2, scope=scope(category))
    assert reply.did == {(category, "unrestricted"): held, (category, "recipients_notified"): told}
    assert await use(someone.account_id) == DONE


async def test_a_restriction_twice_counts_the_same_and_ends_with_each_request_s_own_end(
    clerk: Clerk, someone: sample.Person
) -> None:
    requests = [uuid4(), uuid4()]
    replies = [await clerk.ask("restrict", email(someone), request_id=request) for request in requests]
    assert replies[0].did == replies[1].did
    reply = await clerk.ask("unrestrict", email(someone), request_id=requests[0])
    assert (reply.body.outcome, reply.did) == ("nothing_held", {})  # it is as restricted as before
    assert (await use(someone.account_id)).why == "restricted"
    reply = await clerk.ask("unrestrict", email(someone), request_id=requests[1])
    assert reply.did[("account", "unrestricted")] == 1
    assert await use(someone.account_id) == DONE


async def test_half_a_lift_leaves_the_other_half(clerk: Clerk, someone: sample.Person) -> None:
    request = uuid4()
    await clerk.ask("restrict", email(someone), request_id=request)
    await clerk.ask("unrestrict", email(someone), request_id=request, scope=scope("account"))
    assert await use(someone.account_id) == refused("restricted")
    await clerk.ask("unrestrict", email(someone), request_id=request, attempt=2, scope=scope("invoices"))


@pytest.mark.parametrize(("right", "why"), [("objection", "objected"), ("consent_withdrawal", "withdrawn")])
async def test_a_stopped_purpose_is_refused_and_no_other(
    clerk: Clerk, someone: sample.Person, right: str, why: str
) -> None:
    request = uuid4()
    other = scope("account", purposes=("account_messages",))
    reply = await clerk.ask("object", email(someone), right=right, scope=other)
    assert reply.did == {("account", "stopped"): 1}
    assert await use(someone.account_id) == DONE
    asked = scope("account", purposes=("billing",))
    reply = await clerk.ask("object", email(someone), request_id=request, right=right, scope=asked)
    assert reply.did == {("account", "stopped"): 1}
    assert await use(someone.account_id) == refused(why)
    again = await clerk.ask("object", email(someone), right=right, request_id=request, attempt=2, scope=asked)
    assert again.did == reply.did
    await clerk.ask("unrestrict", email(someone), request_id=request, attempt=3, scope=other)
    assert await use(someone.account_id) == refused(why)
    reply = await clerk.ask("unrestrict", email(someone), request_id=request, attempt=4, scope=asked)
    # An objection may be outweighed; a consent that was withdrawn is the person's alone to give again.
    assert await use(someone.account_id) == (DONE if right == "objection" else refused(why))


async def test_a_purpose_that_billing_does_not_have_is_asked_about(clerk: Clerk, someone: sample.Person) -> None:
    wrong = ScopeItem(category="account", purposes=("billing", "marketing_messages"), basis="contract")
    reply = await clerk.ask("object", email(someone), scope=[wrong])
    assert reply.body.error is not None
    assert (reply.body.outcome, reply.body.error.code) == ("needs_input", "purpose_unknown")
    assert await use(someone.account_id) == DONE


async def test_a_lift_reaches_who_has_a_new_address_since(clerk: Clerk, someone: sample.Person) -> None:
    request = uuid4()
    await clerk.ask("restrict", email(someone), request_id=request)
    corrections = [set_to("email", f"new.{someone.email}")]
    assert (await clerk.ask("rectify", email(someone), corrections=corrections)).body.outcome == "completed"
    reply = await clerk.ask("unrestrict", email(someone), request_id=request, attempt=2)
    assert reply.did[("account", "unrestricted")] == 1
    assert await use(someone.account_id) == DONE


@pytest.mark.parametrize("chosen", ["account", "invoices"])
async def test_every_action_keeps_to_its_scope(clerk: Clerk, ended: sample.Person, chosen: str) -> None:
    for action in ("access", "hold", "restrict", "object", "erase"):
        reply = await clerk.ask(action, email(ended), scope=scope(chosen))
        assert {category for category, _ in reply.did} == {chosen}, action
        assert {record.category for record in reply.personal.records} <= {chosen}
    told = await clerk.ask("access", ("account_id", ended.account_id))
    assert len(told.data("account")) == (0 if chosen == "account" else 1)
    assert {found["restricted"] for found in told.data("invoices")} == {chosen == "invoices"}


async def test_a_foreign_category_is_not_held(clerk: Clerk, ended: sample.Person) -> None:
    foreign = ScopeItem(category="visits", purposes=("trends",), basis="consent")
    for action in ("access", "export", "erase", "restrict", "object", "unrestrict", "hold"):
        reply = await clerk.ask(action, email(ended), scope=[foreign])
        assert (reply.body.outcome, reply.did) == ("nothing_held", {}), action
    assert len((await clerk.ask("access", email(ended))).data("account")) == 1


async def test_strangers_are_not_held(clerk: Clerk) -> None:
    for action in ("locate", "access", "export", "restrict", "unrestrict", "object", "hold", "rectify"):
        corrections = [set_to("name", "Nobody")] if action == "rectify" else []
        reply = await clerk.ask(action, ("email", "nobody@example.org"), corrections=corrections)
        assert (reply.body.outcome, reply.did) == ("nothing_held", {}), action


async def test_a_period_limits_what_has_a_date(clerk: Clerk, someone: sample.Person) -> None:
    first, *_, last = sorted(invoice.issued_on for invoice in someone.invoices)
    start, end = (dt.datetime.combine(day, dt.time(), dt.UTC) for day in (first, last))
    within = [invoice.number for invoice in someone.invoices if invoice.issued_on < last]
    reply = await clerk.ask("access", email(someone), period=Period(start=start, end=end))
    assert sorted(found["number"] for found in reply.data("invoices")) == sorted(within)
    assert len(reply.data("account")) == 1
    later = await clerk.ask("access", email(someone), period=Period(start=end))
    assert [found["issued_on"] for found in later.data("invoices")] == [last.isoformat()]


async def test_what_is_portable_is_what_the_person_provided(clerk: Clerk, someone: sample.Person) -> None:
    reply = await clerk.ask("export", email(someone))
    assert reply.did == {("account", "exported"): 1}
    assert (await clerk.ask("export", email(someone), scope=scope("invoices"))).body.outcome == "nothing_held"


async def test_locate_hands_out_identifiers_alone(clerk: Clerk, someone: sample.Person) -> None:
    reply = await clerk.ask("locate", email(someone))
    assert (reply.body.outcome, reply.did, reply.personal.records) == ("completed", {}, ())
    assert reply.identities == [
        ("account_id", someone.account_id),
        ("payment_customer_id", someone.payment_customer_id),
    ]


async def test_corrections_are_made_and_repeated_ones_change_nothing(clerk: Clerk, someone: sample.Person) -> None:
    corrections = [
        set_to("email", f"new.{someone.email}", old=f" {someone.email.upper()}"),
        set_to("street", "Lindenweg 1", old=someone.address.street),
        set_to("organisation", None, op="remove"),
        set_to("organisation", "Neu GmbH", op="complete"),
    ]
    reply = await clerk.ask("rectify", email(someone), corrections=corrections)
    assert reply.body.outcome == "completed"
    assert reply.did == {("account", "rectified"): 3, ("account", "recipients_notified"): 2}
    (found,) = (await clerk.ask("access", ("account_id", someone.account_id))).data("account")
    expected = (f"new.{someone.email}", "Lindenweg 1", "Neu GmbH", someone.name)
    assert (found["email"], found["street"], found["organisation"], found["name"]) == expected
    again = [set_to("street", "Lindenweg 1", old=someone.address.street)]
    reply = await clerk.ask("rectify", ("account_id", someone.account_id), corrections=again)
    assert reply.did == {("account", "rectified"): 1, ("account", "recipients_notified"): 1}


@pytest.mark.parametrize(
    ("correction", "code"),
    [
        (set_to("plan", "business"), "field_unknown"),
        (set_to("account_id", "acc-000001"), "field_unknown"),
        (set_to("name", "Ada", old="Somebody else"), "old_value_differs"),
        (set_to("city", "Bremen", op="complete"), "already_filled"),
        (set_to("email", None, op="remove"), "field_unknown"),
        (set_to("name", None), "value_missing"),
        (set_to("country", "Germany"), "value_invalid"),
        (set_to("email", sample.person(1).email.title()), "value_taken"),
        (set_to("name", "Ada", record_id="acc-999999"), "record_unknown"),
        (set_to("name", "Ada", category="visits"), "corrections_missing"),
    ],
)
async def test_a_correction_that_cannot_be_made_is_asked_about_and_the_others_wait(
    clerk: Clerk, correction: Correction, code: str
) -> None:
    other = sample.person(2)
    others = [] if code == "corrections_missing" else [set_to("street", "Lindenweg 1")]
    reply = await clerk.ask("rectify", email(other), corrections=[*others, correction])
    assert reply.body.error is not None
    assert (reply.body.outcome, reply.body.error.code) == ("needs_input", code)
    (found,) = (await clerk.ask("access", email(other))).data("account")
    assert (found["street"], found["name"]) == (other.address.street, other.name)


async def test_two_accounts_want_to_be_told_apart(clerk: Clerk, someone: sample.Person) -> None:
    other = sample.person(3)
    both = (email(someone), ("account_id", other.account_id))
    reply = await clerk.ask("rectify", *both, corrections=[set_to("street", "Lindenweg 1")])
    assert reply.body.error is not None
    assert reply.body.error.code == "record_id_missing"
    corrections = [set_to("street", "Lindenweg 1", record_id=other.account_id)]
    assert (await clerk.ask("rectify", *both, corrections=corrections)).did[("account", "rectified")] == 1
    streets = {found["account_id"]: found["street"] for found in (await clerk.ask("access", *both)).data("account")}
    assert streets == {someone.account_id: someone.address.street, other.account_id: "Lindenweg 1"}


async def test_an_invoice_stands_as_it_was_issued(clerk: Clerk, someone: sample.Person) -> None:
    wish = set_to("street", "Lindenweg 1", category="invoices")
    reply = await clerk.ask("rectify", email(someone), corrections=[wish])
    assert (reply.body.outcome, reply.did) == ("refused", {("invoices", "withheld"): len(someone.invoices)})
    assert [item.ground for item in reply.body.summary] == ["accounting_records"]
    one = wish.model_copy(update={"record_id": someone.invoices[0].number})
    reply = await clerk.ask("rectify", email(someone), corrections=[one, set_to("street", "Lindenweg 1")])
    assert reply.body.outcome == "partial"
    assert reply.did == {
        ("account", "rectified"): 1,
        ("account", "recipients_notified"): 1,
        ("invoices", "withheld"): 1,
    }
    told = await clerk.ask("access", email(someone))
    assert {found["street"] for found in told.data("invoices")} == {someone.address.street}


async def overdue(db: Db, ended: sample.Person) -> None:
    """As if the contract, and everything billed under it, were long over."""
    await db.execute("update accounts set contract_until = $2 where account_id = $1", ended.account_id, LONG_AGO)
    await db.execute("update invoices set issued_on = $2 where account_id = $1", ended.account_id, LONG_AGO)


async def left(clerk: Clerk, ended: sample.Person) -> tuple[int, int]:
    told = await clerk.ask("access", email(ended), ("account_id", ended.account_id))
    return len(told.data("account")), len(told.data("invoices"))


async def test_scheduled_deletion_takes_what_nobody_needs_any_more(clerk: Clerk, ended: sample.Person, db: Db) -> None:
    await overdue(db, ended)
    assert await retention.run(TODAY) == Counter({"account": 1, "invoices": len(ended.invoices)})
    assert await left(clerk, ended) == (0, 0)
    assert await retention.run(TODAY) == Counter()


def test_scheduled_deletion_begins_where_the_law_s_period_ends() -> None:
    issued = dt.date(2018, 12, 31)
    assert issued > invoices_due(keep_until(issued))
    assert issued <= invoices_due(keep_until(issued) + dt.timedelta(days=1))
    assert accounts_due(dt.date(2028, 12, 31)) == dt.date(2024, 12, 31)
    assert accounts_due(dt.date(2029, 1, 1)) == dt.date(2025, 12, 31)


async def test_what_is_held_outlives_the_scheduled_deletion_until_the_request_goes_on(
    clerk: Clerk, ended: sample.Person, db: Db
) -> None:
    request = uuid4()
    due = dt.datetime.now(dt.UTC) + dt.timedelta(days=7)
    reply = await clerk.ask("hold", email(ended), request_id=request, due_at=due)
    assert reply.did == {("account", "retained"): 1, ("invoices", "retained"): len(ended.invoices)}
    assert {(item.ground, item.until) for item in reply.body.summary} == {("held_for_request", due.date())}
    await overdue(db, ended)
    await clerk.ask("locate", email(ended), request_id=request)
    assert await retention.run(due.date()) == Counter()
    assert await left(clerk, ended) == (1, len(ended.invoices))
    reply = await clerk.ask("erase", email(ended), request_id=request, attempt=2, scope=scope("account"))
    assert reply.did[("account", "deleted")] == 1
    assert await retention.run(TODAY) == Counter({"invoices": len(ended.invoices)})


async def test_a_hold_ends_by_itself_and_for_its_categories_alone(clerk: Clerk, ended: sample.Person, db: Db) -> None:
    await clerk.ask("hold", email(ended), scope=scope("account"))
    await overdue(db, ended)
    due = (dt.datetime.now(dt.UTC) + dt.timedelta(days=7)).date()
    assert await retention.run(due) == Counter({"invoices": len(ended.invoices)})
    assert await retention.run(due + dt.timedelta(days=1)) == Counter({"account": 1})


async def test_a_hold_that_is_cancelled_is_over(clerk: Clerk, ended: sample.Person, db: Db) -> None:
    other = next(_ENDED)
    reply = await clerk.ask("hold", email(ended))
    await clerk.ask("hold", email(other))
    for each in (ended, other):
        await overdue(db, each)
    for _ in range(2):
        await clerk.cancel(reply)
    assert await retention.run(TODAY) == Counter({"account": 1, "invoices": len(ended.invoices)})
    assert await left(clerk, other) == (1, len(other.invoices))


async def test_restricted_records_are_not_deleted_and_objected_ones_are(
    clerk: Clerk, ended: sample.Person, db: Db
) -> None:
    request = uuid4()
    other = next(_ENDED)
    await clerk.ask("restrict", email(ended), request_id=request)
    await clerk.ask("object", email(other))
    for each in (ended, other):
        await overdue(db, each)
    assert await retention.run(TODAY) == Counter({"account": 1, "invoices": len(other.invoices)})
    assert await left(clerk, ended) == (1, len(ended.invoices))
    await clerk.ask("unrestrict", email(ended), request_id=request, attempt=2)
    assert await retention.run(TODAY) == Counter({"account": 1, "invoices": len(ended.invoices)})
    for each in (ended, other):
        assert not await db.fetchval("select exists (select from limits where account_id = $1)", each.account_id)


async def test_scheduled_deletion_waits_for_a_restriction_under_way(
    clerk: Clerk, ended: sample.Person, db: Db, billing_url: str
) -> None:
    await overdue(db, ended)
    other = await asyncpg.connect(billing_url)
    async with db.transaction():
        await limits.enter(db)
        run = asyncio.create_task(retention.run(TODAY))

        async def waiting() -> bool:
            return bool(await other.fetchval("select exists (select from pg_locks where not granted)"))

        await eventually(waiting)
        await limits.limit(db, uuid4(), "restricted", [ended.account_id], [("account", "*"), ("invoices", "*")])
    assert await run == Counter()
    await other.close()
    assert await left(clerk, ended) == (1, len(ended.invoices))
    await db.execute("delete from limits where account_id = $1", ended.account_id)
    await retention.run(TODAY)


async def test_what_an_erasure_left_is_found_stays_restricted_at_a_lift_and_goes_when_its_time_has_come(
    clerk: Clerk, ended: sample.Person, db: Db
) -> None:
    request = uuid4()
    restricted = await clerk.ask("restrict", email(ended), request_id=request)
    assert restricted.did[("invoices", "restricted")] == len(ended.invoices)
    await clerk.ask("erase", email(ended))
    reply = await clerk.ask("unrestrict", email(ended), request_id=request, attempt=2)
    assert ("invoices", "unrestricted") not in reply.did
    told = await clerk.ask("access", email(ended))
    assert [found["restricted"] for found in told.data("invoices")] == [True] * len(ended.invoices)
    await db.execute("update invoices set issued_on = $2 where account_id = $1", ended.account_id, LONG_AGO)
    assert await retention.run(TODAY) == Counter({"invoices": len(ended.invoices)})


async def test_the_same_task_again_gets_the_same_answer(clerk: Clerk, someone: sample.Person) -> None:
    for action in ("restrict", "object", "hold", "unrestrict", "rectify"):
        request, task = uuid4(), uuid4()
        corrections = [set_to("city", "Bremen")] if action == "rectify" else []
        replies = [
            await clerk.ask(action, email(someone), request_id=request, task_id=task, corrections=corrections)
            for _ in range(2)
        ]
        assert replies[0].body == replies[1].body
