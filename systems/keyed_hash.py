"""A keyed hash of an address: found again by whoever asks with the address, useless without the key."""

import hashlib
import hmac
import os
from pathlib import Path


class KeyedHash:
    """HMAC-SHA-256 under a secret of the system's own, kept in its folder and apart from the data it protects."""

    def __init__(self, folder: Path) -> None:
        path = folder / "keyed-hash.secret"
        if not path.exists():
            fresh = path.with_suffix(".new")
            with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                file.write(os.urandom(32))
                os.fsync(file.fileno())
            fresh.rename(path)
        self._secret = path.read_bytes()

    def of(self, address: str) -> str:
        return hmac.digest(self._secret, address.strip().casefold().encode(), hashlib.sha256).hex()
