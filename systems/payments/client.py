"""The processor's API as this adapter sees it: patient with its bad days, and no more patient than it has to be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
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


class Processor:
    """Raises `Unavailable` when the processor does not come round, `Permanent` when it refuses what it is sent."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def customer(self, customer: str) -> dict[str, Any] | None:
        return await self._call("GET", f"/customers/{quote(customer, safe='')}")

    async def charges(self, customer: str) -> list[dict[str, Any]]:
        found = await self._call("GET", f"/customers/{quote(customer, safe='')}/charges")
        return list(found["data"]) if found else []

    async def fraud_signals(self, customer: str) -> list[dict[str, Any]]:
        found = await self._call("GET", f"/customers/{quote(customer, safe='')}/fraud-signals")
        return list(found["data"]) if found else []

    async def detach(self, customer: str, key: str) -> None:
        """Once for each `key`, however often it is sent."""
        await self._call("DELETE", f"/customers/{quote(customer, safe='')}", f"{key}/detach")

    async def drop_fraud_signals(self, customer: str, key: str) -> None:
        """Those without an open claim; once for each `key`."""
        await self._call("DELETE", f"/customers/{quote(customer, safe='')}/fraud-signals", f"{key}/fraud-signals")

    async def _call(self, method: str, path: str, key: str | None = None) -> dict[str, Any] | None:
        """The body; None where the processor knows no such thing."""
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(_TRIES), wait=_wait, retry=retry_if_exception_type(_NotNow), reraise=True
            ):
                with attempt:
                    return await self._once(method, path, headers)
        except _NotNow as error:
            raise Unavailable(f"the payment processor does not answer ({error}); tried {_TRIES} times") from None
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any] | None:
        try:
            response = await self._http.request(method, path, headers=headers)
        except httpx.TransportError as error:
            raise _NotNow(type(error).__name__) from None
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _NotNow(f"status {response.status_code}", _seconds(response.headers.get("Retry-After")))
        if response.is_error:
            raise Permanent("processor_refused", f"the payment processor answered with status {response.status_code}")
        body: dict[str, Any] = response.json()
        return body


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
