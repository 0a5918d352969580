"""Random bytes from the system's source, drawn in larger pieces: a system call for each costs more than its use."""

import os
from uuid import UUID

_PIECES = 256

_pools: dict[int, list[bytes]] = {}
"""By size, pieces that nobody has had."""

if hasattr(os, "register_at_fork"):  # lest a process and its fork hand out the same: no nonce may come twice
    os.register_at_fork(after_in_child=_pools.clear)


def random_bytes(count: int) -> bytes:
    """`count` bytes of `os.urandom`, handed out once, to threads too."""
    try:
        return _pools[count].pop()
    except (KeyError, IndexError):
        drawn = os.urandom(count * _PIECES)
        pieces = [drawn[start : start + count] for start in range(0, len(drawn), count)]
        last = pieces.pop()
        _pools.setdefault(count, []).extend(pieces)
        return last


def random_id() -> UUID:
    """A UUID of version 4 (RFC 9562 5.4)."""
    return UUID(bytes=random_bytes(16), version=4)
