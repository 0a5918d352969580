"""`habeas submit`, `amend` and `withdraw` at the keyboard, for a portal of the test's own."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from portal_counter import Counter, rejection, status
from stand import Stand

from habeas.contracts.submission import RequestAmended, RequestSubmitted, RequestWithdrawn

ROOT = Path(__file__).resolve().parents[2]
REQUEST = uuid4()
PROOF = {"method": "portal_login", "at": "2026-01-02T03:04:05Z", "level": "substantial"}
ADA = {"identity_type": "email", "identity_value": "ada@example.org", "proof": PROOF}


class Keyboard:
    """`await keyboard("withdraw", …)` gives the exit code, what was printed, and what was complained of."""

    def __init__(self, counter: Counter, stand: Stand) -> None:
        self._portal = counter.name
        self._env = {"PATH": os.environ["PATH"], **stand.env("operators"), "HABEAS_KEYS": str(counter.keys)}

    async def __call__(self, *words: str, given: Any = None) -> tuple[int | None, list[str], str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "operations", *words, "--portal", self._portal),
            cwd=ROOT,
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(75):
            out, err = await process.communicate(json.dumps(given).encode())
        return process.returncode, out.decode().splitlines(), err.decode()


@pytest.fixture
def keyboard(counter: Counter, stand: Stand) -> Keyboard:
    return Keyboard(counter, stand)


async def test_what_is_typed_is_published(counter: Counter, keyboard: Keyboard) -> None:
    request = str(REQUEST)
    submitted = {"request_id": request, "right": "access", "personal": {"subject": {"identities": [ADA]}}}
    added = {"personal": {"identities": [ADA]}}
    told = [
        await keyboard("submit", "-", given=submitted),
        await keyboard("amend", request, "-", given=added),
        await keyboard("withdraw", request, "--reason", "changed_mind"),
    ]
    name = counter.name
    assert told == [
        (0, [f"submitted {request} as {name}"], ""),
        (0, [f"amended {request} as {name}"], ""),
        (0, [f"withdrew {request} as {name}"], ""),
    ]
    said = await counter.submissions(3)
    assert [type(body) for _, body, _ in said] == [RequestSubmitted, RequestAmended, RequestWithdrawn]
    assert {event.subject for event, _, _ in said} == {REQUEST}
    assert [len(said[0][2].subject.identities), len(said[1][2].identities)] == [1, 1]


@pytest.mark.parametrize("late", [True, False])
async def test_a_withdrawal_is_followed(counter: Counter, keyboard: Keyboard, late: bool) -> None:
    await counter.say(status(REQUEST, 4))
    typing = asyncio.create_task(keyboard("withdraw", str(REQUEST), "--follow"))
    async with asyncio.timeout(75):
        ((event, _, _),) = await counter.submissions(1)
        await counter.say(
            rejection(event.id, "too_late", "") if late else status(REQUEST, 5, "closed", outcome="withdrawn")
        )
    code, out, err = await typing
    assert out[0] == f"withdrew {REQUEST} as {counter.name}"
    if late:
        assert (code, err) == (1, "habeas: The withdrawal was rejected: too_late.\n")
    else:
        assert (code, err, out[-1]) == (0, "", "HB-7K3M-Q2P9 withdrawn, due 2026-04-02")


async def test_who_follows_is_told_that_it_waits_for_a_person(counter: Counter, keyboard: Keyboard) -> None:
    await counter.say(status(REQUEST, 4, "triage"))
    typing = asyncio.create_task(keyboard("withdraw", str(REQUEST), "--follow"))
    async with asyncio.timeout(75):
        await counter.submissions(1)
        await counter.say(status(REQUEST, 5, "closed", outcome="withdrawn"))
    _, out, err = await typing
    assert out[-1].startswith("HB-7K3M-Q2P9 withdrawn")
    assert "`habeas status HB-7K3M-Q2P9`" in err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "must be a JSON object with `personal` in clear: an object with identities, requester or details in it"),
        ({"personal": {}}, "/personal breaks the contract: adds nothing"),
        ({"personal": {"requester": {"email": "Ada"}}}, "/personal/requester/email breaks the contract"),
        ({"answers": "Ada", "personal": {}}, "/answers breaks the contract"),
    ],
)
async def test_an_amendment_that_breaks_the_contract_stays_here(keyboard: Keyboard, given: Any, told: str) -> None:
    code, out, err = await keyboard("amend", str(UUID(int=1)), "-", given=given)
    assert (code, out) == (2, [])
    assert told in err
    assert "Ada" not in err
