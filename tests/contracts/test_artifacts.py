"""The sealed object: what goes in comes out, and nothing else ever does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from habeas.contracts.artifacts import (
    CHUNK_BYTES,
    MAGIC,
    ArtifactError,
    Opener,
    Sealer,
    new_artifact_key,
    open_artifact,
    open_artifact_stream,
    plain_bytes,
    seal_artifact,
    sealed_bytes,
)

KEY = "A" * 43
SEALED_CHUNK = CHUNK_BYTES + 16


def seal(content: bytes, key: str = KEY) -> bytes:
    return b"".join(seal_artifact(key, [content]))


def opened(sealed: bytes, key: str = KEY) -> bytes:
    return b"".join(open_artifact(key, [sealed]))


def chunks(sealed: bytes) -> list[bytes]:
    body = sealed[len(MAGIC) :]
    return [body[start : start + SEALED_CHUNK] for start in range(0, len(body), SEALED_CHUNK)]


def content(chunk_count: float) -> bytes:
    return bytes(index % 251 for index in range(int(CHUNK_BYTES * chunk_count)))


@pytest.mark.parametrize(
    "length", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 7]
)
def test_what_goes_in_comes_out_and_has_the_announced_length(length: int) -> None:
    plain = content(3)[:length]
    sealed = seal(plain)
    assert len(sealed) == sealed_bytes(length)
    assert plain_bytes(len(sealed)) == length
    assert opened(sealed) == plain


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, CHUNK_BYTES + 9), max_size=6), st.lists(st.integers(1, CHUNK_BYTES * 2), max_size=6))
def test_how_it_is_cut_into_pieces_does_not_matter(sizes: list[int], cuts: list[int]) -> None:
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    sealed = b"".join(seal_artifact(KEY, pieces))
    assert sealed == seal(b"".join(pieces))
    arriving, rest = [], sealed
    for cut in cuts:
        arriving.append(rest[:cut])
        rest = rest[cut:]
    assert b"".join(open_artifact(KEY, [*arriving, rest])) == b"".join(pieces)


async def test_a_stream_is_opened_as_it_arrives() -> None:
    sealed = seal(content(2.5))

    async def arriving():  # type: ignore[no-untyped-def]
        for start in range(0, len(sealed), 10_000):
            yield sealed[start : start + 10_000]

    assert b"".join([piece async for piece in open_artifact_stream(KEY, arriving())]) == content(2.5)


@pytest.mark.parametrize("plain", [content(2.5), content(2), content(1), b"short", b""])
def test_truncation_is_detected_wherever_it_happens(plain: bytes) -> None:
    sealed = seal(plain)
    whole_chunks = range(len(MAGIC), len(sealed), SEALED_CHUNK)
    for end in {0, 3, len(MAGIC), len(sealed) - 1, len(sealed) - 16, *whole_chunks}:
        with pytest.raises(ArtifactError):
            opened(sealed[:end])


def test_reordered_repeated_dropped_and_foreign_chunks_are_detected() -> None:
    sealed, other = seal(content(3.5)), seal(content(3.5)[::-1], new_artifact_key())
    first, second, third, last = chunks(sealed)
    for forged in (
        [second, first, third, last],
        [first, first, third, last],
        [first, third, last],
        [first, second, third],
        [first, last],
        [first, chunks(other)[1], third, last],
        [first, second, third, last, last],
        [first, second, third, last, first],
    ):
        with pytest.raises(ArtifactError):
            opened(MAGIC + b"".join(forged))


def test_extension_is_detected_even_by_an_authentic_empty_last_chunk() -> None:
    plain = content(1)
    with pytest.raises(ArtifactError):
        opened(seal(plain) + b"x")
    sealer = Sealer(KEY)
    head = sealer.update(plain + b"x")
    sealer._pending.clear()  # what a faulty writer would do: end with an empty chunk after a full one
    with pytest.raises(ArtifactError):
        opened(head + sealer.finish())


def test_another_key_another_object_or_a_flipped_bit_does_not_open() -> None:
    sealed = seal(b"answer")
    with pytest.raises(ArtifactError):
        opened(sealed, new_artifact_key())
    with pytest.raises(ArtifactError):
        opened(seal(b"answer", new_artifact_key()))
    for position in range(len(sealed)):
        with pytest.raises(ArtifactError):
            opened(sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :])


def test_no_byte_is_given_out_before_its_chunk_is_authenticated() -> None:
    sealed = bytearray(seal(content(2.5)))
    sealed[len(MAGIC) + SEALED_CHUNK + 5] ^= 1
    opener = Opener(KEY)
    assert opener.update(bytes(sealed[: len(MAGIC) + SEALED_CHUNK + 1])) == content(1)
    with pytest.raises(ArtifactError):
        opener.update(bytes(sealed[len(MAGIC) + SEALED_CHUNK + 1 :]))


@pytest.mark.parametrize("key", ["", "short", "A" * 42, "A" * 44, "é" * 43])
def test_a_bad_key_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(ArtifactError) as refused:
        Sealer(key)
    assert "new_artifact_key" in str(refused.value)
    assert not key or key not in str(refused.value)


def test_keys_are_never_the_same() -> None:
    assert len({new_artifact_key() for _ in range(100)}) == 100
