"""What people may have payments do and not do, seen at what it does: a charge, and the scheduled deletion."""

import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from habeas.contracts.submission import Correction, Period
from habeas.contracts.task import ScopeItem
from systems import sample
from systems.payments import retention
from systems.payments.app import payments
from systems.payments.client import Processor
from systems.payments.use import use
from systems.use import Use
from tests.participant.toys import Died
from tests.systems.clerk import Clerk, occurrences, scope_of
from tests.systems.company import Company

PLAIN, CLAIMED, SUSPECT = sample.person(30), sample.person(14), sample.person(24)
ID = SUSPECT.payment_customer_id
DONE = Use("charge", True, "processing_payments")
LONG_AFTER = dt.date(2045, 1, 1)
"""All charges of the sample are past their booking period by then."""


def customer(someone: sample.Person) -> tuple[str, str]:
    return ("payment_customer_id", someone.payment_customer_id)


def set_to(field: str, value: str | None, **members: Any) -> Correction:
    return Correction(**{"category": "payment_customer", "field": field, "value": value, **members})


def scope(*categories: str) -> tuple[ScopeItem, ...]:
    return scope_of("payments", *categories)


@pytest.fixture
async def clerk(company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clerk]:
    monkeypatch.setenv("HABEAS_DATA_DIR", str(tmp_path / "payments"))
    clerk = Clerk(payments)
    await clerk.start()
    yield clerk
    await clerk.stop()


async def test_a_charge_is_made_for_who_is_there(clerk: Clerk) -> None:
    before = len((await clerk.ask("access", customer(PLAIN))).data("charges"))
    assert await use(PLAIN.payment_customer_id) == DONE
    assert len((await clerk.ask("access", customer(PLAIN))).data("charges")) == before + 1
    assert await use("cus_0") == Use("charge", False, "processing_payments", "not_held")
    assert await use(CLAIMED.payment_customer_id) == Use("charge", False, "preventing_fraud", "claim_open")


@pytest.mark.parametrize(
    ("category", "purpose"),
    [
        ("payment_customer", "processing_payments"),
        ("charges", "processing_payments"),
        ("fraud_signals", "preventing_fraud"),
    ],
)
async def test_restricted_data_is_not_used_until_the_restriction_is_lifted(
    clerk: Clerk, category: str, purpose: str
) -> None:
    request = uuid4()
    held = (await clerk.ask("access", customer(SUSPECT), scope=scope(category))).did[category, "disclosed"]
    reply = await clerk.ask("restrict", customer(SUSPECT), request_id=request, scope=scope(category))
    assert (reply.body.outcome, reply.did) == ("completed", {(category, "restricted"): held})
    assert await use(ID) == Use("charge", False, purpose, "restricted")
    reply = await clerk.ask("unrestrict", customer(SUSPECT), request_id=request, attempt=2, scope=scope(category))
    assert (reply.body.outcome, reply.did) == ("completed", {(category, "unrestricted"): held})
    assert await use(ID) == DONE


@pytest.mark.parametrize(("right", "why"), [("objection", "objected"), ("consent_withdrawal", "withdrawn")])
async def test_a_stopped_purpose_is_refused(clerk: Clerk, right: str, why: str) -> None:
    request = uuid4()
    reply = await clerk.ask("object", customer(SUSPECT), request_id=request, right=right, scope=scope("fraud_signals"))
    assert reply.did == {("fraud_signals", "stopped"): 1}
    assert await use(ID) == Use("charge", False, "preventing_fraud", why)
    again = await clerk.ask("object", customer(SUSPECT), right=right, scope=scope("fraud_signals"))
    assert again.did == reply.did
    assert await use(PLAIN.payment_customer_id) == DONE  # nobody else's


async def test_what_was_stopped_goes_on_where_the_objection_fails_and_not_where_consent_was_withdrawn(
    clerk: Clerk,
) -> None:
    for right, expected in (("objection", DONE), ("consent_withdrawal", None)):
        request = uuid4()
        await clerk.ask("object", customer(SUSPECT), request_id=request, right=right, scope=scope("fraud_signals"))
        reply = await clerk.ask(
            "unrestrict", customer(SUSPECT), request_id=request, right=right, scope=scope("fraud_signals")
        )
        assert reply.did == ({("fraud_signals", "unrestricted"): 1} if expected else {})
        assert (await use(ID)).done is (expected is not None)


