"""Case files as the collector would have them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from habeas.contracts.status import Due, StatusChanged, SystemStatus
from services.collector import store
from services.intake.domain import reference
from shared.database import Pool
from shared.events import PastTask
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
    for each in statuses:
        await file_unheard(pool, each)
    await pool.executemany(
        "UPDATE cases SET version = $2, status = $3, closed_at = $4 WHERE request_id = $1",
        [
            (each.request_id, each.version, each.model_dump_json(), each.since if each.state == "closed" else None)
            for each in statuses
        ],
    )


async def file_unheard(pool: Pool, said: StatusChanged) -> None:
    """A case that is opened, and of which no status was published."""
    body = opened(request_id=said.request_id, reference=said.reference, right=said.right, due=said.due)
    async with pool.acquire() as connection:
        await store.open_cases(connection, [body])


async def file_history(pool: Pool, said: StatusChanged) -> None:
    """A case with a plan of three systems, two answers (one of them of a stranger), and two mails."""
    await file(pool, [said])
    request_id = said.request_id
    made = plan(request_id, billing="asked", support="asked", analytics="waiting")
    billing, *others = made.systems
    held = billing.model_copy(
        update={"attempt": 2, "earlier": (PastTask(task_id=task(request_id, "billing", 7), action="hold"),)}
    )
    systems = made.model_copy(update={"systems": (held, *others)}).model_dump(mode="json")["systems"]
    await pool.execute(
        "INSERT INTO plans (request_id, version, systems) VALUES ($1, 1, $2)",
        request_id,
        orjson.dumps(systems).decode(),
    )
    summary = orjson.dumps([item(count=12, category="invoices").model_dump(mode="json")]).decode()
    for system, attempt in (("billing", 1), ("billing", 7), ("payments", 1)):
        await pool.execute(
            """
            INSERT INTO results (task_id, request_id, system, ce_id, outcome, summary, personal, fingerprint, kid,
                                 received_at)
            VALUES ($1, $2, $3, gen_random_uuid(), 'completed', $4, 'sealed', $5, 'services/1', $6)
            """,
            task(request_id, system, attempt),
            request_id,
            system,
            summary,
            bytes(32),
            NOW,
        )
    await pool.execute(
        """
        INSERT INTO deliveries (request_id, notice, recipient, ordinal, result, at)
        VALUES ($1, 'acknowledged', 'requester', 1, 'accepted', $2), ($1, 'dpo_review', 'dpo', 1, 'bounced', $3)
        """,
        request_id,
        NOW - timedelta(hours=1),
        NOW,
    )
