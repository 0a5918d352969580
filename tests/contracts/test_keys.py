"""Rotation: which key seals, which open, and how a changed key file is noticed."""

import json
import os
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.contracts import KeyFile, Keyring, Place
from habeas.contracts.documents.vectors import key
from habeas.contracts.sealing import JsonWebKey, KeyFileError, new_key

PLACE = Place("billing", "dsr.task.finished.v1", UUID(int=1), UUID(int=2))


def ring(*keys: JsonWebKey, now: float = 1000) -> Keyring:
    return Keyring(keys, now=lambda: now)


@given(st.dictionaries(st.integers(1, 999_999_999), st.integers(-2000, 2000), min_size=1), st.integers(-2000, 2000))
def test_the_highest_number_in_force_seals_and_all_open(generations: dict[int, int], now: int) -> None:
    keys = [key("billing", number, not_before) for number, not_before in generations.items()]
    in_force = [number for number, not_before in generations.items() if not_before <= now]
    held = ring(*keys, now=now)
    if in_force:
        assert held.sealing_kid("billing") == f"billing/{max(in_force)}"
    else:
        with pytest.raises(KeyFileError, match="no usable key of billing"):
            held.sealing_kid("billing")
    for one in keys:
        alone = JsonWebKey(kty="oct", kid=one.kid, k=one.k, nbf=now)
        assert held.open(PLACE, ring(alone, now=now).seal(PLACE, b"x")) == b"x"


def test_a_key_comes_into_force_on_the_second() -> None:
    keys = (key("billing", 9), key("billing", 10, 1000))
    assert ring(*keys, now=999.9).sealing_kid("billing") == "billing/9"
    assert ring(*keys, now=1000).sealing_kid("billing") == "billing/10"


def test_participants_do_not_share_keys() -> None:
    held = ring(key("billing", 1), key("support", 5))
    assert held.participants == {"billing", "support"}
    assert held.sealing_kid("billing") == "billing/1"
    with pytest.raises(KeyFileError, match="no usable key of analytics"):
        held.sealing_kid("analytics")


def test_a_place_may_have_ids_of_a_class_of_their_own() -> None:
    class DriversId(UUID):
        """As database drivers make them."""

    keyring, ids = (
        ring(key("billing", 1)),
        ("11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa"),
    )
    theirs, ours = (Place("billing", "t", *map(of, ids)) for of in (DriversId, UUID))
    assert keyring.open(ours, keyring.seal(theirs, b"x")) == keyring.open(theirs, keyring.seal(ours, b"x")) == b"x"


def test_an_id_of_a_database_driver_seals_and_opens_as_any() -> None:
    class DriversUUID(UUID):
        pass

    held = ring(key("billing", 1))
    there = PLACE._replace(subject=DriversUUID(int=1), task_id=DriversUUID(int=2))
    assert held.open(there, held.seal(PLACE, b"x")) == held.open(PLACE, held.seal(there, b"x")) == b"x"


def test_a_key_stands_once() -> None:
    with pytest.raises(KeyFileError, match=r"billing/1 stands twice"):
        ring(key("billing", 1), key("billing", 1))


def test_new_keys_are_random_and_hold_their_secret_back() -> None:
    one, other = (JsonWebKey.model_validate(new_key("billing", 2, 7)) for _ in range(2))
    assert one.k != other.k
    assert (one.kid, one.nbf) == ("billing/2", 7)
    assert one.k not in repr(one)


def write(path: Path, *keys: JsonWebKey) -> None:
    path.write_text(json.dumps({"keys": [key.model_dump() for key in keys]}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    write(path, key("billing", 1))
    return path


def test_an_unchanged_file_is_read_once(path: Path) -> None:
    file = KeyFile(path)
    assert file.keyring() is file.keyring()


def test_a_changed_file_is_read_again(path: Path) -> None:
    file = KeyFile(path)
    assert file.keyring().sealing_kid("billing") == "billing/1"
    write(path, key("billing", 1), key("billing", 2))
    assert file.keyring().sealing_kid("billing") == "billing/2"


def test_a_file_put_in_its_place_is_read_even_with_the_same_time_and_size(path: Path) -> None:
    file = KeyFile(path)
    assert file.keyring().sealing_kid("billing") == "billing/1"
    before = path.stat()
    new = path.with_suffix(".new")
    write(new, key("billing", 2))
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert file.keyring().sealing_kid("billing") == "billing/2"


def test_the_clock_of_a_key_file(path: Path) -> None:
    write(path, key("billing", 1), key("billing", 2, 500))
    times = iter([499.0, 500.0])
    held = KeyFile(path, now=lambda: next(times)).keyring()
    assert [held.sealing_kid("billing") for _ in range(2)] == ["billing/1", "billing/2"]


def test_a_missing_file_says_what_to_set(path: Path) -> None:
    file = KeyFile(path)
    file.keyring()
    path.unlink()
    with pytest.raises(KeyFileError, match="HABEAS_KEYS"):
        file.keyring()


SECRET = key("billing", 1).k


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (SECRET.encode(), "the document"),
        (b"\xff\xfe", "the document"),
        (b"[]", "the document"),
        (b"{}", "keys"),
        (json.dumps({"keys": [{"kty": "oct", "kid": "billing", "k": SECRET}]}).encode(), "/keys/0/kid"),
        (json.dumps({"keys": [{"kty": "oct", "kid": "billing/1\n", "k": SECRET}]}).encode(), "/keys/0/kid"),
        (json.dumps({"keys": [{"kty": "oct", "kid": "billing/01", "k": SECRET}]}).encode(), "/keys/0/kid"),
        (json.dumps({"keys": [{"kty": "RSA", "kid": "billing/1", "k": SECRET}]}).encode(), "/keys/0/kty"),
        (json.dumps({"keys": [{"kty": "oct", "kid": "billing/1", "k": SECRET[:-1]}]}).encode(), "/keys/0/k"),
        (json.dumps({"keys": [{"kty": "oct", "kid": "billing/1", "k": SECRET, "nbf": "0"}]}).encode(), "/keys/0/nbf"),
    ],
)
def test_an_invalid_file_is_named_but_not_quoted(path: Path, content: bytes, told: str) -> None:
    file = KeyFile(path)
    file.keyring()
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(KeyFileError) as refused:
            file.keyring()
        assert str(path) in str(refused.value)
        assert told in str(refused.value)
        assert SECRET[:-1] not in str(refused.value)
        assert refused.value.__context__ is None
    write(path, key("billing", 3))
    assert file.keyring().sealing_kid("billing") == "billing/3"
