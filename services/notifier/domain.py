"""What the notifier decides: which link a mail carries, when a mail is tried again, when it is given up. Pure rules."""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

from habeas.contracts.sealing import Keyring, Place
from shared.events import SERVICES, NoticePersonal, NoticeRequested

TOKEN_TYPE: Final = "habeas.answer_token"  # noqa: S105 - what the sealed text is, not a secret
"""Stands as `typ` in the header of a sealed token, so that it cannot pass for an event's personal part."""

FIRST_RETRY: Final = timedelta(minutes=1)
LONGEST_RETRY: Final = timedelta(hours=1)
GIVE_UP_AFTER: Final = timedelta(days=3)
"""From when the mail was asked for: shorter than RFC 5321 4.5.4.1 wants (4-5 days), since a deadline may be running."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class NotifierError(Exception):
    """Base of everything this service raises. Never quotes an address, a name or a token."""


class AddressError(NotifierError):
    """A mail address that no mail can be sent to: trying again does not help."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        super().__init__(f"the mail address {fault}: ask the person for another")


class UnknownNoticeError(NotifierError):
    """No mail is written for this notice (yet)."""

    def __init__(self, notice: str, language: str) -> None:
        super().__init__(f"no mail is written for {notice!r}: add {language}/{notice}.jinja and its subject")


@dataclass(frozen=True, slots=True)
class Key:
    """The natural key of a notice: one mail, however often it is asked for."""

    request_id: UUID
    notice: str
    recipient: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class Mail:
    """Everything a mail says."""

    notice: NoticeRequested
    personal: NoticePersonal = field(repr=False)
    link: str | None = field(default=None, repr=False)
    """Where the answer can be fetched."""


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """A mail as it goes out, told from others by being another."""

    sender: str
    recipient: str = field(repr=False)
    content: bytes = field(repr=False)
    """A whole RFC 5322 message with CRLF line ends."""


@dataclass(frozen=True, slots=True)
class Token:
    """The right to fetch one answer. Only its digest stands in clear; the token itself is sealed beside it, so that
    a repeated mail carries the same link."""

    sha256: bytes
    sealed: str = field(repr=False)
    expires_at: datetime


def new_token(keyring: Keyring, request_id: UUID, expires_at: datetime, randomness: Callable[[int], bytes]) -> Token:
    """A fresh token of 256 random bits. `randomness` is `os.urandom`, or a test's."""
    token = urlsafe_b64encode(randomness(32)).rstrip(b"=").decode()
    digest = token_digest(token)
    assert digest is not None  # noqa: S101 - 32 bytes always make 43 characters
    return Token(digest, keyring.seal(_token_place(request_id), token.encode()), expires_at)


def open_token(keyring: Keyring, request_id: UUID, sealed: str) -> str:
    """Raises `ContractError` where it was sealed for another request or its key is gone."""
    return keyring.open(_token_place(request_id), sealed).decode()


def token_digest(token: str) -> bytes | None:
    """SHA-256 of a token, or None for a text that cannot be one.

    Tokens are looked up by it: how long a comparison of digests takes says nothing about a token.
    """
    return hashlib.sha256(token.encode()).digest() if _TOKEN.fullmatch(token) else None


@dataclass(frozen=True, slots=True)
class Accepted:
    """SMTP has taken the mail."""

    code: int


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: a 4xx reply, or no usable connection (no code)."""

    code: int | None = None


@dataclass(frozen=True, slots=True)
class Bounced:
    """Never: a 5xx reply about this recipient or mail, or an address that is none (no code)."""

    code: int | None = None


Outcome = Accepted | Deferred | Bounced

Answered = Callable[[Letter, Outcome], None]
"""Told what came of a letter, once for each."""


class State(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    BOUNCED = "bounced"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt makes of a notice."""

    state: State
    code: int | None
    at: datetime
    next_attempt_at: datetime | None
    """None when there is none."""


def judge(outcome: Outcome, *, attempts: int, recorded_at: datetime, now: datetime) -> Verdict:
    """`attempts` counts this one."""
    match outcome:
        case Accepted(code):
            return Verdict(State.ACCEPTED, code, now, None)
        case Bounced(code):
            return Verdict(State.BOUNCED, code, now, None)
        case Deferred(code):
            if now - recorded_at >= GIVE_UP_AFTER:
                return Verdict(State.BOUNCED, code, now, None)
            return Verdict(State.DEFERRED, code, now, now + retry_after(attempts))
        case _:
            assert_never(outcome)


def retry_after(attempts: int) -> timedelta:
    """Twice as long each time, up to an hour."""
    return min(FIRST_RETRY * float(1 << min(attempts - 1, 20)), LONGEST_RETRY)


def _token_place(request_id: UUID) -> Place:
    return Place(SERVICES, TOKEN_TYPE, request_id)
