"""`habeas submit`: what a person at the keyboard types, against the running stack."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from stand import Stand

from habeas.contracts import Keyring
from habeas.contracts.sealing import JsonWebKey, new_key
from operations.commands.submit import submission
from operations.errors import UsageError
from shared.clock import system_clock
from systems import sample

ROOT = Path(__file__).resolve().parents[2]


def document(address: str, **members: Any) -> bytes:
    proof = {"method": "portal_login", "at": "2026-01-02T03:04:05Z", "level": "substantial"}
    identity = {"identity_type": "email", "identity_value": address, "proof": proof}
    personal = {"subject": {"identities": [identity]}, "requester": {"email": address}}
    return json.dumps({"right": "access", "jurisdiction": "DE-BE", "personal": personal, **members}).encode()


async def habeas(stand: Stand, *arguments: str, given: bytes) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "operations",
        *arguments,
        "--root",
        str(stand.root),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(75):
        out, err = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_submission_is_followed_until_it_is_closed(stand: Stand) -> None:
    request_id = uuid4()
    given = document(sample.person(990).email, request_id=str(request_id))
    code, out, err = await habeas(stand, "submit", "-", "--follow", given=given)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"submitted {request_id} as web"
    assert "completed" in " ".join(lines[-2:])
    assert stand.mails(request_id)


async def test_a_conflict_is_told(stand: Stand) -> None:
    """The first goes to a person and stays open, so that the refusal of the second is the last word."""
    request_id = str(uuid4())
    first = document("a@example.org", request_id=request_id, right="rectification")
    assert (await habeas(stand, "submit", "-", given=first))[0] == 0
    code, _, err = await habeas(
        stand, "submit", "-", "--follow", given=document("b@example.org", request_id=request_id)
    )
    assert code == 1
    assert "The submission was rejected: conflict /request_id" in err
    assert "example.org" not in err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"personal": "sealed"}', "must be a JSON object with `personal` in clear"),
        (document("a@example.org", right=7), "/right"),
        (document("a@example.org", request_id="secret"), "/request_id"),
        (json.dumps({"right": "access", "personal": {"requester": {}}}).encode(), "/personal/subject"),
    ],
)
def test_a_file_that_breaks_the_contract_is_told_by_its_member(given: bytes, told: str) -> None:
    keyring = Keyring([JsonWebKey.model_validate(new_key("web"))])
    with pytest.raises(UsageError) as caught:
        submission(given, "web", keyring, system_clock())
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "example.org" not in str(caught.value)
