"""Clients of Kafka that are stopped within a time limit, and leave nothing behind that goes on trying."""

import asyncio
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

CLOSING = 5.0
"""Seconds for a client that is given up to close as it should."""
_CANCELS = 50
"""Times a producer's task is asked to end, a tenth of a second apart at most."""


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
