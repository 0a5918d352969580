"""The processor's bad days: errors, slowness and rate limits, switched on with PUT /behaviour."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Behaviour(BaseModel):
    """How the processor is to behave; everything off by default."""

    model_config = ConfigDict(frozen=True)

    error_rate: float = Field(default=0, ge=0, le=1)
    delay_ms: int = Field(default=0, ge=0, le=60_000)
    rate_limit_per_s: float = Field(default=0, ge=0)
    """0 for none."""


@dataclass(slots=True)
class Mood:
    behaviour: Behaviour
    dice: random.Random
    tokens: float = 0.0
    counted_at: float = 0.0

    def admits(self) -> bool:
        """A token bucket that holds one second's worth."""
        rate = self.behaviour.rate_limit_per_s
        if not rate:
            return True
        now = monotonic()
        self.tokens = min(max(rate, 1.0), self.tokens + (now - self.counted_at) * rate)
        self.counted_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def fails(self) -> bool:
        return self.dice.random() < self.behaviour.error_rate


_MOOD = web.AppKey("mood", Mood)


def install(app: web.Application, dice: random.Random | None) -> None:
    app[_MOOD] = Mood(Behaviour(), dice or random.Random())  # noqa: S311 - when to fail, not a secret
    app.router.add_put("/behaviour", _behave)


@web.middleware
async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not request.path.startswith(("/customers/", "/deletions")):
        return await handler(request)
    mood = request.app[_MOOD]
    await asyncio.sleep(mood.behaviour.delay_ms / 1000)
    if not mood.admits():
        return web.json_response({"error": "too_many_requests"}, status=429, headers={"Retry-After": "1"})
    if not mood.fails():
        return await handler(request)
    if mood.dice.random() < 0.5:
        await handler(request)
    return web.json_response({"error": "unavailable"}, status=503)


async def _behave(request: web.Request) -> web.Response:
    try:
        behaviour = Behaviour.model_validate_json(await request.read())
    except ValidationError:
        return web.json_response({"error": "behaviour_invalid"}, status=422)
    request.app[_MOOD].behaviour = behaviour
    return web.json_response(behaviour.model_dump())
