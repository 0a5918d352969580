"""Tokens, retries, verdicts: by table and by property."""

import hashlib
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.contracts import ContractError, Keyring
from services.notifier.domain import (
    FIRST_RETRY,
    GIVE_UP_AFTER,
    LONGEST_RETRY,
    Accepted,
    Bounced,
    Deferred,
    Outcome,
    State,
    judge,
    new_token,
    open_token,
    retry_after,
    token_digest,
)
from tests.notices.samples import LINK, NOW, REQUEST, mail


@pytest.mark.parametrize(
    ("outcome", "age", "state", "again"),
    [
        (Accepted(250), timedelta(0), State.ACCEPTED, None),
        (Accepted(250), GIVE_UP_AFTER * 2, State.ACCEPTED, None),
        (Bounced(550), timedelta(0), State.BOUNCED, None),
        (Deferred(451), timedelta(0), State.DEFERRED, FIRST_RETRY),
        (Deferred(), GIVE_UP_AFTER - timedelta(seconds=1), State.DEFERRED, FIRST_RETRY),
        (Deferred(451), GIVE_UP_AFTER, State.BOUNCED, None),
    ],
)
def test_what_an_attempt_makes_of_a_notice(
    outcome: Outcome, age: timedelta, state: State, again: timedelta | None
) -> None:
    verdict = judge(outcome, attempts=1, recorded_at=NOW - age, now=NOW)
    assert (verdict.state, verdict.at, verdict.code) == (state, NOW, outcome.code)
    assert verdict.next_attempt_at == (NOW + again if again else None)


@given(st.integers(1, 10_000))
def test_waits_grow_and_stay_within_bounds(attempts: int) -> None:
    assert FIRST_RETRY <= retry_after(attempts) <= retry_after(attempts + 1) <= LONGEST_RETRY


def test_waits_double() -> None:
    minutes = [retry_after(attempt) / timedelta(minutes=1) for attempt in range(1, 9)]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_token_comes_back_and_only_its_digest_stands_in_clear(keyring: Keyring) -> None:
    token = new_token(keyring, REQUEST, NOW, lambda length: b"\xff" * length)
    opened = open_token(keyring, REQUEST, token.sealed)
    assert len(opened) == 43
    assert token.sha256 == hashlib.sha256(opened.encode()).digest() == token_digest(opened)
    assert opened not in repr(token)
    assert opened not in token.sealed


def test_a_token_cannot_be_pasted_to_another_request(keyring: Keyring) -> None:
    token = new_token(keyring, REQUEST, NOW, bytes)
    with pytest.raises(ContractError):
        open_token(keyring, uuid4(), token.sealed)


@pytest.mark.parametrize(
    "text", ["", "short", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "\n", "é" * 43, "../" * 14 + "a"]
)
def test_what_cannot_be_a_token_has_no_digest(text: str) -> None:
    assert token_digest(text) is None


def test_a_mail_shows_nothing_personal_when_printed() -> None:
    shown = repr(mail("completed", link=LINK))
    assert "ana@example.com" not in shown
    assert "Müller" not in shown
    assert LINK not in shown