async def test_a_purpose_that_nothing_serves_is_asked_about(clerk: Clerk) -> None:
    wrong = ScopeItem(category="fraud_signals", purposes=("marketing_messages",), basis="legitimate_interests")
    reply = await clerk.ask("object", customer(SUSPECT), scope=[wrong])
    assert reply.body.outcome == "needs_input"
    assert reply.body.error is not None
    assert reply.body.error.code == "purpose_unknown"
    assert await use(ID) == DONE


async def test_a_restriction_s_end_ends_no_other_request_s(clerk: Clerk) -> None:
    first, second = uuid4(), uuid4()
    counts = {("charges", "restricted"): len(SUSPECT.charges)}
    for request in (first, second):
        reply = await clerk.ask("restrict", customer(SUSPECT), request_id=request, scope=scope("charges"))
        assert reply.did == counts
    reply = await clerk.ask("unrestrict", customer(SUSPECT), request_id=first, scope=scope("charges"))
    assert (reply.body.outcome, reply.did) == ("nothing_held", {})  # it is as restricted as before
    assert (await use(ID)).why == "restricted"
    reply = await clerk.ask("unrestrict", customer(SUSPECT), request_id=second, scope=scope("charges"))
    assert reply.did == {("charges", "unrestricted"): len(SUSPECT.charges)}
    assert await use(ID) == DONE


async def test_half_a_lift_leaves_the_other_half(clerk: Clerk) -> None:
    request = uuid4()
    await clerk.ask("restrict", customer(SUSPECT), request_id=request)
    await clerk.ask("unrestrict", customer(SUSPECT), request_id=request, scope=scope("payment_customer", "charges"))
    assert await use(ID) == Use("charge", False, "preventing_fraud", "restricted")


@pytest.mark.parametrize("chosen", ["payment_customer", "charges", "fraud_signals"])
async def test_every_action_keeps_to_its_scope(clerk: Clerk, chosen: str) -> None:
    for action in ("access", "hold", "restrict", "object", "erase"):
        reply = await clerk.ask(action, customer(SUSPECT), scope=scope(chosen))
        assert {category for category, _ in reply.did} == {chosen}, action
        assert {record.category for record in reply.personal.records} <= {chosen}
    told = {record.category for record in (await clerk.ask("access", customer(SUSPECT))).personal.records}
    erased = {chosen} - {"charges"}  # which are kept
    assert told == {"payment_customer", "charges", "fraud_signals"} - erased


async def test_a_period_limits_what_has_a_date(clerk: Clerk) -> None:
    first, *_, last = sorted(charge.at for charge in CLAIMED.charges)
    reply = await clerk.ask("access", customer(CLAIMED), period=Period(start=first, end=last))
    assert [found["at"] for found in reply.data("charges")] == [
        charge.at.isoformat() for charge in CLAIMED.charges if charge.at < last
    ]
    assert len(reply.data("payment_customer")) == 1
    assert reply.data("fraud_signals") == []  # seen at the last charge
    open_end = await clerk.ask("access", customer(CLAIMED), period=Period(start=last))
    assert (len(open_end.data("charges")), len(open_end.data("fraud_signals"))) == (1, 1)


async def test_nothing_here_was_provided_by_the_person(clerk: Clerk) -> None:
    reply = await clerk.ask("export", customer(SUSPECT))
    assert (reply.body.outcome, reply.personal.records) == ("nothing_held", ())


async def test_locate_hands_out_identifiers_alone(clerk: Clerk) -> None:
    reply = await clerk.ask("locate", customer(PLAIN))
    assert (reply.body.outcome, reply.did, reply.personal.records) == ("completed", {}, ())
    assert reply.identities == [customer(PLAIN)]


async def test_strangers_are_not_held(clerk: Clerk) -> None:
    for action in ("locate", "access", "export", "restrict", "unrestrict", "object", "hold", "rectify"):
        corrections = [set_to("name", "Nobody")] if action == "rectify" else []
        reply = await clerk.ask(action, ("payment_customer_id", "../behaviour"), corrections=corrections)
        assert (reply.body.outcome, reply.did) == ("nothing_held", {}), action


async def test_a_correction_arrives_and_the_wrong_value_is_gone(clerk: Clerk, company: Company) -> None:
    corrections = [
        set_to("name", "Ada Adler", old=f" {PLAIN.name} "),
        set_to("email", "ada@example.org", old=PLAIN.email.upper()),
    ]
    reply = await clerk.ask("rectify", customer(PLAIN), corrections=corrections)
    assert (reply.body.outcome, reply.did) == ("completed", {("payment_customer", "rectified"): 2})
    (found,) = (await clerk.ask("access", customer(PLAIN))).data("payment_customer")
    assert (found["name"], found["email"], found["last4"]) == ("Ada Adler", "ada@example.org", PLAIN.card[1])
    assert occurrences(company.folder, PLAIN.email) == {}
    assert (await clerk.ask("rectify", customer(PLAIN), corrections=corrections)).did == reply.did


