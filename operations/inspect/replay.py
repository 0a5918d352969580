"""Publishing dead letters' records once more, just as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from habeas.contracts.cloudevents import encode
from habeas.contracts.sealing import Keyring
from operations.errors import OperationsError
from operations.inspect.letters import Letter, Pile, mark, opened, restored, whole_letters
from shared.clock import Clock

RawParts = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


@dataclass(slots=True)
class Outcome:
    """What a replay did, or, as a dry run, would do."""

    sent: list[tuple[Letter, Any]] = field(default_factory=list)
    """With where Kafka put each: topic, partition, offset."""
    planned: list[Letter] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def rehearse(consumer: AIOKafkaConsumer, letters: Sequence[Letter], pile: Pile, keyring: Keyring) -> Outcome:
    """What would be sent, and what cannot be."""
    outcome = Outcome()
    async for letter, parts in _records(consumer, letters, pile, keyring):
        if isinstance(parts, str):
            outcome.failed.append(parts)
        else:
            outcome.planned.append(letter)
    outcome.planned.sort(key=_refused_at)
    return outcome


async def replay(
    consumer: AIOKafkaConsumer,
    producer: AIOKafkaProducer,
    letters: Sequence[Letter],
    pile: Pile,
    keyring: Keyring,
    *,
    by: str,
    clock: Clock,
) -> Outcome:
    """Send each and note beside the letter that it was sent. What lies between the two may be sent again: harmless."""
    outcome = Outcome()
    async for letter, parts in _records(consumer, letters, pile, keyring):
        if isinstance(parts, str):
            outcome.failed.append(parts)
            continue
        key, value, headers = parts
        sent = await producer.send_and_wait(letter.body.topic, value, key=key, headers=headers)
        outcome.sent.append((letter, sent))
        key, value, noted = encode(mark(letter, sent, by, clock()))
        await producer.send_and_wait(pile.topic, value, key=key, headers=noted)
    outcome.sent.sort(key=lambda each: _refused_at(each[0]))
    return outcome


async def _records(consumer: AIOKafkaConsumer, letters: Sequence[Letter], pile: Pile, keyring: Keyring) -> Any:
    """Each letter with its record's key, value and headers, or with why it cannot be replayed."""
    async for letter, body in whole_letters(consumer, letters):
        parts: RawParts | str
        try:
            parts = restored(body, opened(body, pile, keyring), pile)
        except OperationsError as error:
            parts = str(error)
        yield letter, parts


def _refused_at(letter: Letter) -> datetime:
    return letter.body.refused_at
