"""The sealing's test vectors, checked by a reader that shares no code with Habeas: RFC 7516 and AES-GCM alone."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from habeas.contracts import ContractError, KeyUnknownError, Place
from habeas.contracts.sealing import JsonWebKeySet, Keyring

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "contract" / "sealing-vectors.json").read_bytes()
)


def by_name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def opened_by_rfc_7516(token: str) -> tuple[dict[str, Any], bytes]:
    """Section 5.2, for direct encryption: the content key is the shared key (step 10), the AAD the header (step 14)."""
    header, encrypted_key, iv, ciphertext, tag = token.split(".")
    members: dict[str, Any] = json.loads(decoded(header))
    assert (members["alg"], members["enc"], encrypted_key) == ("dir", "A256GCM", "")
    key = next(key for key in VECTORS["keys"]["keys"] if key["kid"] == members["kid"])
    decryptor = Cipher(algorithms.AES256(decoded(key["k"])), modes.GCM(decoded(iv), decoded(tag))).decryptor()
    decryptor.authenticate_additional_data(header.encode("ascii"))
    return members, decryptor.update(decoded(ciphertext)) + decryptor.finalize()


def keyring(random: bytes = b"") -> Keyring:
    keys = JsonWebKeySet.model_validate_json(json.dumps(VECTORS["keys"])).keys
    return Keyring(keys, now=lambda: VECTORS["now"], random=lambda _: random)


def place(vector: dict[str, Any]) -> Place:
    told = vector["place"]
    task = UUID(told["task_id"]) if told["task_id"] else None
    return Place(told["participant"], told["ce_type"], UUID(told["request_id"]), task)


@pytest.mark.parametrize("vector", VECTORS["opens"], ids=by_name)
def test_a_generic_reader_opens_them(vector: dict[str, Any]) -> None:
    members, plaintext = opened_by_rfc_7516(vector["token"])
    assert plaintext.decode() == vector["plaintext"]
    assert members == json.loads(vector["header"])
    assert vector["token"].split(".")[2] == vector["nonce"]
    assert members["typ"] == vector["place"]["ce_type"]
    assert UUID(members["sub"]) == UUID(vector["place"]["request_id"])
    assert members.get("tid") == vector["place"]["task_id"]


@pytest.mark.parametrize("vector", VECTORS["opens"], ids=by_name)
def test_habeas_opens_them_whatever_the_order_and_spelling_of_the_header(vector: dict[str, Any]) -> None:
    assert keyring().open(place(vector), vector["token"]).decode() == vector["plaintext"]


def test_the_vectors_spell_the_header_in_several_ways() -> None:
    spellings = {vector["header"] for vector in VECTORS["opens"] if vector["place"]["participant"] == "web"}
    orders = {tuple(json.loads(spelling)) for spelling in spellings}
    assert len(orders) >= 3
    assert any(" " in spelling for spelling in spellings)


@pytest.mark.parametrize("vector", VECTORS["opens"][:4], ids=by_name)
def test_habeas_seals_the_same_text_with_the_same_nonce(vector: dict[str, Any]) -> None:
    ring = keyring(random=decoded(vector["nonce"]))
    assert ring.seal(place(vector), vector["plaintext"].encode()) == vector["token"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=by_name)
def test_habeas_refuses_with_the_reason_told(vector: dict[str, Any]) -> None:
    with pytest.raises(ContractError) as refused:
        keyring().open(place(vector), vector["token"])
    assert (str(refused.value.reason), refused.value.pointer) == (vector["reason"], "/personal")
    assert isinstance(refused.value, KeyUnknownError) is vector["retry"]


def test_each_participants_sealing_key_is_told() -> None:
    assert {name: keyring().sealing_kid(name) for name in VECTORS["seals_now"]} == VECTORS["seals_now"]
