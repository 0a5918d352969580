"""Who else holds a copy is told of what was done with it (GDPR Art. 19): written down with the deed, sent afterwards.

A notice is tried after each batch of tasks, at each start and with each retention run, until its recipient has it.
Without HABEAS_PROCESSOR_URL the payment processor cannot be reached: its notices stand, and are counted in the log.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

import httpx
import orjson
import structlog
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from habeas.participant import data_folder
from habeas.participant.postgres import Connection
from habeas.settings import load

PROCESSOR = "payment_processor"
HOSTING = "hosting"
RECIPIENTS: Mapping[str, tuple[str, ...]] = {
    "account": (PROCESSOR, HOSTING),
    # The tax authority sees invoices in an audit alone, and none has been.
    "invoices": (PROCESSOR,),
}
SHARED_FIELDS = frozenset({"name", "email"})
"""What of an account the payment processor holds as well."""

_ONE_AT_A_TIME = 0x62696C6C  # advisory lock: what is told first must not arrive last
_AT_ONCE = 8
Row = Mapping[str, Any]
_log = structlog.get_logger("systems.billing")


class RecipientSettings(BaseSettings):
    """`HABEAS_PROCESSOR_URL` and `HABEAS_PROCESSOR_KEY`; the default key opens the demonstration's processor alone."""

    model_config = SettingsConfigDict(env_prefix="HABEAS_PROCESSOR_", extra="ignore", frozen=True)

    url: str | None = None
    """where the payment processor's API is"""
    key: SecretStr = SecretStr("sk_demonstration")
    """the key to it"""


async def write_down(
    db: Connection,
    request_id: UUID,
    what: str,
    category: str,
    accounts: Iterable[Row],
    recipients: Iterable[str] | None = None,
) -> int:
    """In the deed's transaction. Returns how many recipients there are to tell: those who hold a copy of this.

    `accounts` are their rows, before anything was deleted; `recipients` if not all of the category's.
    """
    accounts = list(accounts)
    named = RECIPIENTS[category] if recipients is None else tuple(recipients)
    if not accounts:
        return 0
    await db.execute(
        """insert into notices (request_id, account_id, category, what, recipient, payment_customer_id)
           select $1, account_id, $2, $3, recipient, case when recipient = 'payment_processor' then customer_id end
           from unnest($4::text[], $5::text[]) a (account_id, customer_id) cross join unnest($6::text[]) recipient
           order by account_id, recipient
           on conflict (request_id, account_id, category, what, recipient) do update
           set notice_id = gen_random_uuid(), payment_customer_id = excluded.payment_customer_id, told_at = null""",
        request_id,
        category,
        what,
        [row["account_id"] for row in accounts],
        [row["payment_customer_id"] for row in accounts],
        named,
    )
    return len(named)


async def tell(db: Connection) -> None:
    """Sends what is outstanding, in order. What cannot be sent now stays outstanding: it never fails the tasks."""
    settings = load(RecipientSettings)
    await db.execute("select pg_advisory_lock($1)", _ONE_AT_A_TIME)
    try:
        rows = [dict(row) for row in await db.fetch("select * from notices where told_at is null order by id")]
        to_hosting = [row for row in rows if row["recipient"] == HOSTING]
        _drop(to_hosting)
        await _told(db, to_hosting)
        to_processor = [row for row in rows if row["recipient"] == PROCESSOR]
        if to_processor and settings.url is not None:
            await _told(db, await _send(settings.url, settings.key, to_processor, await _accounts(db, to_processor)))
        left = await db.fetchval("select count(*) from notices where told_at is null")
    finally:
        await db.execute("select pg_advisory_unlock($1)", _ONE_AT_A_TIME)
    if left:
        _log.warning("recipients_to_be_told", count=left, reachable=settings.url is not None)


async def _accounts(db: Connection, rows: Sequence[Row]) -> dict[str, Row]:
    """What the processor has to hold of the accounts that were corrected, as it is now."""
    corrected = [row["account_id"] for row in rows if row["what"] == "rectified"]
    found = await db.fetch("select account_id, name, email from accounts where account_id = any($1)", corrected)
    return {row["account_id"]: {"name": row["name"], "email": row["email"]} for row in found}


async def _send(url: str, key: SecretStr, rows: Sequence[Row], accounts: Mapping[str, Row]) -> list[Row]:
    """To the processor: for one customer in order, for several at once. Returns those that are told."""
    by_customer: dict[str, list[Row]] = {}
    for row in rows:
        by_customer.setdefault(row["payment_customer_id"], []).append(row)
    told: list[Row] = []
    waiting = list(by_customer.values())[::-1]
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {key.get_secret_value()}"}, timeout=5.0
    ) as http:

        async def work() -> None:
            while waiting:
                for row in waiting.pop():
                    answer = await _answer(http, row, accounts)
                    if answer is _Answer.AWAY:
                        waiting.clear()
                        return
                    if answer is _Answer.REFUSED:
                        break
                    told.append(row)

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return told


class _Answer(Enum):
    TOLD = auto()
    AWAY = auto()
    REFUSED = auto()


async def _answer(http: httpx.AsyncClient, row: Row, accounts: Mapping[str, Row]) -> _Answer:
    request = _request(http, row, accounts)
    if request is None:
        return _Answer.TOLD
    try:
        response = await http.send(request)
    except httpx.TransportError as error:
        _log.warning("recipient_away", recipient=PROCESSOR, cause=type(error).__name__)
        return _Answer.AWAY
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        _log.warning("recipient_away", recipient=PROCESSOR, cause=f"status {response.status_code}")
        return _Answer.AWAY
    # Somebody the processor does not know (any more) has no copy there.
    if response.is_success or response.status_code == httpx.codes.NOT_FOUND:
        return _Answer.TOLD
    _log.error("recipient_refused", recipient=PROCESSOR, status=response.status_code)
    return _Answer.REFUSED


def _request(http: httpx.AsyncClient, row: Row, accounts: Mapping[str, Row]) -> httpx.Request | None:
    """A correction tells what holds now, not what held when it was written down: a late one undoes no later one.

    None for the correction of an account that is gone since: its erasure is told.
    """
    path = f"/customers/{quote(row['payment_customer_id'], safe='')}"
    if row["what"] != "rectified":
        body = {"notice": str(row["notice_id"]), "what": row["what"], "category": row["category"]}
        return http.build_request(
            "POST", f"{path}/notices", json=body, headers={"Idempotency-Key": str(row["notice_id"])}
        )
    account = accounts.get(row["account_id"])
    if account is None:
        return None
    # A key stands for one body: other words, another key.
    key = str(uuid5(row["notice_id"], orjson.dumps(account).decode()))
    return http.build_request("PATCH", path, json=account, headers={"Idempotency-Key": key})


async def _told(db: Connection, rows: Sequence[Row]) -> None:
    """But for those that were written down anew in the meantime."""
    await db.execute(
        """update notices set told_at = now(), payment_customer_id = null
           from unnest($1::bigint[], $2::uuid[]) as told (id, notice_id)
           where notices.id = told.id and notices.notice_id = told.notice_id""",
        [row["id"] for row in rows],
        [row["notice_id"] for row in rows],
    )


def _drop(rows: Sequence[Row]) -> None:
    """Into the file that the hosting provider collects. A repeat after a crash is known by its number."""
    if not rows:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    lines = [
        {"notice": str(row["notice_id"]), "what": row["what"], "category": row["category"], "at": now} for row in rows
    ]
    path = data_folder() / "notices-to-hosting.jsonl"
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "ab") as file:
        file.writelines(orjson.dumps(line) + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
