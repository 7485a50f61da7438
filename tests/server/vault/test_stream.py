"""STREAM: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from likeness.vault import Decryptor, Encryptor, TamperedError, context, decrypt, encrypt, new_key
from likeness.vault.stream import CHUNK

KEY = new_key()
CONTEXT = context("generation-1", 0, "photo")
HEADER = 8
SEALED = CHUNK + 16
SIZES = (0, 1, 65535, 65536, 65537, 131072, 200000)
THREE_CHUNKS = random.Random(1).randbytes(2 * CHUNK + 1000)


def data_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def pieces(data: bytes, step: int) -> list[bytes]:
    return [data[start : start + step] for start in range(0, len(data), step)]


def chunks_of(sealed: bytes) -> list[bytes]:
    return pieces(sealed[HEADER:], SEALED)


def opened(sealed: bytes, step: int) -> tuple[bytes, bool]:
    """What a decryptor hands out before it raises, and whether it raised."""
    decryptor = Decryptor(KEY, CONTEXT)
    plain = b""
    try:
        for piece in pieces(sealed, step):
            plain += decryptor.update(piece)
        plain += decryptor.finish()
    except TamperedError:
        return plain, True
    return plain, False


@pytest.mark.parametrize("size", SIZES)
def test_round_trip(size: int) -> None:
    sealed = encrypt(KEY, CONTEXT, data_of(size))
    assert len(sealed) == HEADER + size + 16 * max(1, -(-size // CHUNK))
    assert decrypt(KEY, CONTEXT, sealed) == data_of(size)


@pytest.mark.parametrize("step", [777, 65535, 65536, 65537, 65552, 150001])
@pytest.mark.parametrize("size", SIZES)
def test_round_trip_in_pieces(size: int, step: int) -> None:
    encryptor = Encryptor(KEY, CONTEXT)
    sealed = b"".join([encryptor.update(piece) for piece in pieces(data_of(size), step)]) + encryptor.finish()
    assert opened(sealed, step + 1) == (data_of(size), False)


@pytest.mark.parametrize("size", [0, 1, 300])
def test_round_trip_byte_by_byte(size: int) -> None:
    encryptor = Encryptor(KEY, CONTEXT)
    sealed = b"".join([encryptor.update(piece) for piece in pieces(data_of(size), 1)]) + encryptor.finish()
    assert opened(sealed, 1) == (data_of(size), False)


def test_is_the_construction_of_the_paper() -> None:
    sealed = encrypt(KEY, CONTEXT, THREE_CHUNKS)
    header, chunks = sealed[:HEADER], chunks_of(sealed)
    assert header[0] == 1
    plain = b""
    for counter, chunk in enumerate(chunks):
        nonce = header[1:] + counter.to_bytes(4, "big") + bytes([counter == 2])
        plain += AESGCM(KEY).decrypt(nonce, chunk, header + CONTEXT)
    assert plain == THREE_CHUNKS


def test_streams_differ_each_time() -> None:
    assert encrypt(KEY, CONTEXT, b"same") != encrypt(KEY, CONTEXT, b"same")


def test_encryptor_holds_back_at_most_a_chunk() -> None:
    encryptor = Encryptor(KEY, CONTEXT)
    assert len(encryptor.update(bytes(CHUNK))) == HEADER
    assert len(encryptor.update(b"x")) == SEALED


@pytest.mark.parametrize("cut", [0, 1, HEADER - 1, HEADER, HEADER + 15, HEADER + 16, HEADER + SEALED - 1])
@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_refuses_truncation(cut: int, chunk: int) -> None:
    """At every chunk's border, and inside header, chunk and tag."""
    sealed = encrypt(KEY, CONTEXT, THREE_CHUNKS)
    end = chunk * SEALED + cut
    assert end < len(sealed) or chunk == 2
    plain, refused = opened(sealed[: min(end, len(sealed) - 1)], 10000)
    assert refused
    assert plain == THREE_CHUNKS[: len(plain)]
    assert len(plain) <= chunk * CHUNK


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_refuses_to_lack_its_last_byte(size: int) -> None:
    with pytest.raises(TamperedError):
        decrypt(KEY, CONTEXT, encrypt(KEY, CONTEXT, data_of(size))[:-1])


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 1, 0), (0, 0, 2), (0, 1, 1, 2), (0, 2), (1, 2)])
def test_refuses_chunks_out_of_order(order: tuple[int, ...]) -> None:
    sealed = encrypt(KEY, CONTEXT, THREE_CHUNKS)
    chunks = chunks_of(sealed)
    with pytest.raises(TamperedError):
        decrypt(KEY, CONTEXT, sealed[:HEADER] + b"".join(chunks[place] for place in order))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_refuses_a_chunk_of_another_stream(place: int) -> None:
    sealed = encrypt(KEY, CONTEXT, THREE_CHUNKS)
    chunks, others = chunks_of(sealed), chunks_of(encrypt(KEY, CONTEXT, THREE_CHUNKS))
    chunks[place] = others[place]
    plain, refused = opened(sealed[:HEADER] + b"".join(chunks), 10000)
    assert refused
    assert plain == THREE_CHUNKS[: place * CHUNK]


