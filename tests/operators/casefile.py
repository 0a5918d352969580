"""Case files as the collector would have them, written by its own store."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from habeas.contracts.status import Due, StatusChanged, SystemStatus
from services.collector import store
from services.collector.store import NewResult, Saved
from services.intake.domain import reference
from shared.database import Pool
from shared.events import DeliveryResult, NoticeDelivered, Recipient
from tests.collector.samples import item, opened, plan, task

NOW = datetime.now(UTC).replace(microsecond=0)


def due_on(day: datetime) -> Due:
    """Due at the end of this day, in Berlin's summer."""
    at = day.replace(hour=21, minute=59, second=59, microsecond=0)
    return Due(at=at, on=at.date(), rule="GDPR Art. 12(3): 1 month [of 31 days].", original_at=at)


def status(number: int, due: Due | None = None, **members: Any) -> StatusChanged:
    given: dict[str, Any] = {
        "request_id": UUID(int=number),
        "reference": reference(number),
        "version": 1,
        "state": "in_progress",
        "right": "erasure",
        "regulation": "eu-gdpr",
        "received_at": NOW,
        "since": NOW,
        "due": due,
        "systems": (SystemStatus(system="billing", state="finished", outcome="completed"),),
    }
    return StatusChanged(**(given | members))


async def file(pool: Pool, statuses: Sequence[StatusChanged]) -> None:
    """Write a case for each."""
    async with pool.acquire() as connection, connection.transaction():
        await store.open_cases(
            connection,
            [
                opened(request_id=each.request_id, reference=each.reference, right=each.right, due=each.due)
                for each in statuses
            ],
        )
        await store.save(connection, [Saved(each, frozenset(), frozenset()) for each in statuses])


async def file_history(pool: Pool, said: StatusChanged) -> None:
    """A case with a plan of three systems, two answers (one of them of a stranger), and two mails."""
    await file(pool, [said])
    request_id = said.request_id
    async with pool.acquire() as connection, connection.transaction():
        await store.record_plans(connection, [plan(request_id, billing="asked", support="asked", analytics="waiting")])
        await store.record_results(connection, [_result(request_id, "billing"), _result(request_id, "payments")])
        await store.record_deliveries(
            connection,
            [
                NoticeDelivered(
                    request_id=request_id,
                    notice="acknowledged",
                    recipient=Recipient.REQUESTER,
                    ordinal=1,
                    result=DeliveryResult.ACCEPTED,
                    at=NOW - timedelta(hours=1),
                ),
                NoticeDelivered(
                    request_id=request_id,
                    notice="dpo_review",
                    recipient=Recipient.DPO,
                    ordinal=1,
                    result=DeliveryResult.BOUNCED,
                    at=NOW,
                ),
            ],
        )


def _result(request_id: UUID, system: str) -> NewResult:
    return NewResult(
        task_id=task(request_id, system),
        request_id=request_id,
        system=system,
        ce_id=uuid4(),
        outcome="completed",
        summary=(item(count=12, category="invoices"),),
        personal="sealed",
        found=None,
        fingerprint=bytes(32),
        kid="services/1",
        received_at=NOW,
    )
