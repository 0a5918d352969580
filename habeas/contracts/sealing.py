"""Sealing of personal data: compact JWE (RFC 7516), `alg: dir`, `enc: A256GCM` (RFC 7518 4.5, 5.3).

The protected header binds a sealed text to its place: `kid` names the key, `typ` the ce_type, `sub` the request id
and, for tasks and results, `tid` the task id. All are checked on opening, so that nothing can be pasted from
another request, attempt or direction.
"""

import binascii
import os
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field, ValidationError

from habeas.contracts.base import Model
from habeas.contracts.errors import ContractError, HabeasError, KeyUnknownError, Reason

_NONCE_BYTES = 12
_TAG_BYTES = 16
_KID = re.compile(r"^[a-z][a-z0-9-]{1,30}/[1-9][0-9]{0,8}$")
_BASE64URL = re.compile(r"^[A-Za-z0-9_-]*$")


class KeyFileError(HabeasError):
    """A key file cannot be used. Names the file and the key at fault, never key material."""


class JsonWebKey(Model):
    """One symmetric content key (RFC 7517)."""

    kty: Annotated[str, Field(pattern="^oct$")]
    kid: Annotated[str, Field(pattern=_KID.pattern)]
    nbf: int = 0
    """Not before: seconds since 1970-01-01T00:00:00Z. The key seals from then on; it opens at any time."""
    k: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$", repr=False)]


class JsonWebKeySet(Model):
    keys: tuple[JsonWebKey, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed text belongs."""

    participant: str
    """Whose key: a portal, a system, `services` or `operators`."""
    ce_type: str
    subject: UUID
    task_id: UUID | None = None


class Keyring:
    """The keys one process may hold.

    Raises `ContractError` when something cannot be opened, `KeyUnknownError` where a newer key file may help.
    """

    def __init__(self, keys: Iterable[JsonWebKey], now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._ciphers: dict[str, AESGCM] = {}
        self._generations: dict[str, list[tuple[int, int, str]]] = {}
        for key in keys:
            if key.kid in self._ciphers:
                raise KeyFileError(f"key {key.kid} stands twice in the key file: remove one")
            participant, generation = key.kid.split("/")
            self._ciphers[key.kid] = AESGCM(_decode(key.k))
            self._generations.setdefault(participant, []).append((int(generation), key.nbf, key.kid))
        for generations in self._generations.values():
            generations.sort(reverse=True)

    @property
    def participants(self) -> frozenset[str]:
        return frozenset(self._generations)

    def sealing_kid(self, participant: str) -> str:
        """The id of the key that seals now: the highest number whose `nbf` has passed."""
        now = self._now()
        for _, not_before, kid in self._generations.get(participant, ()):
            if not_before <= now:
                return kid
        raise KeyFileError(
            f"no usable key of {participant}: add {participant}/1 (or a later one in force) to the key file"
        )

    def seal(self, place: Place, plaintext: bytes) -> str:
        kid = self.sealing_kid(place.participant)
        header = _header(kid, place)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[kid].encrypt(nonce, plaintext, header)
        return b"..".join(
            (header, b".".join((_encode(nonce), _encode(sealed[:-_TAG_BYTES]), _encode(sealed[-_TAG_BYTES:]))))
        ).decode()

    def open(self, place: Place, token: str) -> bytes:
        """The plaintext of `token`, provided that it was sealed for exactly `place`."""
        try:
            header, empty, nonce, ciphertext, tag = token.split(".")
            protected = orjson.loads(_decode(header))
            iv, sealed = _decode(nonce), _decode(ciphertext) + _decode(tag)
        except (ValueError, binascii.Error):
            raise _unopenable("not a compact JWE") from None
        if empty or len(iv) != _NONCE_BYTES or len(_decode(tag)) != _TAG_BYTES or not isinstance(protected, dict):
            raise _unopenable("not a compact JWE with alg dir and enc A256GCM")
        kid = protected.get("kid")
        if not isinstance(kid, str) or not _KID.match(kid):
            raise _unopenable("kid is missing or not <participant>/<number>")
        if kid.split("/")[0] != place.participant:
            raise ContractError(Reason.KEY_FOREIGN, "/personal", f"must be sealed under a key of {place.participant}")
        _check(protected, place)
        cipher = self._ciphers.get(kid)
        if cipher is None:
            raise KeyUnknownError(place.participant)
        try:
            return cipher.decrypt(iv, sealed, header.encode())
        except InvalidTag:
            raise _unopenable("the key does not open it") from None


class KeyFile:
    """A key file on disk, read again when it changes, so that a rotation needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._keyring = Keyring(())

    def keyring(self) -> Keyring:
        """Raises `KeyFileError` when the file is missing or not a JWK Set of `oct` keys."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._keyring = Keyring(JsonWebKeySet.model_validate_json(self._path.read_bytes()).keys)
                self._stamp = stamp
        except OSError as error:
            raise KeyFileError(
                f"cannot read the key file {self._path}: {error.strerror}; set HABEAS_KEYS to it"
            ) from None
        except ValidationError as error:
            where = "/".join(map(str, error.errors(include_input=False)[0]["loc"])) or "the document"
            raise KeyFileError(f"{self._path} is not a JWK Set of 256-bit oct keys: see {where}") from None
        return self._keyring


def new_key(participant: str, generation: int = 1, not_before: int = 0) -> dict[str, Any]:
    """A fresh random key in JWK form."""
    return {
        "kty": "oct",
        "kid": f"{participant}/{generation}",
        "nbf": not_before,
        "k": _encode(os.urandom(32)).decode(),
    }


def _header(kid: str, place: Place) -> bytes:
    task = f',"tid":"{place.task_id}"' if place.task_id else ""
    return _encode(
        f'{{"alg":"dir","enc":"A256GCM","kid":"{kid}","typ":"{place.ce_type}","sub":"{place.subject}"{task}}}'.encode()
    )


def _check(protected: Mapping[str, Any], place: Place) -> None:
    if protected.get("alg") != "dir" or protected.get("enc") != "A256GCM" or {"zip", "crit"} & protected.keys():
        raise _unopenable("alg must be dir, enc A256GCM, without zip or crit")
    expected = {"typ": place.ce_type, "sub": str(place.subject), "tid": str(place.task_id) if place.task_id else None}
    for member, value in expected.items():
        if protected.get(member) != value:
            raise ContractError(
                Reason.PERSONAL_MISPLACED, "/personal", f"sealed for another place: its {member} is not this message's"
            )


def _unopenable(detail: str) -> ContractError:
    return ContractError(Reason.PERSONAL_UNOPENABLE, "/personal", detail)


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: str) -> bytes:
    if not _BASE64URL.match(text):
        raise ValueError("not base64url")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