@pytest.mark.parametrize(
    ("correction", "code"),
    [
        (set_to("last4", "1234"), "field_unknown"),
        (set_to("cents", "1", category="charges"), "field_unknown"),
        (set_to("name", "Ada", old="Somebody else"), "old_value_differs"),
        (set_to("name", "Ada", op="complete"), "already_filled"),
        (set_to("name", None, op="remove"), "field_unknown"),
        (set_to("name", "  "), "value_missing"),
        (set_to("email", "no address"), "value_invalid"),
        (set_to("name", "Ada", record_id="cus_0"), "record_unknown"),
        (set_to("name", "Ada", category="account"), "corrections_missing"),
    ],
)
async def test_a_correction_that_cannot_be_made_is_asked_about_and_the_others_wait(
    clerk: Clerk, correction: Correction, code: str
) -> None:
    others = [] if code == "corrections_missing" else [set_to("email", "ada@example.org")]
    reply = await clerk.ask("rectify", customer(PLAIN), corrections=[*others, correction])
    assert reply.body.error is not None
    assert (reply.body.outcome, reply.body.error.code) == ("needs_input", code)
    (found,) = (await clerk.ask("access", customer(PLAIN))).data("payment_customer")
    assert (found["name"], found["email"]) == (PLAIN.name, PLAIN.email)


async def test_a_held_record_outlives_the_scheduled_deletion_until_the_request_goes_on(clerk: Clerk) -> None:
    request = uuid4()
    due = dt.datetime(2045, 6, 1, 12, tzinfo=dt.UTC)
    reply = await clerk.ask("hold", customer(SUSPECT), request_id=request, due_at=due)
    assert reply.did == {
        ("payment_customer", "retained"): 1,
        ("charges", "retained"): len(SUSPECT.charges),
        ("fraud_signals", "retained"): 1,
    }
    assert {(item.ground, item.until) for item in reply.body.summary} == {("held_for_request", due.date())}
    deleted = await retention.run(LONG_AFTER)
    assert deleted["charges"] > len(SUSPECT.charges)
    told = await clerk.ask("access", customer(SUSPECT))
    assert (len(told.data("charges")), len(told.data("fraud_signals"))) == (len(SUSPECT.charges), 1)
    assert (await clerk.ask("access", customer(PLAIN))).data("charges") == []
    assert await retention.run(LONG_AFTER) == Counter()

    reply = await clerk.ask("erase", customer(SUSPECT), request_id=request, attempt=2, due_at=due)
    assert reply.did[("charges", "retained")] == len(SUSPECT.charges)
    assert await retention.run(LONG_AFTER) == Counter({"charges": len(SUSPECT.charges)})


async def test_a_hold_ends_by_itself(clerk: Clerk) -> None:
    due = dt.datetime(2044, 12, 31, 23, tzinfo=dt.UTC)
    await clerk.ask("hold", customer(SUSPECT), due_at=due)
    await retention.run(due.date())
    assert (await clerk.ask("access", customer(SUSPECT))).data("charges")
    await retention.run(LONG_AFTER)
    assert (await clerk.ask("access", customer(SUSPECT))).data("charges") == []


async def test_a_hold_that_is_cancelled_is_over(clerk: Clerk) -> None:
    due = dt.datetime(2045, 6, 1, 12, tzinfo=dt.UTC)
    reply = await clerk.ask("hold", customer(SUSPECT), due_at=due)
    await clerk.ask("hold", customer(PLAIN), due_at=due)
    await clerk.start()
    for _ in range(2):
        await clerk.cancel(reply)
    await retention.run(LONG_AFTER)
    assert (await clerk.ask("access", customer(SUSPECT))).data("charges") == []
    assert (await clerk.ask("access", customer(PLAIN))).data("charges")


@pytest.mark.parametrize(("action", "stays"), [("restrict", True), ("object", False)])
async def test_restricted_records_are_not_deleted_and_others_are(clerk: Clerk, action: str, stays: bool) -> None:
    request = uuid4()
    await clerk.ask(action, customer(SUSPECT), request_id=request)
    await retention.run(LONG_AFTER)
    told = await clerk.ask("access", customer(SUSPECT))
    assert (bool(told.data("charges")), bool(told.data("fraud_signals"))) == (stays, stays)
    await clerk.ask("unrestrict", customer(SUSPECT), request_id=request, attempt=2)
    await retention.run(LONG_AFTER)
    assert (await clerk.ask("access", customer(SUSPECT))).data("charges") == []


