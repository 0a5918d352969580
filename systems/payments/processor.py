"""Plays the payment processor: a company of its own, with an API of its own and its own bad days.

    GET    /customers/{id}    /customers/{id}/charges    /customers/{id}/fraud-signals    /customers/{id}/limits
    PATCH  /customers/{id}                  {"name": "…", "email": "…"}, either or both
    DELETE /customers/{id}                  detaches: no person behind the charges any more, the charges stay
    POST   /customers/{id}/charges          {"cents": 900, "invoice": "…"}: 403 with the reason where a limit forbids it
    DELETE /customers/{id}/fraud-signals    those without an open claim
    PUT    /customers/{id}/limits/{case}    {"limits": [{"category": "…", "purpose": "…", "kind": "…"}]}: these alone
    PUT    /customers/{id}/holds/{case}     {"categories": ["…"], "until": "2026-03-01"}; without categories it ends
    POST   /customers/{id}/notices          {"notice": "…", "what": "…", "category": "…"}: what was done with your copy
    POST   /deletions                       {"today", "charges_before", "fraud_signals_before"}: spares held, restricted
    PUT    /behaviour                       {"error_rate": 0.3, "delay_ms": 200, "rate_limit_per_s": 5}

Requests carry `Authorization: Bearer <key>`; changes an `Idempotency-Key`: a repeat gets the first answer. A refused
charge is no answer to keep: it may be allowed the next time.
Half of the errors that are switched on strike after the work is done, as the worst ones do.
"""

import hmac
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from habeas.participant import data_folder
from habeas.settings import load
from systems.payments import behaviour, ledger, wishes
from systems.payments.behaviour import Handler
from systems.payments.settings import ServerSettings

_DATABASE = web.AppKey("database", sqlite3.Connection)
_NOT_FOUND = (404, {"error": "not_found"})
Outcome = tuple[int, dict[str, Any]]
Body = TypeVar("Body", bound=BaseModel)


def application(folder: Path, key: str, dice: random.Random | None = None) -> web.Application:
    app = web.Application(middlewares=[behaviour.misbehave, _authenticate(key), _read])
    app[_DATABASE] = ledger.opened(folder / "processor.db")
    behaviour.install(app, dice)
    routes = app.router
    routes.add_get("/health/live", _well)
    routes.add_get("/health/ready", _well)
    routes.add_get("/customers/{id}", _customer)
    routes.add_patch("/customers/{id}", _change)
    routes.add_delete("/customers/{id}", _detach)
    routes.add_get("/customers/{id}/charges", _charges)
    routes.add_post("/customers/{id}/charges", _charge)
    routes.add_get("/customers/{id}/fraud-signals", _fraud_signals)
    routes.add_delete("/customers/{id}/fraud-signals", _drop_fraud_signals)
    routes.add_get("/customers/{id}/limits", _limits)
    routes.add_put("/customers/{id}/limits/{case}", _limit)
    routes.add_put("/customers/{id}/holds/{case}", _hold)
    routes.add_post("/customers/{id}/notices", _notice)
    routes.add_post("/deletions", _delete)

    async def close(app: web.Application) -> None:
        app[_DATABASE].close()

    app.on_cleanup.append(close)
    return app


def main() -> None:
    settings = load(ServerSettings)
    app = application(data_folder(), settings.processor_key.get_secret_value())
    web.run_app(app, port=settings.http_port, print=None, access_log=None)


def _authenticate(key: str) -> Any:
    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/health/") and request.headers.get("Authorization") != f"Bearer {key}":
            return web.json_response({"error": "unauthorized"}, status=401)
        return await handler(request)

    return authenticate


