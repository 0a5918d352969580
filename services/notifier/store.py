"""The table of notices. Functions on a connection; transactions are the caller's."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from services.notifier.domain import Key, Token, Verdict
from shared.database import Connection, load_queries
from shared.events import NoticePersonal, NoticeRequested

_SQL: Final = load_queries(Path(__file__).with_name("queries.sql"))

_PRESENCE: Final = 0x6E6F7469
"""The first key of the advisory locks by which notifiers show that they are alive ("noti")."""


@dataclass(frozen=True, slots=True)
class NewNotice:
    key: Key
    event: bytes = field(repr=False)
    """The body of `NoticeRequested` as it came, its personal part sealed."""
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send what is claimed under it, by the database's clock."""

    id: UUID
    lasts: timedelta
    holder: int
    """The process, a positive 32-bit number."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notice that this process alone may send until its lease ends."""

    key: Key
    event: bytes = field(repr=False)
    recorded_at: datetime
    attempts: int
    """This one counted."""
    lease: UUID
    token_sealed: str | None = field(default=None, repr=False)
    opened: tuple[NoticeRequested, NoticePersonal] | None = field(default=None, repr=False)
    """What the event says, where it was opened already."""


@dataclass(frozen=True, slots=True)
class Finished:
    claimed: Claimed
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The notice that a link belongs to."""

    request_id: UUID
    event: bytes = field(repr=False)
    token_sha256: bytes = field(repr=False)
    expires_at: datetime


async def record(
    connection: Connection, batch: Sequence[NewNotice], now: datetime, lease: Lease | None = None, leased: int = 0
) -> frozenset[Key]:
    """Queues the notices that are not recorded yet, to be sent at once, and claims the first `leased` under `lease`;
    returns those. A recorded one stays as it is, its token above all."""
    rows = await connection.fetch(
        _SQL["record"],
        *_keys([new.key for new in batch]),
        [new.event for new in batch],
        [new.token.sha256 if new.token else None for new in batch],
        [new.token.sealed if new.token else None for new in batch],
        [new.token.expires_at if new.token else None for new in batch],
        [place < leased for place in range(len(batch))],
        now,
        *((lease.id, lease.lasts, lease.holder) if lease else (None, None, None)),
    )
    return frozenset(map(_key, rows))


async def claim(connection: Connection, limit: int, now: datetime, lease: Lease) -> tuple[Claimed, ...]:
    """Up to `limit` notices that are due, the longest due first. The lease runs by the database's clock, `now` is the
    workflow's. One whose lease has ended is due again: its sender is gone, and its mail may go out twice."""
    rows = await connection.fetch(_SQL["claim"], now, limit, lease.id, lease.lasts, lease.holder)
    return tuple(
        Claimed(_key(row), row["event"], row["recorded_at"], row["attempts"], row["lease"], row["answer_token_sealed"])
        for row in rows
    )


async def be_present(connection: Connection, holder: int) -> None:
    """Says, for as long as `connection` is open, that the process `holder` (a positive 32-bit number) is alive."""
    await connection.execute(_SQL["be_present"], _PRESENCE, holder)


async def absent(connection: Connection) -> frozenset[int]:
    """Who holds leases and is not present: dead, or about to say so again, since its session was ended."""
    return frozenset(row["holder"] for row in await connection.fetch(_SQL["absent"], _PRESENCE))


async def end_leases_of_the_dead(connection: Connection, dead: Collection[int]) -> int:
    """A killed process leaves its leases, but not its lock: what those of `dead` that are still absent had claimed is
    due at once. Returns how many."""
    status = await connection.execute(_SQL["end_leases_of_the_dead"], _PRESENCE, sorted(dead))
    return int(status.rpartition(" ")[2])


async def end_lost_leases(connection: Connection, holder: int, in_use: Sequence[UUID], at_most_left: timedelta) -> int:
    """What this very process had claimed and does not know of, because a commit's answer was lost on its way, is due
    at once. Leases with more than `at_most_left` to run are too fresh to judge. Returns how many."""
    status = await connection.execute(_SQL["end_lost_leases"], holder, in_use, at_most_left)
    return int(status.rpartition(" ")[2])


async def finish(connection: Connection, batch: Sequence[Finished]) -> frozenset[Key]:
    """Writes what came of the attempts; returns those whose lease still held. The others are somebody else's now."""
    claimed, verdicts = [done.claimed for done in batch], [done.verdict for done in batch]
    rows = await connection.fetch(
        _SQL["finish"],
        *_keys([notice.key for notice in claimed]),
        [notice.lease for notice in claimed],
        [verdict.state.value for verdict in verdicts],
        [verdict.code for verdict in verdicts],
        [verdict.at for verdict in verdicts],
        [verdict.next_attempt_at for verdict in verdicts],
    )
    return frozenset(map(_key, rows))


async def answer(connection: Connection, token_sha256: bytes) -> StoredAnswer | None:
    """The notice whose link has this token, expired or not."""
    row = await connection.fetchrow(_SQL["answer"], token_sha256)
    if row is None:
        return None
    return StoredAnswer(row["request_id"], row["event"], row["answer_token_sha256"], row["answer_expires_at"])


def _keys(keys: Sequence[Key]) -> tuple[list[UUID], list[str], list[str], list[int]]:
    return (
        [key.request_id for key in keys],
        [key.notice for key in keys],
        [key.recipient for key in keys],
        [key.ordinal for key in keys],
    )


def _key(row: asyncpg.Record) -> Key:
    return Key(row["request_id"], row["notice"], row["recipient"], row["ordinal"])
