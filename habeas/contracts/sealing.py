"""Sealing of personal data: compact JWE (RFC 7516), `alg: dir`, `enc: A256GCM` (RFC 7518 4.5, 5.3).

The protected header binds a sealed text to its place: `kid` names the key, `typ` the ce_type, `sub` the request id
and, for tasks and results, `tid` the task id. All are checked on opening, so that nothing can be pasted from
another request, attempt or direction.
"""

import hashlib
import hmac
import os
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field, ValidationError
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema

from habeas.contracts.base import Model, identifier
from habeas.contracts.errors import ContractError, HabeasError, KeyUnknownError, Reason, pointer_to
from habeas.contracts.randomness import random_bytes

_NONCE_BYTES = 12
_TAG_BYTES = 16
KID_PATTERN = r"^[a-z][a-z0-9-]{1,30}/[1-9][0-9]{0,8}$"
_KID = re.compile(KID_PATTERN)
_READ_BASE64 = SchemaValidator(core_schema.bytes_schema(), {"val_json_bytes": "base64"})
_WRITE_BASE64 = SchemaSerializer(core_schema.bytes_schema(), {"ser_json_bytes": "base64"})
"""Ten times and twice as fast as binascii, which has not the alphabet of URLs."""


class KeyFileError(HabeasError):
    """A key file cannot be used. Names the file and the key at fault, never key material."""


class JsonWebKey(Model):
    """One symmetric content key (RFC 7517)."""

    kty: Annotated[str, Field(pattern="^oct$")]
    kid: Annotated[str, Field(pattern=KID_PATTERN)]
    nbf: int = 0
    """Not before: seconds since 1970-01-01T00:00:00Z. The key seals from then on; it opens at any time."""
    k: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$", repr=False)]
    """32 bytes, base64url: the last character carries four bits alone."""


class JsonWebKeySet(Model):
    keys: tuple[JsonWebKey, ...]


class Place(NamedTuple):
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

    def __init__(
        self,
        keys: Iterable[JsonWebKey],
        now: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = random_bytes,
    ) -> None:
        """`now` in seconds since 1970 UTC; `random` gives that many random bytes: a nonce must never come again."""
        self._now = now
        self._random = random
        self._ciphers: dict[str, AESGCM] = {}
        self._secrets: dict[str, bytes] = {}
        self._generations: dict[str, list[tuple[int, int, str]]] = {}
        for key in keys:
            if key.kid in self._ciphers:
                raise KeyFileError(f"key {key.kid} stands twice in the key file: remove one")
            secret = urlsafe_b64decode(key.k + "=")
            participant, generation = key.kid.split("/")
            self._ciphers[key.kid] = AESGCM(secret)
            self._secrets[key.kid] = hmac.digest(secret, b"habeas fingerprint", hashlib.sha256)
            self._generations.setdefault(participant, []).append((int(generation), key.nbf, key.kid))
        for generations in self._generations.values():
            generations.sort(reverse=True)
        self._kids = {
            participant: tuple(kid for _, _, kid in generations)
            for participant, generations in self._generations.items()
        }

    @property
    def participants(self) -> frozenset[str]:
        return frozenset(self._generations)

    def kids(self, participant: str) -> tuple[str, ...]:
        """The ids of all keys of the participant, the newest first, in force or not."""
        return self._kids.get(participant, ())

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
        nonce = self._random(_NONCE_BYTES)
        sealed = self._ciphers[kid].encrypt(nonce, plaintext, header.encode())
        return f"{header}..{_encode(nonce)}.{_encode(sealed[:-_TAG_BYTES])}.{_encode(sealed[-_TAG_BYTES:])}"

    def open(self, place: Place, token: str) -> bytes:
        """The plaintext of `token`, provided that it was sealed for exactly `place`."""
        parts = token.split(".")
        if len(parts) != 5 or not parts[0].isascii():
            raise _unopenable("not a compact JWE")
        header, key = parts[0], parts[1]
        nonce, ciphertext, tag = _decode(parts[2]), _decode(parts[3]), _decode(parts[4])
        if nonce is None or ciphertext is None or tag is None or (key and _decode(key) is None):
            raise _unopenable("not a compact JWE")
        kid = self._expected(header, place) or _kid(header, place)
        if key or len(nonce) != _NONCE_BYTES or len(tag) != _TAG_BYTES:
            raise _unopenable("not a compact JWE with alg dir and enc A256GCM")
        cipher = self._ciphers.get(kid)
        if cipher is None:
            raise KeyUnknownError(place.participant)
        try:
            return cipher.decrypt(nonce, ciphertext + tag, header.encode())
        except InvalidTag:
            pass
        raise _unopenable("the key does not open it: another key under that kid, or the text was changed")

    def check(self, place: Place, token: str) -> None:
        """Raises what `open` would where `token` is sealed for another place, or under a key that is not here.

        Only opening it shows whether it was changed: for a token whose sender one trusts.
        """
        header = token.partition(".")[0]
        kid = self._expected(header, place) or _kid(header, place)
        if kid not in self._ciphers:
            raise KeyUnknownError(place.participant)

    def _expected(self, header: str, place: Place) -> str | None:
        """The key's id where the header is spelled as `seal` spells it: then there is nothing more to look at."""
        for kid in self.kids(place.participant):
            if _header(kid, place) == header:
                return kid
        return None

    def fingerprint(self, kid: str, content: bytes) -> bytes:
        """A keyed digest (HMAC-SHA-256) to compare contents by without keeping them.

        Useless to whoever lacks the key; made with a secret of its own, derived from the key. Raises `KeyUnknownError`.
        """
        secret = self._secrets.get(kid)
        if secret is None:
            raise KeyUnknownError(kid.split("/", maxsplit=1)[0])
        return hmac.digest(secret, content, hashlib.sha256)


