"""Sealing of objects in the store: large content in authenticated chunks under a random key of its own.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015), as the file format age uses it, with AES-256-GCM:

    object  = magic chunk* last
    magic   = "HABEAS" 0x00 0x01
    chunk   = AES-256-GCM(key, nonce(i, 0), 65536 bytes, magic)
    last    = AES-256-GCM(key, nonce(i, 1), 0 to 65536 bytes, magic); empty only as the first and only one
    nonce   = i as 11 bytes, big-endian, then one byte: 1 for the last chunk, else 0

So a chunk opens only under its key, at its position, and only the true last one ends the object: truncation,
extension, reordering and swapping do not pass. A key seals one object and never another, since the nonces repeat;
it travels sealed, beside the name of the object, in a `personal` member.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from habeas.contracts.errors import HabeasError

CHUNK_BYTES = 65_536
MAGIC = b"HABEAS\x00\x01"

_TAG_BYTES = 16
_KEY_BYTES = 32
_SEALED_CHUNK_BYTES = CHUNK_BYTES + _TAG_BYTES


class ArtifactError(HabeasError):
    """A sealed object cannot be used. Never names its content or its key."""


def new_artifact_key() -> str:
    """A fresh key for one object: 256 random bits in base64url, as a JWK's member `k` has them."""
    return urlsafe_b64encode(os.urandom(_KEY_BYTES)).rstrip(b"=").decode()


def sealed_bytes(plain_bytes: int) -> int:
    """How long the sealed object is whose content has that length."""
    chunks = max(1, -(-plain_bytes // CHUNK_BYTES))
    return len(MAGIC) + plain_bytes + chunks * _TAG_BYTES


def plain_bytes(sealed: int) -> int:
    """How long the content is of a sealed object of that length."""
    body = max(0, sealed - len(MAGIC))
    return max(0, body - max(1, -(-body // _SEALED_CHUNK_BYTES)) * _TAG_BYTES)


class Sealer:
    """Seals one object piece by piece: `update` any number of times, then `finish` once."""

    def __init__(self, key: str) -> None:
        self._cipher = _cipher(key)
        self._pending = bytearray()
        self._chunks = 0

    def update(self, piece: bytes) -> bytes:
        """What is sealed for certain so far; at least one byte is kept back, because the last chunk is marked."""
        self._pending += piece
        sealed = [MAGIC] if self._chunks == 0 and len(self._pending) > CHUNK_BYTES else []
        while len(self._pending) > CHUNK_BYTES:
            sealed.append(self._seal(bytes(self._pending[:CHUNK_BYTES]), last=False))
            del self._pending[:CHUNK_BYTES]
        return b"".join(sealed)

    def finish(self) -> bytes:
        magic = b"" if self._chunks else MAGIC
        return magic + self._seal(bytes(self._pending), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._chunks, last=last), chunk, MAGIC)
        self._chunks += 1
        return sealed


class Opener:
    """Opens one object piece by piece; gives out no byte that is not authenticated.

    The content is whole only when `finish` has returned: whoever stores or shows it earlier must undo that when
    `ArtifactError` is raised.
    """

    def __init__(self, key: str) -> None:
        self._cipher = _cipher(key)
        self._pending = bytearray()
        self._begun = False
        self._chunks = 0

    def update(self, piece: bytes) -> bytes:
        self._pending += piece
        if not self._begun and len(self._pending) >= len(MAGIC):
            if self._pending[: len(MAGIC)] != MAGIC:
                raise ArtifactError("this is no sealed object: check that its name is the one that came with the key")
            del self._pending[: len(MAGIC)]
            self._begun = True
        opened = []
        while self._begun and len(self._pending) > _SEALED_CHUNK_BYTES:
            opened.append(self._open(bytes(self._pending[:_SEALED_CHUNK_BYTES]), last=False))
            del self._pending[:_SEALED_CHUNK_BYTES]
        return b"".join(opened)

    def finish(self) -> bytes:
        if not self._begun:
            raise ArtifactError("the sealed object ends too early: fetch it again, or have it sealed anew")
        opened = self._open(bytes(self._pending), last=True)
        if not opened and self._chunks > 1:
            raise _damaged()
        return opened

    def _open(self, chunk: bytes, *, last: bool) -> bytes:
        try:
            opened = self._cipher.decrypt(_nonce(self._chunks, last=last), chunk, MAGIC)
        except InvalidTag:
            raise _damaged() from None
        self._chunks += 1
        return opened


def seal_artifact(key: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The sealed object, in pieces, of a content that comes in pieces of any size."""
    sealer = Sealer(key)
    for piece in pieces:
        if sealed := sealer.update(piece):
            yield sealed
    yield sealer.finish()


def open_artifact(key: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content, in pieces. It is whole only when the iterator has ended; raises `ArtifactError`."""
    opener = Opener(key)
    for piece in pieces:
        if opened := opener.update(piece):
            yield opened
    if opened := opener.finish():
        yield opened


async def open_artifact_stream(key: str, pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """As `open_artifact`, of a content that arrives."""
    opener = Opener(key)
    async for piece in pieces:
        if opened := opener.update(piece):
            yield opened
    if opened := opener.finish():
        yield opened


def _nonce(chunk: int, *, last: bool) -> bytes:
    return chunk.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _cipher(key: str) -> AESGCM:
    try:
        secret = urlsafe_b64decode(key + "=" * (-len(key) % 4))
    except ValueError:
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise ArtifactError("the key of a sealed object is 256 bits in base64url: take one from new_artifact_key()")
    return AESGCM(secret)


def _damaged() -> ArtifactError:
    return ArtifactError("the sealed object was changed, cut or sealed under another key: have it sealed anew")
