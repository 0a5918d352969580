"""The topic is the sender: Kafka itself refuses whoever would speak for another."""

from __future__ import annotations

import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from stand import Stand
from whole_records import Wire, put

from habeas.contracts.topics import (
    DEAD_LETTERS,
    OUTCOMES,
    PROGRESS,
    REQUESTS,
    dead_letters,
    results,
    status,
    submissions,
    tasks,
)

ANYTHING = Wire(b"", b"{}", [])


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("billing", status("web")),
        ("billing", results("support")),
        ("billing", tasks("billing")),
        ("billing", dead_letters("support")),
        ("billing", submissions("web")),
        ("billing", PROGRESS),
        ("web", status("web")),
        ("web", submissions("helpdesk")),
        ("web", REQUESTS),
        ("intake", status("web")),
        ("intake", OUTCOMES),
        ("notifier", results("billing")),
    ],
)
async def test_nobody_writes_for_another(stand: Stand, name: str, topic: str) -> None:
    async with stand.producer(name) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await put(producer, topic, ANYTHING)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("billing", tasks("support")),
        ("billing", results("billing")),
        ("billing", DEAD_LETTERS),
        ("web", status("helpdesk")),
        ("web", submissions("web")),
        ("web", REQUESTS),
        ("support", dead_letters("billing")),
    ],
)
async def test_nobody_reads_another_s(stand: Stand, name: str, topic: str) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        async with stand.watching(name, topic) as watch:
            await watch.first(lambda _: True)
