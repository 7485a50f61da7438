"""Authenticated encryption of streams: the STREAM construction over AES-256-GCM.

Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance",
CRYPTO 2015. The format: a header of one version byte and a random prefix of 7 bytes, then chunks of 64 KiB, each with
its tag of 16 bytes. A chunk's nonce is prefix, counter (4 bytes) and whether it is the last (1 byte), so that chunks
can be neither reordered nor dropped; header and context are authenticated with each.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from likeness.vault.errors import TamperedError

CHUNK: Final = 64 * 1024
KEY_BYTES: Final = 32
_TAG: Final = 16
_VERSION: Final = b"\x01"
_PREFIX: Final = 7
_HEADER: Final = len(_VERSION) + _PREFIX


def new_key() -> bytes:
    """32 random bytes; meant for one stream, so that destroying it destroys that stream alone."""
    return secrets.token_bytes(KEY_BYTES)


def context(subject: str, index: int, purpose: str) -> bytes:
    """What a ciphertext belongs to, encoded so that no two different triples look alike."""
    return msgspec.msgpack.encode((subject, index, purpose))


def encrypt(key: bytes, context: bytes, data: bytes) -> bytes:
    """Encrypt in one go."""
    encryptor = Encryptor(key, context)
    return encryptor.update(data) + encryptor.finish()


def decrypt(key: bytes, context: bytes, data: bytes) -> bytes:
    """Decrypt in one go; raises TamperedError."""
    decryptor = Decryptor(key, context)
    return decryptor.update(data) + decryptor.finish()


class Encryptor:
    """Plaintext in, ciphertext out, at most one chunk held back; `finish` is called once, and last."""

    def __init__(self, key: bytes, context: bytes) -> None:
        self._header = _VERSION + secrets.token_bytes(_PREFIX)
        self._cipher = _Cipher(key, context, self._header)
        self._pending = _Pending(CHUNK)
        self._started = self._finished = False

    def update(self, data: bytes) -> bytes:
        if self._finished:
            raise ValueError("the stream is finished: make a new Encryptor")
        self._pending.add(data)
        return self._start() + b"".join(self._cipher.seal(chunk, last=False) for chunk in self._pending.whole())

    def finish(self) -> bytes:
        start = self.update(b"")
        self._finished = True
        return start + self._cipher.seal(self._pending.rest(), last=True)

    def _start(self) -> bytes:
        started, self._started = self._started, True
        return b"" if started else self._header


class Decryptor:
    """Ciphertext in, authenticated plaintext out; a prefix of the plaintext is only whole once `finish` returned.

    Once it has raised TamperedError it never hands out anything again.
    """

    def __init__(self, key: bytes, context: bytes) -> None:
        self._key = key
        self._context = context
        self._cipher: _Cipher | None = None
        self._pending = _Pending(CHUNK + _TAG)
        self._broken = self._finished = False

    def update(self, data: bytes) -> bytes:
        return self._open(data, last=False)

    def finish(self) -> bytes:
        return self._open(b"", last=True)

    def _open(self, data: bytes, *, last: bool) -> bytes:
        if self._finished:
            raise ValueError("the stream is finished: make a new Decryptor")
        if self._broken:
            raise TamperedError
        self._broken = True  # until it proves right
        self._pending.add(data)
        cipher = self._cipher = self._cipher or self._begin()
        if last:
            if cipher is None:
                raise TamperedError  # cut within the header
            plain = cipher.open(self._pending.rest(), last=True)
        else:
            plain = b"".join(cipher.open(chunk, last=False) for chunk in self._pending.whole()) if cipher else b""
        self._broken = False
        self._finished = last
        return plain

    def _begin(self) -> _Cipher | None:
        header = self._pending.take(_HEADER)
        if header is None:
            return None
        if not header.startswith(_VERSION):
            raise TamperedError
        return _Cipher(self._key, self._context, header)


class _Cipher:
    """Seals or opens the chunks of one stream in their order."""

    def __init__(self, key: bytes, context: bytes, header: bytes) -> None:
        self._aead = AESGCM(key)
        self._prefix = header[len(_VERSION) :]
        self._associated = header + context
        self._counter = 0

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        return self._aead.encrypt(self._nonce(last), chunk, self._associated)

    def open(self, chunk: bytes, *, last: bool) -> bytes:
        # An Encryptor writes an empty chunk only as the whole of an empty stream: one plaintext, one form.
        if len(chunk) < _TAG or (len(chunk) == _TAG and self._counter):
            raise TamperedError
        try:
            return self._aead.decrypt(self._nonce(last), chunk, self._associated)
        except InvalidTag as exc:
            raise TamperedError from exc

    def _nonce(self, last: bool) -> bytes:
        # A counter past 32 bits (256 TiB) makes struct raise: a nonce is never used twice.
        nonce = self._prefix + struct.pack(">I?", self._counter, last)
        self._counter += 1
        return nonce


class _Pending:
    """Bytes that wait until more than one chunk is there: only then is the first known not to be the last.

    Each byte is copied in once and out once, however small the pieces: a bytearray drops its head without moving the
    rest.
    """

    def __init__(self, chunk: int) -> None:
        self._chunk = chunk
        self._buffer = bytearray()

    def add(self, data: bytes) -> None:
        self._buffer += data

    def take(self, count: int) -> bytes | None:
        if len(self._buffer) < count:
            return None
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def whole(self) -> Iterator[bytes]:
        while len(self._buffer) > self._chunk:
            taken = self.take(self._chunk)
            assert taken is not None
            yield taken

    def rest(self) -> bytes:
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest
