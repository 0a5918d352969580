"""Plays the payment processor: a company of its own, with an API of its own and its own bad days.

    GET    /customers/{id}    /customers/{id}/charges    /customers/{id}/fraud-signals
    DELETE /customers/{id}                  detaches: no person behind the charges any more, the charges stay
    DELETE /customers/{id}/fraud-signals    those without an open claim
    PUT    /behaviour                       {"error_rate": 0.3, "delay_ms": 200, "rate_limit_per_s": 5}

Requests carry `Authorization: Bearer <key>`; deletions an `Idempotency-Key`: a repeat gets the first answer.
Half of the errors that are switched on strike after the work is done, as the worst ones do.
"""

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from habeas.participant import data_folder
from habeas.settings import load
from systems import sample
from systems.payments.settings import ServerSettings

_SCHEMA = Path(__file__).with_name("ledger.sql").read_text()
_DATABASE = web.AppKey("database", sqlite3.Connection)
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


def application(folder: Path, key: str, dice: random.Random | None = None) -> web.Application:
    app = web.Application(middlewares=[_misbehave, _authenticate(key)])
    app[_DATABASE] = _open(folder / "processor.db")
    app[_MOOD] = Mood(Behaviour(), dice or random.Random())  # noqa: S311 - when to fail, not a secret
    app.router.add_get("/health/live", _well)
    app.router.add_get("/health/ready", _well)
    app.router.add_put("/behaviour", _behave)
    app.router.add_get("/customers/{id}", _customer)
    app.router.add_get("/customers/{id}/charges", _charges)
    app.router.add_get("/customers/{id}/fraud-signals", _fraud_signals)
    app.router.add_delete("/customers/{id}", _detach)
    app.router.add_delete("/customers/{id}/fraud-signals", _drop_fraud_signals)

    async def close(app: web.Application) -> None:
        app[_DATABASE].close()

    app.on_cleanup.append(close)
    return app


def main() -> None:
    settings = load(ServerSettings)
    app = application(data_folder(), settings.processor_key.get_secret_value())
    web.run_app(app, port=settings.http_port, print=None, access_log=None)


@web.middleware
async def _misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not request.path.startswith("/customers/"):
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


def _authenticate(key: str) -> Any:
    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/health/") and request.headers.get("Authorization") != f"Bearer {key}":
            return web.json_response({"error": "unauthorized"}, status=401)
        return await handler(request)

    return authenticate


async def _well(_: web.Request) -> web.Response:
    return web.Response(text="well\n")


async def _behave(request: web.Request) -> web.Response:
    try:
        behaviour = Behaviour.model_validate_json(await request.read())
    except ValidationError:
        return web.json_response({"error": "behaviour_invalid"}, status=422)
    request.app[_MOOD].behaviour = behaviour
    return web.json_response(behaviour.model_dump())


async def _customer(request: web.Request) -> web.Response:
    row = _one(request, "select * from customers where id = ?")
    return web.json_response({"error": "not_found"}, status=404) if row is None else web.json_response(dict(row))


async def _charges(request: web.Request) -> web.Response:
    return web.json_response({"data": _all(request, "select * from charges where customer = ? order by at, id")})


async def _fraud_signals(request: web.Request) -> web.Response:
    return web.json_response({"data": _all(request, "select * from fraud_signals where customer = ? order by id")})


async def _detach(request: web.Request) -> web.Response:
    def work(db: sqlite3.Connection, customer: str) -> tuple[int, dict[str, Any]]:
        gone = db.execute("delete from customers where id = ?", (customer,)).rowcount
        return (200, {"detached": gone}) if gone else (404, {"error": "not_found"})

    return _idempotently(request, work)


async def _drop_fraud_signals(request: web.Request) -> web.Response:
    def work(db: sqlite3.Connection, customer: str) -> tuple[int, dict[str, Any]]:
        gone = db.execute("delete from fraud_signals where customer = ? and claim_open = 0", (customer,)).rowcount
        return 200, {"deleted": gone}

    return _idempotently(request, work)


def _idempotently(
    request: web.Request, work: Callable[[sqlite3.Connection, str], tuple[int, dict[str, Any]]]
) -> web.Response:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return web.json_response({"error": "idempotency_key_missing"}, status=400)
    db, asked = request.app[_DATABASE], f"{request.method} {request.path}"
    db.execute("begin immediate")
    try:
        row = db.execute("select * from idempotency where key = ?", (key,)).fetchone()
        if row is not None:
            db.execute("rollback")
            if row["request"] != asked:
                return web.json_response({"error": "idempotency_key_reused"}, status=422)
            return web.json_response(orjson.loads(row["body"]), status=row["status"])
        status, body = work(db, request.match_info["id"])
        db.execute("insert into idempotency values (?, ?, ?, ?)", (key, asked, status, orjson.dumps(body).decode()))
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise
    db.execute("vacuum")
    return web.json_response(body, status=status)


def _one(request: web.Request, sql: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = request.app[_DATABASE].execute(sql, (request.match_info["id"],)).fetchone()
    return row


def _all(request: web.Request, sql: str) -> list[dict[str, Any]]:
    with closing(request.app[_DATABASE].execute(sql, (request.match_info["id"],))) as rows:
        return [dict(row) for row in rows]


def _open(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("pragma secure_delete = on")
    db.executescript(_SCHEMA)
    db.execute("begin immediate")
    if db.execute("select 1 from seeded").fetchone() is None:
        for someone in sample.people():
            customer = someone.payment_customer_id
            db.execute(
                "insert into customers values (?, ?, ?, ?, ?, ?)",
                (customer, someone.name, someone.email, *someone.card),
            )
            db.executemany(
                "insert into charges values (?, ?, ?, ?, ?)",
                [
                    (charge.id, customer, charge.at.isoformat(), charge.cents, charge.invoice)
                    for charge in someone.charges
                ],
            )
            if someone.fraud_signal is not None:
                db.execute(
                    "insert into fraud_signals values (?, ?, ?, ?)",
                    (f"fs_{someone.number:04}", customer, someone.fraud_signal, int(someone.claim_open)),
                )
        db.execute("insert into seeded values (datetime('now'))")
    db.execute("commit")
    return db


if __name__ == "__main__":
    main()