@web.middleware
async def _read(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Has the body at hand before anything is done, and answers one that is not understood."""
    await request.read()
    try:
        return await handler(request)
    except ValidationError:
        return web.json_response({"error": "body_invalid"}, status=422)


async def _well(_: web.Request) -> web.Response:
    return web.Response(text="well\n")


async def _customer(request: web.Request) -> web.Response:
    row = _one(request, "select * from customers where id = ?")
    return web.json_response({"error": "not_found"}, status=404) if row is None else web.json_response(dict(row))


async def _charges(request: web.Request) -> web.Response:
    return web.json_response({"data": _all(request, "select * from charges where customer = ? order by at, id")})


async def _fraud_signals(request: web.Request) -> web.Response:
    return web.json_response({"data": _all(request, "select * from fraud_signals where customer = ? order by id")})


async def _limits(request: web.Request) -> web.Response:
    return web.json_response(
        {"data": _all(request, "select * from limits where customer = ? order by request, category, purpose, kind")}
    )


async def _change(request: web.Request) -> web.Response:
    wish = wishes.Change.model_validate_json(await request.read())

    def work(db: sqlite3.Connection) -> Outcome:
        row = db.execute("select name, email from customers where id = ?", (request.match_info["id"],)).fetchone()
        if row is None:
            return _NOT_FOUND
        changed = {**dict(row), **wish.model_dump(exclude_none=True)}
        ledger.change(db, request.match_info["id"], **changed)
        return 200, {"changed": sorted(wish.model_fields_set)}

    return await _idempotently(request, work, personal=True)


async def _detach(request: web.Request) -> web.Response:
    def work(db: sqlite3.Connection) -> Outcome:
        gone = ledger.detach(db, request.match_info["id"])
        return (200, {"detached": gone}) if gone else _NOT_FOUND

    return await _idempotently(request, work, personal=True)


async def _charge(request: web.Request) -> web.Response:
    wish = wishes.Charge.model_validate_json(await request.read())

    def work(db: sqlite3.Connection) -> Outcome:
        charged = ledger.charge(db, request.match_info["id"], wish.cents, wish.invoice)
        return _NOT_FOUND if charged is None else (201, charged)

    try:
        return await _idempotently(request, work)
    except ledger.RefusedError as error:
        return web.json_response(
            {"error": error.kind, "category": error.category, "purpose": error.purpose}, status=403
        )


async def _drop_fraud_signals(request: web.Request) -> web.Response:
    return await _idempotently(
        request,
        lambda db: (200, {"deleted": ledger.drop_fraud_signals(db, request.match_info["id"])}),
        personal=True,
    )


async def _limit(request: web.Request) -> web.Response:
    wish = wishes.Limits.model_validate_json(await request.read())

    def work(db: sqlite3.Connection) -> Outcome:
        limits = [(each.category, each.purpose, each.kind) for each in wish.limits]
        ledger.limit(db, request.match_info["id"], request.match_info["case"], limits)
        return 200, {"limits": len(limits)}

    return await _idempotently(request, work)


async def _hold(request: web.Request) -> web.Response:
    wish = wishes.Hold.model_validate_json(await request.read())

    def work(db: sqlite3.Connection) -> Outcome:
        until = wish.until.isoformat()
        ledger.hold(db, request.match_info["id"], request.match_info["case"], wish.categories, until)
        return 200, {"held": len(wish.categories)}

    return await _idempotently(request, work)


async def _notice(request: web.Request) -> web.Response:
    wish = wishes.Notice.model_validate_json(await request.read())

    def work(db: sqlite3.Connection) -> Outcome:
        row = (wish.notice, request.match_info["id"], wish.what, wish.category, datetime.now(UTC).isoformat())
        db.execute("insert into notices values (?, ?, ?, ?, ?) on conflict do nothing", row)
        return 201, {"notice": wish.notice}

    return await _idempotently(request, work)


async def _delete(request: web.Request) -> web.Response:
    wish = wishes.Deletion.model_validate_json(await request.read())
    return await _idempotently(request, lambda db: (200, ledger.delete(db, **wish.model_dump())), personal=True)


async def _idempotently(
    request: web.Request, work: Callable[[sqlite3.Connection], Outcome], *, personal: bool = False
) -> web.Response:
    """Does `work` once for its key. `personal`: it takes away what describes a person."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return web.json_response({"error": "idempotency_key_missing"}, status=400)
    db, content = request.app[_DATABASE], await request.read()
    # A key stands for one body as well. What is kept of it is of no use to who tries names against it.
    digest = hmac.digest(request.headers["Authorization"].encode(), content, "sha256").hex()
    asked = f"{request.method} {request.path}" + (f" {digest}" if content else "")
    db.execute("begin immediate")
    try:
        row = db.execute("select * from idempotency where key = ?", (key,)).fetchone()
        if row is not None:
            db.execute("rollback")
            if row["request"] != asked:
                return web.json_response({"error": "idempotency_key_reused"}, status=422)
            return web.json_response(orjson.loads(row["body"]), status=row["status"])
        status, body = work(db)
        db.execute("insert into idempotency values (?, ?, ?, ?)", (key, asked, status, orjson.dumps(body).decode()))
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise
    if personal:
        db.execute("vacuum")  # what was deleted or overwritten is not to stay in the file
    return web.json_response(body, status=status)


def _one(request: web.Request, sql: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = request.app[_DATABASE].execute(sql, (request.match_info["id"],)).fetchone()
    return row


def _all(request: web.Request, sql: str) -> list[dict[str, Any]]:
    with closing(request.app[_DATABASE].execute(sql, (request.match_info["id"],))) as rows:
        return [dict(row) for row in rows]


if __name__ == "__main__":
    main()
