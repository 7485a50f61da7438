"""What a worker and the process of a pack's hooks say to each other: msgpack behind a length, over two sockets."""

from __future__ import annotations

import socket
import struct
import time
from typing import Final

import msgspec

from likeness_plugins.checks import as_path, plain
from likeness_plugins.style import Look, Style

_LENGTH: Final = struct.Struct(">I")
_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=plain)


class Call(msgspec.Struct, frozen=True):
    """A hook's name and its arguments; the avatar is uint8 of `shape` [H, W, 3]."""

    hook: str
    shape: tuple[int, int, int]
    avatar: bytes
    style: Style
    look: Look


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The pack is loaded."""


class Finished(msgspec.Struct, frozen=True, tag=True):
    """What became of the avatar, in the same shape and type; None where it stays."""

    avatar: bytes | None


class Reviewed(msgspec.Struct, frozen=True, tag=True):
    """A reason to refuse the avatar, or None."""

    reason: str | None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """What the hook did wrong."""

    what: str


Answer = Ready | Finished | Reviewed | Failed
_ANSWERS: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


def send(channel: socket.socket, message: Call | Answer, seconds: float | None = None) -> None:
    """Raises TimeoutError when it is not taken in time, and OSError when nobody is there."""
    body = _ENCODER.encode(message)
    channel.settimeout(seconds)
    channel.sendall(_LENGTH.pack(len(body)) + body)


def receive_call(channel: socket.socket) -> Call:
    """Wait for the next one; raises EOFError when the worker has gone."""
    return msgspec.msgpack.decode(_receive(channel, 2**32, None), type=Call, dec_hook=as_path)


def receive_answer(channel: socket.socket, most_bytes: int, seconds: float) -> Answer:
    """Raises TimeoutError, EOFError, and ValueError for what is no answer, or is longer than it may be."""
    return _ANSWERS.decode(_receive(channel, most_bytes, seconds))


def _receive(channel: socket.socket, most_bytes: int, seconds: float | None) -> bytes:
    deadline = None if seconds is None else time.monotonic() + seconds
    [length] = _LENGTH.unpack(_exactly(channel, _LENGTH.size, deadline))
    if length > most_bytes:
        raise ValueError(f"{length} bytes where at most {most_bytes} can be meant")
    return _exactly(channel, length, deadline)


def _exactly(channel: socket.socket, length: int, deadline: float | None) -> bytes:
    data = bytearray(length)
    view, read = memoryview(data), 0
    while read < length:
        # Anew for each piece: one that answers a byte at a time is slow as a whole.
        channel.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
        count = channel.recv_into(view[read:])
        if count == 0:
            raise EOFError
        read += count
    return bytes(data)
