"""The mail server refuses, dawdles, defers, and hangs up after it has taken a mail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Final

from chaos_faults import Fault, Scenario
from chaos_mail import Mood
from chaos_stage import CONNECTIONS_CUT, Stage

_FIRST_RETRY: Final = timedelta(seconds=61)
"""After it a deferred mail is tried again, by the workflow's clock."""
_REFUSING: Final = "refusing"
_LENGTHS: Final = {
    _REFUSING: (2.0, 6.0),
    Mood.SLOW: (4.0, 8.0),
    Mood.DEFERRING: (1.0, 4.0),
    Mood.CUTTING: (0.5, 2.5),
}


async def _refuse(stage: Stage, length: float) -> None:
    stage.note(CONNECTIONS_CUT, "mail server")
    await stage.mail.close(abruptly=True)
    try:
        await asyncio.sleep(length)
    finally:
        await stage.mail.open()


async def _be(stage: Stage, mood: Mood, length: float) -> None:
    stage.mail.mood = mood
    try:
        await asyncio.sleep(length)
    finally:
        stage.mail.mood = Mood.WELL


async def _well(stage: Stage) -> None:
    stage.mail.mood = Mood.WELL
    await stage.mail.open()


def _draw(random: Random, seconds: float, _replicas: int) -> Iterator[Fault]:
    at = random.uniform(0.2, 2.0)
    while at < seconds:
        mood = random.choice(list(_LENGTHS))
        length = random.uniform(*_LENGTHS[mood])

        async def strike(stage: Stage, mood: str = mood, length: float = length) -> None:
            await (_refuse(stage, length) if mood == _REFUSING else _be(stage, Mood(mood), length))
            stage.advance_clock(_FIRST_RETRY)

        yield Fault(at, f"mail server {mood} for {length:.1f} s, then a minute passes", strike)
        at += length + random.uniform(1.0, 3.0)


MAIL = Scenario("mail", "SMTP refusing, slow, 4xx, hanging up after DATA (5xx: addresses that bounce)", _draw, _well)
