"""Intake's table: the requests that were seen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from shared.database import Connection, load_queries
from shared.events import Decision

_SQL = load_queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class Known:
    """A request as it was first seen. `fingerprint` was made with the key `kid`."""

    portal: str
    fingerprint: bytes
    kid: str


@dataclass(frozen=True, slots=True)
class NewRequest:
    request_id: UUID
    reference: str
    known: Known
    decision: Decision
    reason: str | None
    received_at: datetime
    opened_at: datetime


async def known(connection: Connection, request_ids: Collection[UUID]) -> Mapping[UUID, Known]:
    rows = await connection.fetch(_SQL["known"], list(request_ids))
    return {row["request_id"]: Known(row["portal"], row["fingerprint"], row["kid"]) for row in rows}


async def reference_numbers(connection: Connection, count: int) -> list[int]:
    """Numbers never handed out before. A transaction that fails leaves a gap."""
    return [row[0] for row in await connection.fetch(_SQL["reference_numbers"], count)]


async def insert(connection: Connection, requests: Sequence[NewRequest]) -> frozenset[UUID]:
    """Those that were new; the others were inserted by somebody else in the meantime."""
    ordered = sorted(requests, key=lambda request: request.request_id)
    rows = await connection.fetch(
        _SQL["insert"],
        [request.request_id for request in ordered],
        [request.reference for request in ordered],
        [request.known.portal for request in ordered],
        [request.decision for request in ordered],
        [request.reason for request in ordered],
        [request.known.fingerprint for request in ordered],
        [request.known.kid for request in ordered],
        [request.received_at for request in ordered],
        [request.opened_at for request in ordered],
    )
    return frozenset(row["request_id"] for row in rows)
