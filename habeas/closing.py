"""Clients of Kafka that are stopped within a time limit, and leave nothing behind that goes on trying."""

import asyncio
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

CLOSING = 5.0
"""Seconds for a client that is given up to close as it should."""
_CANCELS = 50
"""Times its tasks are asked to end, a tenth of a second apart at most."""
_PARTS = ("_sender", "_message_accumulator", "_fetcher", "_coordinator")
"""What of a producer or consumer has tasks of its own."""


async def stopped(client: Any) -> None:
    """Stop a client, whatever state it is in, within about `CLOSING` seconds. Never raises what Kafka says to it.

    A producer sends nothing after this has returned, delivered or not; cancelled, it sends nothing either.
    """
    # A task of its own: a consumer that waits for a dead node ends its stop with a `CancelledError` nobody asked for.
    stopping = asyncio.ensure_future(client.stop())
    try:
        await asyncio.wait({stopping}, timeout=CLOSING)
        if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
            await _cut(client, stopping)
    except asyncio.CancelledError:
        for task in (stopping, *_at_work(client)):
            task.cancel()
        raise
    if not stopping.cancelled() and not isinstance(error := stopping.exception(), (KafkaError, OSError, type(None))):
        raise error


async def _cut(client: Any, stopping: asyncio.Future[None]) -> None:
    """It waits for an answer that does not come: end what would go on trying for ever, and close its connections.

    In this order, since a task that is about to connect would do so behind the back of whoever closes connections.
    """
    client._closed = True
    for _ in range(_CANCELS):
        left = {task for task in (stopping, *_at_work(client)) if not task.done()}
        if not left:
            break
        for task in left:
            task.cancel()
        done, _pending = await asyncio.wait(left, timeout=0.1)
        for task in done - {stopping}:
            if not task.cancelled():
                task.exception()  # nobody else asks for it
    with suppress(KafkaError, OSError):
        async with asyncio.timeout(CLOSING):
            await (client.client if isinstance(client, AIOKafkaProducer) else client._client).close()


def _at_work(client: Any) -> set[asyncio.Task[Any]]:
    """Every task of its parts, each a method of one: a sender shows nobody those that talk to nodes."""
    parts = {id(part) for name in _PARTS if (part := getattr(client, name, None)) is not None}
    return {task for task in asyncio.all_tasks() if id(_of(task)) in parts}


def _of(task: asyncio.Task[Any]) -> object:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return None if frame is None else frame.f_locals.get("self")