async def test_scheduled_deletion_knows_the_day_and_spares_open_claims(clerk: Clerk) -> None:
    last = max(charge.at for charge in CLAIMED.charges)
    in_time = dt.date(last.year + 8, 12, 31)
    await retention.run(in_time)
    told = await clerk.ask("access", customer(CLAIMED))
    assert last.isoformat() in [found["at"] for found in told.data("charges")]
    assert (await clerk.ask("access", customer(SUSPECT))).data("fraud_signals") == []  # stale for long
    assert len(told.data("fraud_signals")) == 1
    await retention.run(in_time + dt.timedelta(days=1))
    told = await clerk.ask("access", customer(CLAIMED))
    assert (told.data("charges"), len(told.data("fraud_signals"))) == ([], 1)


async def test_an_erasure_takes_the_limits_with_the_data(clerk: Clerk, company: Company) -> None:
    await clerk.ask("restrict", customer(SUSPECT))
    await clerk.ask("erase", customer(SUSPECT))
    limits = (await company.http.get(f"/customers/{ID}/limits")).json()["data"]
    assert [limit["category"] for limit in limits] == ["charges"]  # of which there are some


@pytest.mark.parametrize(
    ("action", "step"),
    [("restrict", "limit"), ("object", "limit"), ("unrestrict", "limit"), ("hold", "hold"), ("rectify", "change")],
)
async def test_a_crash_after_the_effect_changes_no_answer(
    clerk: Clerk, action: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, task = uuid4(), uuid4()
    corrections = [set_to("name", "Ada Adler", old=SUSPECT.name)] if action == "rectify" else []

    async def ask(request: UUID, task: UUID | None) -> Any:
        return await clerk.ask(action, customer(SUSPECT), request_id=request, task_id=task, corrections=corrections)

    if action == "unrestrict":
        await clerk.ask("restrict", customer(SUSPECT), request_id=request)
    real = getattr(Processor, step)

    async def die(*arguments: Any, **named: Any) -> None:
        await real(*arguments, **named)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(Processor, step, die)
        with pytest.raises(Died):
            await ask(request, task)
    await clerk.start()
    reply = await ask(request, task)
    assert reply.body.outcome == "completed"
    word = {"restrict": "restricted", "object": "stopped", "unrestrict": "unrestricted", "hold": "retained"}
    if action == "rectify":
        assert reply.did == {("payment_customer", "rectified"): 1}
    else:
        assert reply.did[("charges", word[action])] == len(SUSPECT.charges)
    repeated = await ask(request, task)
    assert repeated.body == reply.body


async def test_the_processor_changes_once_for_each_key(company: Company) -> None:
    path = f"/customers/{PLAIN.payment_customer_id}"
    key = {"Idempotency-Key": "one"}
    assert (await company.http.patch(path, json={"name": "Ada"})).status_code == 400
    assert (await company.http.patch(path, json={"name": "Ada"}, headers=key)).status_code == 200
    await company.http.patch(path, json={"name": "Eva"}, headers={"Idempotency-Key": "two"})
    assert (await company.http.patch(path, json={"name": "Ada"}, headers=key)).json() == {"changed": ["name"]}
    assert (await company.http.get(path)).json()["name"] == "Eva"
    assert (await company.http.patch(path, json={"name": "Zoe"}, headers=key)).status_code == 422  # reused
    assert (await company.http.patch(path, json={"last4": "1"}, headers={"Idempotency-Key": "3"})).status_code == 422


async def test_a_refused_charge_is_not_remembered_and_a_made_one_is(company: Company) -> None:
    path = f"/customers/{PLAIN.payment_customer_id}"
    limit = {"category": "charges", "purpose": "*", "kind": "restricted"}
    await company.http.put(f"{path}/limits/a", json={"limits": [limit]}, headers={"Idempotency-Key": "limit"})
    wish = {"json": {"cents": 900, "invoice": "R1"}, "headers": {"Idempotency-Key": "charge"}}
    refused = await company.http.post(f"{path}/charges", **wish)  # type: ignore[arg-type]
    assert (refused.status_code, refused.json()["error"]) == (403, "restricted")
    await company.http.put(f"{path}/limits/a", json={"limits": []}, headers={"Idempotency-Key": "lift"})
    made = [await company.http.post(f"{path}/charges", **wish) for _ in range(2)]  # type: ignore[arg-type]
    assert [each.status_code for each in made] == [201, 201]
    assert made[0].json() == made[1].json()
