"""The adapter and the processor's API, on good days and bad ones."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx
import pytest

from habeas.participant import Journal, Participant, Tuning, Unavailable
from systems import sample
from systems.payments.app import access, erase, payments
from systems.payments.client import Processor, processor
from tests.participant.toys import Died
from tests.systems.clerk import Clerk, occurrences
from tests.systems.company import Company

PLAIN, CLAIMED, SUSPECT = sample.person(30), sample.person(14), sample.person(24)


def customer(someone: sample.Person) -> tuple[str, str]:
    return ("payment_customer_id", someone.payment_customer_id)


@pytest.fixture
async def clerk(company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clerk]:
    monkeypatch.setenv("HABEAS_DATA_DIR", str(tmp_path / "payments"))
    clerk = Clerk(payments)
    await clerk.start()
    yield clerk
    await clerk.stop()


async def test_access_tells_customer_charges_and_signals(clerk: Clerk) -> None:
    reply = await clerk.ask("access", customer(CLAIMED))
    assert [found["name"] for found in reply.data("payment_customer")] == [CLAIMED.name]
    assert len(reply.data("charges")) == len(CLAIMED.charges)
    assert len(reply.data("fraud_signals")) == 1
    assert {record.source for record in reply.personal.records} == {"Payment processor"}


async def test_erasure_detaches_and_keeps_charges_with_ground_and_date(clerk: Clerk, company: Company) -> None:
    assert occurrences(company.folder, PLAIN.email)
    reply = await clerk.ask("erase", customer(PLAIN))
    assert reply.body.outcome == "completed"
    assert reply.did == {("payment_customer", "detached"): 1, ("charges", "retained"): len(PLAIN.charges)}
    kept = [item for item in reply.body.summary if item.did == "retained"]
    assert {item.ground for item in kept} == {"accounting_records"}
    assert sorted(item.until.year for item in kept if item.until) == [charge.at.year + 8 for charge in PLAIN.charges]
    assert occurrences(company.folder, PLAIN.email) == {}
    assert occurrences(company.folder, PLAIN.name) == {}


async def test_fraud_signals_go_unless_a_claim_is_open(clerk: Clerk) -> None:
    assert (await clerk.ask("erase", customer(SUSPECT))).did[("fraud_signals", "deleted")] == 1
    reply = await clerk.ask("erase", customer(CLAIMED))
    (kept,) = (item for item in reply.body.summary if item.category == "fraud_signals")
    assert (kept.did, kept.ground, reply.body.outcome) == ("retained", "legal_claims", "partial")
    assert len((await clerk.ask("access", customer(CLAIMED))).data("fraud_signals")) == 1


async def test_unknown_customers_are_not_held(clerk: Clerk) -> None:
    for value in ("cus_0", "../behaviour", "a/b?c=d#e"):
        for action in ("access", "erase"):
            assert (await clerk.ask(action, ("payment_customer_id", value))).body.outcome == "nothing_held"


async def test_errors_before_and_after_the_effect_change_no_answer(clerk: Clerk, company: Company) -> None:
    await company.behave(error_rate=0.4)
    for number in range(101, 106):
        someone = sample.person(number)
        request = uuid4()
        for _ in range(20):
            try:
                reply = await clerk.ask("erase", customer(someone), request_id=request)
                break
            except Unavailable:
                continue
        assert reply.did[("payment_customer", "detached")] == 1
        assert reply.did[("charges", "retained")] == len(someone.charges)


async def test_rate_limits_are_waited_out_as_retry_after_says(clerk: Clerk, company: Company) -> None:
    await company.behave(rate_limit_per_s=2)
    began = monotonic()
    reply = await clerk.ask("access", customer(PLAIN))
    assert reply.body.outcome == "completed"
    assert monotonic() - began >= 0.9  # three calls, a bucket that starts with two at most


async def test_slowness_is_borne(clerk: Clerk, company: Company) -> None:
    await company.behave(delay_ms=150)
    assert (await clerk.ask("access", customer(PLAIN))).body.outcome == "completed"


async def test_a_processor_that_is_away_is_no_answer(clerk: Clerk, company: Company) -> None:
    impatient: Participant[Processor] = Participant(
        "payments", Journal(processor, "other.db"), tuning=Tuning(tries=1, first_pause=0.001)
    )
    impatient.action("erase")(erase)
    impatient.action("access")(access)
    other = Clerk(impatient)
    await other.start()
    await company.behave(error_rate=1)
    request = uuid4()
    with pytest.raises(Unavailable, match="payment processor"):
        await other.ask("erase", customer(PLAIN), request_id=request)
    await company.behave()
    assert (await other.ask("erase", customer(PLAIN), request_id=request)).body.outcome == "completed"
    await other.stop()


@pytest.mark.parametrize("step", ["detach", "drop_fraud_signals"])
async def test_a_crash_after_any_step_answers_as_if_none_had_happened(
    clerk: Clerk, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(Processor, step)

    async def die(*arguments: Any) -> None:
        await real(*arguments)
        raise Died

    request = uuid4()
    with monkeypatch.context() as patch:
        patch.setattr(Processor, step, die)
        with pytest.raises(Died):
            await clerk.ask("erase", customer(SUSPECT), request_id=request)
    await clerk.start()
    reply = await clerk.ask("erase", customer(SUSPECT), request_id=request)
    assert reply.did == {
        ("payment_customer", "detached"): 1,
        ("charges", "retained"): len(SUSPECT.charges),
        ("fraud_signals", "deleted"): 1,
    }


async def test_the_processor_wants_its_key(company: Company) -> None:
    path = f"/customers/{PLAIN.payment_customer_id}"
    async with httpx.AsyncClient(base_url=company.url) as stranger:
        assert (await stranger.get(path)).status_code == 401
        assert (await stranger.put("/behaviour", json={"error_rate": 1})).status_code == 401
        assert (await stranger.get("/health/ready")).status_code == 200


async def test_an_idempotency_key_stands_for_one_request(company: Company) -> None:
    path = f"/customers/{PLAIN.payment_customer_id}"
    assert (await company.http.delete(path)).status_code == 400
    first = await company.http.delete(path, headers={"Idempotency-Key": "one"})
    again = await company.http.delete(path, headers={"Idempotency-Key": "one"})
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (200, {"detached": 1})
    assert (await company.http.delete(path, headers={"Idempotency-Key": "two"})).status_code == 404
    elsewhere = await company.http.delete(f"{path}/fraud-signals", headers={"Idempotency-Key": "one"})
    assert elsewhere.status_code == 422
    assert (await company.http.put("/behaviour", json={"error_rate": 2})).status_code == 422


async def test_the_processor_remembers_across_a_restart(tmp_path: Path) -> None:
    path = f"/customers/{PLAIN.payment_customer_id}"
    async with Company(tmp_path / "processor") as company:
        await company.http.delete(path, headers={"Idempotency-Key": "one"})
    async with Company(tmp_path / "processor") as company:
        assert (await company.http.get(path)).status_code == 404
        assert (await company.http.get(f"{path}/charges")).json()["data"]


async def test_many_at_once_stay_apart(company: Company) -> None:
    async def ask(number: int) -> str:
        found = await company.http.get(f"/customers/{sample.person(number).payment_customer_id}")
        return str(found.json()["name"])

    names = await asyncio.gather(*(ask(number) for number in range(1, 21)))
    assert names == [sample.person(number).name for number in range(1, 21)]
