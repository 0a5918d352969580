"""Clients of Kafka that are started within a time limit, or not at all and then closed."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from habeas.portal.errors import DeniedError, UnreachableError

AUTHORIZATION = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between tries, doubling."""
CLOSING = 5.0
"""Seconds for a client that is given up to close as it should."""
_CANCELS = 50
"""Times a producer's task is asked to end, a tenth of a second apart at most."""


class Client(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


Started = TypeVar("Started", bound=Client)


async def started(make: Callable[[], Started], *, portal: str, patience: float, verb: str, what: str) -> Started:
    """A client that has started. Tries for `patience` seconds; raises `UnreachableError`, `DeniedError`."""
    cause, pause = "no answer", FIRST_PAUSE
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while True:
                client = make()
                try:
                    await client.start()
                except AUTHORIZATION:
                    await stopped(client)
                    denied = DeniedError(portal, verb, what)
                    break
                except (KafkaError, OSError) as error:
                    cause = type(error).__name__
                    await stopped(client)
                except BaseException:
                    await stopped(client)
                    raise
                else:
                    return client
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            raise denied
    raise UnreachableError(patience, cause)


async def stopped(client: Any) -> None:
    """Stop a client, whatever state it is in, within about `CLOSING` seconds. Never raises what Kafka says to it."""
    try:
        async with asyncio.timeout(CLOSING):
            if isinstance(client, AIOKafkaProducer):
                await client.flush()  # part of its stop, which however leaves a task behind when it is cut short
            await client.stop()
    except (KafkaError, OSError, TimeoutError):
        await _cut(client)


async def _cut(client: Any) -> None:
    """It waits for an answer that does not come: close its connections, and end what would go on trying for ever."""
    client._closed = True
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSING):
            await (client.client if isinstance(client, AIOKafkaProducer) else client._client).close()
    sender = client._sender.sender_task if isinstance(client, AIOKafkaProducer) else None
    for _ in range(_CANCELS):
        if sender is None or sender.done():
            return
        sender.cancel()  # once for its loop, and once for each request that it then waits for
        await asyncio.wait({sender}, timeout=0.1)
