"""Clients of Kafka that are started within a time limit, or not at all and then closed."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from habeas.closing import stopped
from habeas.portal.errors import DeniedError, UnreachableError

AUTHORIZATION = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between tries, doubling."""


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
