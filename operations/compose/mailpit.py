"""Mails out of Mailpit, as the `.eml` files that the local stack's mail server would have kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from operations.errors import OperationsError

PAGE = 100  # mails listed at a time
_IN_NAMES = re.compile(r"[^A-Za-z0-9]")


class MailpitError(OperationsError):
    """Mailpit does not answer as it should."""


async def fetch_mails(api: str, folder: Path) -> int:
    """Fetch what `folder` lacks of the mails at `api`, Mailpit's URL; return how many those were.

    File names are time and Mailpit's id, so they sort as the mails came and name nobody. Raises MailpitError.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    fetched = 0
    try:
        async with httpx.AsyncClient(base_url=api, timeout=20) as http:
            async for mail in _listed(http):
                path = folder / f"{_moment(mail['Created'])}-{_IN_NAMES.sub('', mail['ID'])}.eml"
                if not path.exists():
                    raw = (await http.get(f"/api/v1/message/{mail['ID']}/raw")).raise_for_status()
                    await asyncio.to_thread(_keep, path, raw.content)
                    fetched += 1
    except (httpx.HTTPError, KeyError, ValueError) as error:
        raise MailpitError(f"Mailpit at {api} does not answer as it should: {type(error).__name__}.") from None
    return fetched


async def _listed(http: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    """All mails, the newest first. One that comes meanwhile moves the rest on: some are seen twice, none is missed."""
    start = 0
    while True:
        answer = await http.get("/api/v1/messages", params={"start": start, "limit": PAGE})
        page = answer.raise_for_status().json()["messages"]
        for mail in page:
            yield mail
        if len(page) < PAGE:
            return
        start += len(page)


def _keep(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y%m%dT%H%M%S.%f}"
