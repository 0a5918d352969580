"""Test vectors of the sealing, by which an implementation in another language checks itself.

The keys are published here: they seal nothing else.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from habeas.contracts.errors import Reason
from habeas.contracts.sealing import JsonWebKey, Keyring, Place

NOW = 1_772_442_900
"""2026-03-02T09:15:00Z, when the vectors are sealed and opened."""

REQUEST = UUID("5b0f3d1e-8c1a-4f0e-9d57-2f6d1c7a9e10")
OTHER_REQUEST = UUID("0d9b6f0a-3f52-4f7e-8a58-6a4be9a3c001")
TASK = UUID("c3a1f7d2-41f5-4c5c-b8a6-7be0a1d2e3f4")
OTHER_TASK = UUID("9a7c5e3d-1b2f-4d6e-8f90-a1b2c3d4e5f6")

SUBMISSION = Place("web", "dsr.request.submitted.v1", REQUEST)
ASSIGNMENT = Place("billing", "dsr.task.assigned.v1", REQUEST, TASK)
RESULT = Place("billing", "dsr.task.finished.v1", REQUEST, TASK)

_SHORT = b'{"subject":{"identities":[{"identity_type":"email","identity_value":"ada@example.org"}]}}'


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def key(participant: str, number: int, not_before: int = 0) -> JsonWebKey:
    """A key that everybody can compute: the SHA-256 of its name."""
    kid = f"{participant}/{number}"
    return JsonWebKey(kty="oct", kid=kid, nbf=not_before, k=_base64url(hashlib.sha256(kid.encode()).digest()))


KEYS = (
    key("web", 1),
    key("web", 2, NOW - 3600),
    key("web", 3, NOW + 86_400),
    key("billing", 1),
    key("support", 1),
)
"""web/2 seals at `NOW`; web/1 has been replaced and web/3 is not yet in force, yet both open."""


def keyring(random: Callable[[int], bytes], now: float = NOW) -> Keyring:
    return Keyring(KEYS, now=lambda: now, random=random)


def nonce_for(name: str) -> bytes:
    """A nonce that makes the vectors the same on every run. Real ones are random and never repeated."""
    return hashlib.sha256(b"nonce " + name.encode()).digest()[:12]


def sealing_vectors() -> dict[str, Any]:
    """Keys, texts that open with all parts of their making, and texts that must not open with the reason why."""
    return {
        "about": "Sealing of the member `personal`: compact JWE, alg dir, enc A256GCM. See README.md beside this file. "
        "Binary values are base64url without padding. The keys are published: use them for nothing else.",
        "now": NOW,
        "keys": {"keys": [key.model_dump() for key in KEYS]},
        "seals_now": {"web": "web/2", "billing": "billing/1", "support": "support/1"},
        "opens": _opening(),
        "refused": _refused(),
    }


def _opening() -> list[dict[str, Any]]:
    sealed = [
        ("submission", SUBMISSION, _SHORT),
        ("task", ASSIGNMENT, _SHORT),
        ("result", RESULT, '{"records":[],"message":"Grüße — 完了 ✓"}'.encode()),
        ("empty object", SUBMISSION, b"{}"),
    ]
    vectors = []
    for name, place, plaintext in sealed:
        token = keyring(lambda _, name=name: nonce_for(name)).seal(place, plaintext)  # type: ignore[misc]
        vectors.append(_vector(name, place, token, nonce_for(name), plaintext))
    web = f'"typ":"{SUBMISSION.ce_type}","sub":"{REQUEST}"'
    by_hand = [
        ("replaced key", "web/1", f'{{"alg":"dir","enc":"A256GCM","kid":"web/1",{web}}}'),
        ("key not yet in force", "web/3", f'{{"alg":"dir","enc":"A256GCM","kid":"web/3",{web}}}'),
        ("other order of members", "web/2", f'{{{web},"kid":"web/2","enc":"A256GCM","alg":"dir"}}'),
        (
            "spaces and escapes",
            "web/2",
            f'{{ "alg" : "dir",\n  "enc":"A256GCM", "kid":"web\\/2", {web.replace(",", " , ")} }}',
        ),
        ("member of no meaning", "web/2", f'{{"alg":"dir","enc":"A256GCM","cty":"json","kid":"web/2",{web}}}'),
        (
            "upper-case UUID",
            "web/2",
            f'{{"alg":"dir","enc":"A256GCM","kid":"web/2",{web.replace(str(REQUEST), str(REQUEST).upper())}}}',
        ),
    ]
    for name, kid, header in by_hand:
        token = jwe(header.encode(), kid, nonce_for(name), _SHORT)
        vectors.append(_vector(name, SUBMISSION, token, nonce_for(name), _SHORT))
    return vectors


def _vector(name: str, place: Place, token: str, nonce: bytes, plaintext: bytes) -> dict[str, Any]:
    header = token.partition(".")[0]
    return {
        "name": name,
        "place": _place(place),
        "nonce": _base64url(nonce),
        "header": _from_base64url(header).decode(),
        "plaintext": plaintext.decode(),
        "token": token,
    }


def _refused() -> list[dict[str, Any]]:
    def token(name: str, kid: str = "billing/1", without: str = "", **members: str | list[str]) -> str:
        header = {
            "alg": "dir",
            "enc": "A256GCM",
            "kid": kid,
            "typ": RESULT.ce_type,
            "sub": str(REQUEST),
            "tid": str(TASK),
        } | members
        header.pop(without, None)
        return jwe(orjson.dumps(header), kid, nonce_for(name), _SHORT)

    good = token("good")
    header, _, nonce, ciphertext, tag = good.split(".")
    misplaced, foreign, unknown, unopenable = (
        Reason.PERSONAL_MISPLACED,
        Reason.KEY_FOREIGN,
        Reason.KEY_UNKNOWN,
        Reason.PERSONAL_UNOPENABLE,
    )
    cases: list[tuple[str, Reason, str]] = [
        ("from the other direction: a task as a result", misplaced, token("typ", typ=ASSIGNMENT.ce_type)),
        ("from another request", misplaced, token("sub", sub=str(OTHER_REQUEST))),
        ("from another attempt", misplaced, token("tid", tid=str(OTHER_TASK))),
        ("without a task id", misplaced, token("no tid", without="tid")),
        ("without a request id", misplaced, token("no sub", without="sub")),
        ("without a type", misplaced, token("no typ", without="typ")),
        ("under another participant's key", foreign, token("foreign", kid="support/1")),
        (
            "under another participant's key, which it denies",
            unopenable,
            jwe(_from_base64url(header), "support/1", nonce_for("denied"), _SHORT),
        ),
        ("under a key that is not there (yet)", unknown, token("unknown", kid="billing/2")),
        ("kid without a number", unopenable, token("bare kid", kid="billing")),
        ("without a kid", unopenable, token("no kid", without="kid")),
        ("changed tag", unopenable, ".".join((header, "", nonce, ciphertext, _flipped(tag)))),
        ("changed ciphertext", unopenable, ".".join((header, "", nonce, _flipped(ciphertext), tag))),
        ("changed nonce", unopenable, ".".join((header, "", _flipped(nonce), ciphertext, tag))),
        (
            "header written anew: the same members in another order",
            unopenable,
            ".".join((_reordered(header), "", nonce, ciphertext, tag)),
        ),
        ("alg swapped", unopenable, token("alg", alg="A256KW")),
        ("enc swapped", unopenable, token("enc", enc="A128GCM")),
        ("zip", unopenable, token("zip", zip="DEF")),
        ("crit", unopenable, token("crit", crit=["exp"])),
        ("an encrypted key", unopenable, ".".join((header, "AAAA", nonce, ciphertext, tag))),
        ("four parts", unopenable, ".".join((header, nonce, ciphertext, tag))),
        ("a line break at the end", unopenable, good + "\n"),
        ("padding", unopenable, good + "=="),
        ("another spelling of the tag's last bits", unopenable, good[:-1] + _respelled(good[-1])),
        ("tag cut to 12 bytes", unopenable, ".".join((header, "", nonce, ciphertext, tag[:16]))),
        ("header is no JSON", unopenable, ".".join((_base64url(b"{"), "", nonce, ciphertext, tag))),
        ("header is no object", unopenable, ".".join((_base64url(b"[]"), "", nonce, ciphertext, tag))),
        (
            "JSON serialisation",
            unopenable,
            orjson.dumps({"protected": header, "iv": nonce, "ciphertext": ciphertext, "tag": tag}).decode(),
        ),
        ("no JWE", unopenable, "ada"),
    ]
    refused = [
        {"name": name, "place": _place(RESULT), "reason": str(reason), "retry": reason is unknown, "token": text}
        for name, reason, text in cases
    ]
    with_task = jwe(
        orjson.dumps(
            {
                "alg": "dir",
                "enc": "A256GCM",
                "kid": "web/2",
                "typ": SUBMISSION.ce_type,
                "sub": str(REQUEST),
                "tid": str(TASK),
            }
        ),
        "web/2",
        nonce_for("tid too many"),
        _SHORT,
    )
    refused.append(
        {
            "name": "a task id where there is no task",
            "place": _place(SUBMISSION),
            "reason": str(misplaced),
            "retry": False,
            "token": with_task,
        }
    )
    return refused


def jwe(header: bytes, kid: str, nonce: bytes, plaintext: bytes) -> str:
    """A compact JWE with any header at all, under the published key that `kid` names."""
    protected = _base64url(header)
    secret = hashlib.sha256(kid.encode()).digest()
    sealed = AESGCM(secret).encrypt(nonce, plaintext, protected.encode())
    return ".".join((protected, "", _base64url(nonce), _base64url(sealed[:-16]), _base64url(sealed[-16:])))


def _place(place: Place) -> dict[str, str | None]:
    return {
        "participant": place.participant,
        "ce_type": place.ce_type,
        "request_id": str(place.subject),
        "task_id": str(place.task_id) if place.task_id else None,
    }


def _flipped(text: str) -> str:
    data = bytearray(_from_base64url(text))
    data[0] ^= 1
    return _base64url(bytes(data))


def _reordered(header: str) -> str:
    members = orjson.loads(_from_base64url(header))
    return _base64url(orjson.dumps(dict(reversed(members.items()))))


def _respelled(last: str) -> str:
    """The next letter of the alphabet: of the last letter of 16 bytes only the first two bits count."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(last) + 1]