class KeyFile:
    """A key file on disk, read again when it changes, so that a rotation needs no restart.

    Replace it by renaming a new file over it: a file that is written in place can be seen half done.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._stamp: tuple[int, ...] | None = None
        self._keyring = Keyring(())

    def keyring(self) -> Keyring:
        """Raises `KeyFileError` when the file is missing or not a JWK Set of `oct` keys."""
        try:
            status = self._path.stat()
            # The inode too: a file renamed over this one may have its size, and its time where that was set.
            stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if stamp == self._stamp:
                return self._keyring
            data = self._path.read_bytes()
        except OSError as error:
            trouble = f"cannot read the key file {self._path}: {error.strerror}; set HABEAS_KEYS to it"
        else:
            self._keyring, self._stamp = self._parse(data), stamp
            return self._keyring
        raise KeyFileError(trouble)

    def _parse(self, data: bytes) -> Keyring:
        try:
            keys = JsonWebKeySet.model_validate_json(data).keys
        except ValidationError as error:
            where = pointer_to(error.errors(include_input=False)[0]["loc"]) or "the document"
        else:
            return Keyring(keys, self._now)
        raise KeyFileError(f"{self._path} is not a JWK Set of 256-bit oct keys: see {where}")


def new_key(participant: str, generation: int = 1, not_before: int = 0) -> dict[str, Any]:
    """A fresh random key in JWK form."""
    return {
        "kty": "oct",
        "kid": f"{participant}/{generation}",
        "nbf": not_before,
        "k": _encode(os.urandom(32)),
    }


def _header(kid: str, place: Place) -> str:
    members = {"alg": "dir", "enc": "A256GCM", "kid": kid, "typ": place.ce_type, "sub": place.subject}
    if place.task_id is not None:
        members["tid"] = place.task_id
    return _encode(orjson.dumps(members, default=str))  # for UUIDs of a class of a database driver's own


def _kid(header: str, place: Place) -> str:
    """The id of the key that a header names, whatever its order and spacing; of repeated members the last counts.

    RFC 7516 4. Raises `ContractError` where it is not for `place`.
    """
    protected = _members(header)
    kid = protected.get("kid")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise _unopenable("kid is missing or not <participant>/<number>")
    if kid.split("/")[0] != place.participant:
        raise ContractError(Reason.KEY_FOREIGN, "/personal", f"must be sealed under a key of {place.participant}")
    _check(protected, place)
    return kid


def _members(header: str) -> Mapping[str, Any]:
    decoded = _decode(header)
    if decoded is None:
        raise _unopenable("not a compact JWE")
    try:
        protected = orjson.loads(decoded)
    except ValueError:
        protected = None
    if not isinstance(protected, dict):
        raise _unopenable("not a compact JWE with alg dir and enc A256GCM")
    return protected


def _check(protected: Mapping[str, Any], place: Place) -> None:
    if protected.get("alg") != "dir" or protected.get("enc") != "A256GCM" or {"zip", "crit"} & protected.keys():
        raise _unopenable("alg must be dir, enc A256GCM, without zip or crit")
    right = {
        "typ": protected.get("typ") == place.ce_type,
        "sub": _uuid(protected.get("sub")) == place.subject,
        "tid": "tid" not in protected if place.task_id is None else _uuid(protected.get("tid")) == place.task_id,
    }
    for member, is_right in right.items():
        if not is_right:
            raise ContractError(
                Reason.PERSONAL_MISPLACED, "/personal", f"sealed for another place: its {member} is not this message's"
            )


def _uuid(value: object) -> UUID | None:
    return identifier(value) if isinstance(value, str) else None


def _unopenable(detail: str) -> ContractError:
    return ContractError(Reason.PERSONAL_UNOPENABLE, "/personal", detail)


def _encode(data: bytes) -> str:
    text: str = _WRITE_BASE64.to_python(data, mode="json")
    return text.rstrip("=")


def _decode(text: str) -> bytes | None:
    """None unless `text` is base64url without padding and the one spelling of its bytes (RFC 4648 3.5)."""
    if "+" in text or "/" in text or "=" in text:  # the reader takes the other alphabet and padding as well
        return None
    try:
        decoded: bytes = _READ_BASE64.validate_strings(text)  # type: ignore[arg-type]  # a str is one
    except ValidationError:
        return None
    return decoded
