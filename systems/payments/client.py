"""The processor's API as this adapter sees it: patient with its bad days, and no more patient than it has to be."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from habeas.participant import Permanent, Unavailable
from habeas.settings import load
from systems.payments.settings import ProcessorSettings

_TRIES = 6
_LONGEST_WAIT = 10.0  # seconds, whatever `Retry-After` says: the library waits longer by itself
_BACKOFF = wait_random_exponential(0.1, _LONGEST_WAIT)


class _NotNow(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, cause: str, after: float | None = None) -> None:
        super().__init__(cause)
        self.after = after


class ChargeRefusedError(Exception):
    """A charge that may not be made: which purpose it would have served, and what forbids it."""

    def __init__(self, error: str, category: str, purpose: str) -> None:
        super().__init__(error)
        self.why = error
        self.category = category
        self.purpose = purpose


class Processor:
    """Raises `Unavailable` when the processor does not come round, `Permanent` when it refuses what it is sent."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def customer(self, customer: str) -> dict[str, Any] | None:
        return await self._call("GET", _path(customer))

    async def charges(self, customer: str) -> list[dict[str, Any]]:
        found = await self._call("GET", f"{_path(customer)}/charges")
        return list(found["data"]) if found else []

    async def fraud_signals(self, customer: str) -> list[dict[str, Any]]:
        found = await self._call("GET", f"{_path(customer)}/fraud-signals")
        return list(found["data"]) if found else []

    async def limits(self, customer: str) -> list[dict[str, Any]]:
        found = await self._call("GET", f"{_path(customer)}/limits")
        return list(found["data"]) if found else []

    async def limit(self, customer: str, case: str, limits: Sequence[Mapping[str, str]], key: str) -> None:
        """Has these, and no others, stand for the case; once for each `key`."""
        body = {"limits": [dict(limit) for limit in limits]}
        await self._call("PUT", f"{_path(customer)}/limits/{case}", f"{key}/limits", body)

    async def hold(self, customer: str, case: str, categories: Sequence[str], until: date, key: str) -> None:
        """Has the case hold these categories, and no others, up to and with that day; once for each `key`."""
        body = {"categories": list(categories), "until": until.isoformat()}
        await self._call("PUT", f"{_path(customer)}/holds/{case}", f"{key}/hold", body)

    async def change(self, customer: str, values: Mapping[str, str], key: str) -> None:
        """Name, e-mail or both; once for each `key`."""
        await self._call("PATCH", _path(customer), f"{key}/change", dict(values))

    async def detach(self, customer: str, key: str) -> None:
        """Once for each `key`, however often it is sent."""
        await self._call("DELETE", _path(customer), f"{key}/detach")

    async def drop_fraud_signals(self, customer: str, key: str) -> None:
        """Those without an open claim; once for each `key`."""
        await self._call("DELETE", f"{_path(customer)}/fraud-signals", f"{key}/fraud-signals")

    async def charge(self, customer: str, cents: int, invoice: str, key: str) -> dict[str, Any] | None:
        """What was charged; None where there is no such customer. Raises `ChargeRefusedError`."""
        body = {"cents": cents, "invoice": invoice}
        return await self._call("POST", f"{_path(customer)}/charges", f"{key}/charge", body)

    async def delete(
        self, today: date, charges_before: datetime, fraud_signals_before: datetime, key: str
    ) -> dict[str, int]:
        """Older charges and fraud signals, but for those held or restricted; counts by category."""
        body = {
            "today": today.isoformat(),
            "charges_before": charges_before.isoformat(),
            "fraud_signals_before": fraud_signals_before.isoformat(),
        }
        return await self._call("POST", "/deletions", f"{key}/deletion", body) or {}

    async def _call(
        self, method: str, path: str, key: str | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """The body; None where the processor knows no such thing."""
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(_TRIES), wait=_wait, retry=retry_if_exception_type(_NotNow), reraise=True
            ):
                with attempt:
                    return await self._once(method, path, headers, body)
        except _NotNow as error:
            raise Unavailable(f"the payment processor does not answer ({error}); tried {_TRIES} times") from None
        raise AssertionError("unreachable")

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: Mapping[str, Any] | None
    ) -> dict[str, Any] | None:
        try:
            response = await self._http.request(method, path, headers=headers, json=body)
        except httpx.TransportError as error:
            raise _NotNow(type(error).__name__) from None
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _NotNow(f"status {response.status_code}", _seconds(response.headers.get("Retry-After")))
        if response.status_code == httpx.codes.FORBIDDEN:
            raise ChargeRefusedError(**response.json())
        if response.is_error:
            raise Permanent("processor_refused", f"the payment processor answered with status {response.status_code}")
        answer: dict[str, Any] = response.json()
        return answer


@asynccontextmanager
async def processor() -> AsyncIterator[Processor]:
    """A client for the processor that the settings name."""
    settings = load(ProcessorSettings)
    async with httpx.AsyncClient(
        base_url=settings.url,
        headers={"Authorization": f"Bearer {settings.key.get_secret_value()}"},
        timeout=5.0,
    ) as http:
        yield Processor(http)


def _path(customer: str) -> str:
    return f"/customers/{quote(customer, safe='')}"


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.after if isinstance(error, _NotNow) else None
    return min(asked, _LONGEST_WAIT) if asked is not None else _BACKOFF(state)


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds or as a date (RFC 9110 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.isdigit():
        return float(retry_after)
    try:
        return max((parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None
