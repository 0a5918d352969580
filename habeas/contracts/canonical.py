"""When are two messages the same? When their opened contents are, however they were spelled or sealed."""

import hashlib
import hmac
from typing import Any

import orjson

from habeas.contracts.base import Message, PersonalModel


def canonical(body: Message, personal: PersonalModel | None = None) -> bytes:
    """The content as one byte string: members sorted, instants in UTC, defaults filled in, unknown members left out.

    The sealed text itself does not count (each sealing differs), what it holds does.
    """
    content: dict[str, Any] = body.model_dump(mode="json", exclude={"personal"})
    if personal is not None:
        content["personal"] = personal.model_dump(mode="json")
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def fingerprint(content: bytes, secret: bytes) -> bytes:
    """A keyed digest (HMAC-SHA-256) to compare contents by without keeping them; useless to whoever lacks `secret`."""
    return hmac.digest(secret, content, hashlib.sha256)