@pytest.mark.parametrize("byte", range(HEADER))
@pytest.mark.parametrize("size", [0, 100, CHUNK + 1])
def test_refuses_a_changed_header(byte: int, size: int) -> None:
    sealed = bytearray(encrypt(KEY, CONTEXT, data_of(size)))
    sealed[byte] ^= 1
    with pytest.raises(TamperedError):
        decrypt(KEY, CONTEXT, bytes(sealed))


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("byte", [HEADER, HEADER + 40, HEADER + CHUNK, HEADER + SEALED - 1, HEADER + SEALED, -1])
def test_refuses_a_flipped_bit_and_hands_out_only_what_came_before(byte: int, bit: int) -> None:
    sealed = bytearray(encrypt(KEY, CONTEXT, THREE_CHUNKS))
    sealed[byte] ^= 1 << bit
    plain, refused = opened(bytes(sealed), 10000)
    assert refused
    assert plain == THREE_CHUNKS[: (byte % len(sealed) - HEADER) // SEALED * CHUNK]


@pytest.mark.parametrize("extra", [1, 15, 16, 17, SEALED, SEALED + 1])
@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_refuses_extra_data(size: int, extra: int) -> None:
    with pytest.raises(TamperedError):
        decrypt(KEY, CONTEXT, encrypt(KEY, CONTEXT, data_of(size)) + bytes(extra))


def test_refuses_a_stream_appended_to_another() -> None:
    with pytest.raises(TamperedError):
        decrypt(KEY, CONTEXT, encrypt(KEY, CONTEXT, b"one") + encrypt(KEY, CONTEXT, b"two"))


def test_refuses_an_empty_last_chunk_after_others() -> None:
    header = b"\x01" + bytes(7)
    seal = AESGCM(KEY).encrypt
    whole = seal(bytes(12), bytes(CHUNK), header + CONTEXT)
    empty = seal(bytes(7) + (1).to_bytes(4, "big") + b"\x01", b"", header + CONTEXT)
    with pytest.raises(TamperedError):
        decrypt(KEY, CONTEXT, header + whole + empty)


@pytest.mark.parametrize("wrong", [b"", CONTEXT + b"\0", context("generation-1", 1, "photo")])
def test_refuses_another_context(wrong: bytes) -> None:
    with pytest.raises(TamperedError):
        decrypt(KEY, wrong, encrypt(KEY, CONTEXT, b"photo"))


def test_refuses_another_key() -> None:
    with pytest.raises(TamperedError):
        decrypt(new_key(), CONTEXT, encrypt(KEY, CONTEXT, b"photo"))


def test_hands_out_nothing_before_the_whole_chunk_is_there() -> None:
    sealed = encrypt(KEY, CONTEXT, THREE_CHUNKS)
    decryptor = Decryptor(KEY, CONTEXT)
    # A whole chunk might still be the last: one byte more shows that it is not.
    assert decryptor.update(sealed[: HEADER + SEALED]) == b""
    assert decryptor.update(sealed[HEADER + SEALED :][:1]) == THREE_CHUNKS[:CHUNK]


def test_a_decryptor_that_refused_goes_on_refusing() -> None:
    sealed = encrypt(KEY, CONTEXT, THREE_CHUNKS)
    chunks = chunks_of(sealed)
    decryptor = Decryptor(KEY, CONTEXT)
    with pytest.raises(TamperedError):
        decryptor.update(sealed[:HEADER] + chunks[1] + b"x")
    with pytest.raises(TamperedError):
        decryptor.update(sealed[:HEADER])
    with pytest.raises(TamperedError):
        decryptor.finish()


@pytest.mark.parametrize("method", ["update", "finish"])
def test_a_finished_stream_takes_no_more(method: str) -> None:
    encryptor, decryptor = Encryptor(KEY, CONTEXT), Decryptor(KEY, CONTEXT)
    decryptor.update(encryptor.finish())
    decryptor.finish()
    arguments = (b"more",) if method == "update" else ()
    for stream in (encryptor, decryptor):
        with pytest.raises(ValueError, match="finished"):
            getattr(stream, method)(*arguments)


def test_never_repeats_a_nonce() -> None:
    encryptor = Encryptor(KEY, CONTEXT)
    encryptor._cipher._counter = 2**32
    with pytest.raises(Exception, match="format requires"):
        encryptor.finish()


def test_contexts_are_unambiguous() -> None:
    triples = [
        ("a", 1, "b"),
        ("a1", 1, "b"),
        ("a", 11, "b"),
        ("a", 1, "1b"),
        ("", 1, "ab"),
        ("ab", 1, ""),
        ("b", 1, "a"),
    ]
    assert len({context(*triple) for triple in triples}) == len(triples)
