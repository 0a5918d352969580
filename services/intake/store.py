"""Intake's tables: the requests that were seen, what was said about them since, and what was decided on commands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from shared.database import Connection, load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class Known:
    """A request as it was first seen. `fingerprint` was made with the key `kid`."""

    portal: str
    fingerprint: bytes
    kid: str


@dataclass(frozen=True, slots=True)
class Copy:
    """What is kept of a request in triage: the body in JSON, and what the person said, sealed."""

    submission: str
    personal: str = field(repr=False)


class NewRequest(NamedTuple):
    """A row, in the order of the statement that inserts it."""

    request_id: UUID
    reference: str
    portal: str
    decision: str
    reason: str | None
    fingerprint: bytes
    kid: str
    received_at: datetime
    opened_at: datetime
    withdrawn_at: datetime | None = None
    submission: str | None = None
    personal: str | None = None
    identities: int = 0


@dataclass(frozen=True, slots=True)
class Locked:
    """A request whose row is ours until the transaction ends."""

    request_id: UUID
    reference: str
    portal: str
    decision: str
    reason: str | None
    version: int
    opened_at: datetime
    withdrawn_at: datetime | None
    copy: Copy | None
    identities: int


@dataclass(frozen=True, slots=True)
class Saved:
    request_id: UUID
    decision: str
    reason: str | None
    version: int
    withdrawn_at: datetime | None
    copy: Copy | None
    identities: int = 0


class Kind(StrEnum):
    AMENDMENT = "amendment"
    """An identity that is confirmed is one too."""
    WITHDRAWAL = "withdrawal"


MessageKey = tuple[str, UUID]
"""Portal and ce_id."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a portal said about a request. `personal` is sealed, and there as long as an amendment is `early`."""

    portal: str
    ce_id: UUID
    request_id: UUID
    kind: Kind
    place: int
    heard_at: datetime
    early: bool
    answers: UUID | None = None
    reason: str | None = None
    personal: str | None = field(default=None, repr=False)

    @property
    def key(self) -> MessageKey:
        return self.portal, self.ce_id


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a command; `digest` is that of its content. `reason` is None where it was accepted."""

    command_id: UUID
    request_id: UUID
    digest: bytes
    reason: str | None
    decided_at: datetime


async def known(connection: Connection, request_ids: Collection[UUID]) -> Mapping[UUID, Known]:
    rows = await connection.fetch(_SQL["known"], list(request_ids))
    return {row["request_id"]: Known(row["portal"], row["fingerprint"], row["kid"]) for row in rows}


async def reference_numbers(connection: Connection, count: int) -> list[int]:
    """Numbers never handed out before. A transaction that fails leaves a gap."""
    return list(await connection.fetchval(_SQL["reference_numbers"], count))


async def insert(connection: Connection, requests: Sequence[NewRequest]) -> frozenset[UUID]:
    """Those that were new; the others were inserted by somebody else in the meantime."""
    if not requests:
        return frozenset()
    ordered = sorted(requests, key=lambda request: request.request_id.int)
    rows = await connection.fetch(_SQL["insert"], *zip(*ordered, strict=True))
    return frozenset([row["request_id"] for row in rows])


async def lock(connection: Connection, request_ids: Collection[UUID]) -> list[Locked]:
    """Those that are known, in id order; nobody else changes them until the transaction ends."""
    rows = await connection.fetch(_SQL["lock"], list(request_ids))
    return [
        Locked(
            row["request_id"],
            row["reference"],
            row["portal"],
            row["decision"],
            row["reason"],
            row["version"],
            row["opened_at"],
            row["withdrawn_at"],
            None if row["submission"] is None else Copy(row["submission"], row["personal"]),
            row["identities"],
        )
        for row in rows
    ]


async def save(connection: Connection, requests: Sequence[Saved]) -> None:
    """Of requests that are locked; a copy that is not given again is gone."""
    if requests:
        await connection.execute(
            _SQL["save"],
            [request.request_id for request in requests],
            [request.decision for request in requests],
            [request.reason for request in requests],
            [request.version for request in requests],
            [request.withdrawn_at for request in requests],
            [request.copy.submission if request.copy else None for request in requests],
            [request.copy.personal if request.copy else None for request in requests],
            [request.identities for request in requests],
        )


async def heard(connection: Connection, keys: Collection[MessageKey]) -> dict[MessageKey, UUID]:
    """Which of these were heard before, and what request they were about."""
    rows = await connection.fetch(_SQL["heard"], [portal for portal, _ in keys], [ce_id for _, ce_id in keys])
    return {(row["portal"], row["ce_id"]): row["request_id"] for row in rows}


async def remember(connection: Connection, messages: Sequence[Message]) -> None:
    if not messages:
        return
    ordered = sorted(messages, key=lambda message: message.key)
    await connection.execute(
        _SQL["remember"],
        [message.portal for message in ordered],
        [message.ce_id for message in ordered],
        [message.request_id for message in ordered],
        [message.kind for message in ordered],
        [message.place for message in ordered],
        [message.heard_at for message in ordered],
        [message.early for message in ordered],
        [message.answers for message in ordered],
        [message.reason for message in ordered],
        [message.personal for message in ordered],
    )


async def early(connection: Connection, request_ids: Collection[UUID]) -> list[Message]:
    """What was heard about requests before they came, in the order in which each portal said it."""
    rows = await connection.fetch(_SQL["early"], list(request_ids))
    return [
        Message(
            row["portal"],
            row["ce_id"],
            row["request_id"],
            Kind(row["kind"]),
            row["place"],
            row["heard_at"],
            early=True,
            reason=row["reason"],
            personal=row["personal"],
        )
        for row in rows
    ]


async def overtaken(connection: Connection) -> frozenset[UUID]:
    """Requests that are known by now, with messages that still wait for them."""
    return frozenset(row["request_id"] for row in await connection.fetch(_SQL["overtaken"]))


async def settle_early(connection: Connection, keys: Collection[MessageKey]) -> None:
    """They have taken effect: their content goes."""
    if keys:
        ordered = sorted(keys)
        await connection.execute(
            _SQL["settle_early"], [portal for portal, _ in ordered], [ce_id for _, ce_id in ordered]
        )


async def forget_early(connection: Connection, heard_before: datetime) -> int:
    """How many messages waited since then for a request that never came."""
    return int((await connection.execute(_SQL["forget_early"], heard_before)).rpartition(" ")[2])


async def decisions(connection: Connection, command_ids: Collection[UUID]) -> dict[UUID, Decided]:
    """What was decided on these commands before. Until the transaction ends nobody else decides on any of them."""
    await connection.execute(_SQL["one_at_a_time"], list(command_ids))
    rows = await connection.fetch(_SQL["decisions"], list(command_ids))
    return {
        row["command_id"]: Decided(
            row["command_id"], row["request_id"], row["digest"], row["reason"], row["decided_at"]
        )
        for row in rows
    }


async def decide(connection: Connection, decided: Sequence[Decided]) -> None:
    """Of commands that `decisions` was asked about in this transaction."""
    if decided:
        await connection.execute(
            _SQL["decide"],
            [each.command_id for each in decided],
            [each.request_id for each in decided],
            [each.digest for each in decided],
            [each.reason is None for each in decided],
            [each.reason for each in decided],
            [each.decided_at for each in decided],
        )
