"""When are two messages the same? When their opened contents are, however they were spelled or sealed."""

import hashlib
import hmac
import json
from typing import Any

import orjson

from habeas.contracts.base import Message, PersonalModel

_PERSONAL = {"personal"}


def canonical(body: Message, personal: PersonalModel | None = None, *, ce_type: str | None = None) -> bytes:
    """The content as one byte string: members sorted, instants in UTC, defaults and unknown members left out.

    Defaults are left out rather than filled in, so that a member which a later version adds changes no older content.

    The sealed text itself does not count (each sealing differs), what it holds does; so `personal` is required for a
    message that has such a part, or `TypeError` is raised. The ce_type is part of the content; a command's, which has
    the verb, has to be given.
    """
    if (body.PERSONAL is None) is not (personal is None):
        raise TypeError(
            f"{type(body).__name__} {'has no' if body.PERSONAL is None else 'needs its opened'} personal part"
        )
    content: dict[str, Any] = {
        "type": ce_type or body.TYPE,
        "body": body.model_dump(mode="json", exclude=_PERSONAL if body.PERSONAL else None, exclude_defaults=True),
    }
    if personal is not None:
        content["personal"] = personal.model_dump(mode="json", exclude_defaults=True)
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # integers over 64 bits, which a system's record may hold
        return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def fingerprint(content: bytes, secret: bytes) -> bytes:
    """A keyed digest (HMAC-SHA-256) to compare contents by without keeping them; useless to whoever lacks `secret`."""
    return hmac.digest(secret, content, hashlib.sha256)
