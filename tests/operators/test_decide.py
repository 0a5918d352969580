"""`habeas classify|refuse|weigh|lift|retry|release`: published as the contract says, and the decision awaited.

The commands and decisions go over topics of the tests' own, where the test itself is the service.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from stand import Stand, Watch

from habeas.contracts.catalogue import write
from habeas.contracts.cloudevents import decode, encode
from habeas.contracts.command import CommandDecided, DecisionReason
from operations.inspect import kafka, orders
from shared.clock import system_clock
from tests.core.fixtures import new_topics
from tests.operators.casefile import file, status
from tests.operators.keyboard import Said, habeas
from tests.stack_database import Database

__all__ = ["new_topics"]

REQUEST = "00000000-0000-4000-8000-00000000000a"


@pytest.fixture
async def decisions(new_topics: Callable[..., Awaitable[list[str]]], monkeypatch: pytest.MonkeyPatch) -> str:
    commands, answers = await new_topics("commands", "decisions")
    monkeypatch.setattr(orders, "COMMANDS", commands)
    monkeypatch.setattr(orders, "DECISIONS", answers)
    return answers


async def ask(stand: Stand, *arguments: str, **environment: str | None) -> Said:
    if environment:
        environment = {**stand.env("operators"), **environment}
    return await asyncio.to_thread(partial(habeas, *arguments, "--root", str(stand.root), **environment))


@asynccontextmanager
async def service(stand: Stand, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> AsyncIterator[Watch]:
    """Answers the first command with members of a decision. The watch holds the commands."""

    async def decide(watch: Watch) -> None:
        record = await watch.first(lambda _: True)
        command = orjson.loads(record.value)
        base = {"command_id": UUID(command["command_id"]), "request_id": UUID(command["request_id"])}
        body = CommandDecided(**{**base, "decided_at": system_clock(), **answer(command)})
        event = write(body, subject=body.request_id, source="habeas/intake", now=system_clock())
        key, value, headers = encode(event)
        async with stand.producer("operators") as producer:
            await producer.send_and_wait(orders.DECISIONS, b"nonsense", key=key)
            await producer.send_and_wait(orders.DECISIONS, value, key=key, headers=headers)

    async with stand.watching("operators", orders.COMMANDS) as watch:
        task = asyncio.create_task(decide(watch))
        yield watch
        await task


def accept(_command: dict[str, Any]) -> dict[str, Any]:
    return {"accepted": True}


@pytest.mark.parametrize(
    ("arguments", "ce_type", "members"),
    [
        (
            ("classify", REQUEST, "--right", "access", "--regulation", "eu-gdpr", "--authorised", "--revision", "2"),
            "dsr.command.classify.v1",
            {"right": "access", "regulation": "eu-gdpr", "jurisdiction": None, "authorised": True, "revision": 2},
        ),
        (
            ("refuse", REQUEST, "--ground", "unfounded_or_excessive"),
            "dsr.command.refuse.v1",
            {"ground": "unfounded_or_excessive"},
        ),
        (("weigh", REQUEST, "--uphold"), "dsr.command.weigh.v1", {"verdict": "upheld"}),
        (("weigh", REQUEST, "--override"), "dsr.command.weigh.v1", {"verdict": "overridden"}),
        (("lift", REQUEST), "dsr.command.lift.v1", {}),
        (("retry", REQUEST, "billing"), "dsr.command.retry.v1", {"system": "billing"}),
        (("release", REQUEST), "dsr.command.release.v1", {}),
    ],
)
async def test_what_is_published(
    stand: Stand, decisions: str, arguments: tuple[str, ...], ce_type: str, members: dict[str, Any]
) -> None:
    async with service(stand, accept) as watch:
        said = await ask(stand, *arguments, "--reason", "seen", "--by", "privacy-desk", "--expected-version", "7")
    assert said.code == 0, said
    assert said.out.startswith("Accepted at ")
    (record,) = watch.records
    event = decode(record.key, record.value, record.headers)
    assert (event.type, str(event.subject)) == (ce_type, REQUEST)
    command = orjson.loads(event.data)
    assert UUID(command.pop("command_id"))
    common = {"request_id": REQUEST, "expected_version": 7, "by": "privacy-desk", "reason": "seen"}
    assert command == common | members


async def test_what_is_not_accepted_is_told(stand: Stand, decisions: str) -> None:
    def reject(_command: dict[str, Any]) -> dict[str, Any]:
        return {"accepted": False, "reason": DecisionReason(code="not_in_triage")}

    async with service(stand, reject):
        said = await ask(stand, "lift", REQUEST, "--reason", "seen")
    assert said.code == 1
    assert "not_in_triage (it was accepted, refused or withdrawn already)" in said.out
    assert "habeas status" in said.out


async def test_for_a_program(stand: Stand, decisions: str) -> None:
    async with service(stand, accept) as watch:
        said = await ask(stand, "lift", REQUEST, "--reason", "seen", "--json")
    answer = json.loads(said.out)
    assert answer["accepted"] is True
    assert answer["command_id"] == orjson.loads(watch.records[0].value)["command_id"]


async def test_another_orders_decision_is_not_ours(stand: Stand, decisions: str) -> None:
    async with service(stand, lambda _: {"accepted": True, "command_id": uuid4()}):
        said = await ask(stand, "lift", REQUEST, "--reason", "seen", "--wait", "3")
    assert said.code == 1
    assert "No decision within 3 s" in said.words


async def test_no_decision_in_time_is_told_and_can_be_waited_for_again(stand: Stand, decisions: str) -> None:
    said = await ask(stand, "lift", REQUEST, "--reason", "seen", "--wait", "0.2")
    assert said.code == 1
    assert "habeas ps" in said.err
    command_id = said.err.split("--command-id ")[1].split(":")[0]
    async with service(stand, accept) as watch:  # it is decided between the two
        await watch.first(lambda _: True)
    again = await ask(stand, "lift", REQUEST, "--reason", "seen", "--command-id", command_id)
    assert again.code == 0, again


async def test_a_reference_is_looked_up(stand: Stand, database: Database, decisions: str) -> None:
    known = status(10)
    await file(await database.pool("collector"), [known])
    url = database.url("operators")
    async with service(stand, accept) as watch:
        said = await ask(stand, "release", known.reference.lower(), "--reason", "seen", HABEAS_DATABASE_URL=url)
    assert said.code == 0, said
    assert orjson.loads(watch.records[0].value)["request_id"] == str(known.request_id)
    unknown = await ask(stand, "release", "HB-7K3M-Q2P9", "--reason", "seen", HABEAS_DATABASE_URL=url)
    assert (unknown.code, "There is no request" in unknown.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("weigh", REQUEST, "--reason", "seen"), "--uphold or --override"),
        (("weigh", REQUEST, "--reason", "seen", "--uphold", "--override"), "--uphold or --override"),
        (("lift", REQUEST, "--reason", "Because Ana asked"), "reason cannot be that"),
        (("lift", REQUEST, "--reason", "seen", "--by", "Ana Anders"), "by cannot be that"),
        (("lift", REQUEST, "--reason", "seen", "--command-id", "7"), "--command-id"),
        (("lift", "what?", "--reason", "seen"), "names no request"),
        (("lift", REQUEST), "--reason"),
        (("retry", REQUEST, "Billing!", "--reason", "seen"), "system cannot be that"),
        (("refuse", REQUEST, "--reason", "seen", "--ground", "no!"), "ground cannot be that"),
        (("classify", REQUEST, "--reason", "seen", "--right", "everything"), "--right"),
    ],
)
def test_mistakes_are_told_before_anything_is_published(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    said = habeas(*arguments, "--root", str(tmp_path))
    assert (said.code, told in said.words) == (2, True), said


@pytest.mark.parametrize(
    ("login", "account"),
    [
        ("maria", "maria"),
        ("Maria.Berg@example.org", "maria.berg"),
        ("CORP\\Maria Berg", "corp-maria-berg"),
        ("_x", "x"),
        ("ü", "operator"),
        ("a" * 90, "a" * 64),
    ],
)
def test_who_decides_is_the_login_as_the_contract_has_it(
    monkeypatch: pytest.MonkeyPatch, login: str, account: str
) -> None:
    monkeypatch.setattr(kafka.getpass, "getuser", lambda: login)
    assert kafka.account_name() == account
