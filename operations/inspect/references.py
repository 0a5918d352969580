"""A request as people name it: its id, or the reference that they read out on the phone."""

from __future__ import annotations

import re
from uuid import UUID

from habeas.contracts.base import identifier
from operations.errors import UsageError

_MISREAD = str.maketrans("OIL", "011")  # the alphabet has no such letters (Crockford's base 32)
_REFERENCE = re.compile(r"[0-9A-HJKMNP-TV-Z]{8}")
_NOISE = re.compile(r"[\s._/–—-]+")


def request_named(text: str) -> UUID | str:
    """Return the id, or the reference as it is written: `hb 7k3m q2p9`, `7K3MQ2P9` and `HB-7K3M-Q2P9` are the same.

    Raises UsageError for what can be neither.
    """
    found = identifier(text.strip())
    if found is not None:
        return found
    letters = _NOISE.sub("", text).upper()
    if len(letters) == 10:
        letters = letters.removeprefix("HB")
    letters = letters.translate(_MISREAD)
    if not _REFERENCE.fullmatch(letters):
        raise UsageError(
            f"{text!r} names no request: give its id (a UUID of 36 characters) or its reference, as HB-7K3M-Q2P9. "
            "`habeas requests` lists the references, with --json the ids too."
        )
    return f"HB-{letters[:4]}-{letters[4:]}"
