"""The process that decodes one upload's photos and ends: `python -I -m likeness.intake.decoder LIMITS`.

A picture that takes over this process finds no environment, no descriptor but the channel to the server, no other
user's bytes, and no file that it could write to.
"""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import sys
import time
from collections.abc import Collection, Sequence
from typing import BinaryIO, Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.errors import PhotoError
from likeness.intake.messages import (
    LENGTH,
    Accepted,
    Answer,
    DecoderLimits,
    NextPhoto,
    Ready,
    Refused,
    Request,
    Review,
    Reviewed,
)
from likeness.packs import load_tried
from likeness.photos import MOST, MOST_BYTES, read_photo
from likeness.photos.face_networks import load_networks
from likeness.photos.heif import limit_threads
from likeness_plugins import Catalogue

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
# The channel, the three standard ones, and the profile that a library opens for a moment.
_DESCRIPTORS: Final = 16


def main(arguments: Sequence[str]) -> None:
    """Warm up, lay off what is not needed, say Ready, serve."""
    limits = msgspec.json.decode(arguments[0], type=DecoderLimits)
    channel = _take_channel()
    catalogue = _warm_up(limits.without)
    _confine(limits)
    _send(channel, Ready([problem for problem in catalogue.problems if problem.pack not in limits.without]))
    with channel.makefile("rb") as stream:
        serve(channel, stream, catalogue, limits)


def serve(channel: socket.socket, stream: BinaryIO, catalogue: Catalogue, limits: DecoderLimits) -> None:
    """Answer requests until the review, or until the server is gone."""
    while (frame := _frame(stream)) is not None:
        request = msgspec.msgpack.decode(frame, type=Request)
        _grant_cpu(limits)
        match request:
            case NextPhoto():
                _send(channel, _photo(stream, catalogue, limits.side))
            case Review(user, count):
                crops = [_crop(stream, limits.side) for _ in range(count)]
                _send(channel, Reviewed(catalogue.review_photos(crops, user)))
                return


def _photo(stream: BinaryIO, catalogue: Catalogue, side: int) -> Accepted | Refused:
    try:
        crop, thumbnail = read_photo(_content(stream), catalogue.review_photo, side)
    except PhotoError as error:
        return Refused(error.reason, str(error))
    return Accepted(crop.pixels.tobytes(), crop.quality, thumbnail)


def _crop(stream: BinaryIO, side: int) -> NDArray[np.uint8]:
    """A crop that was accepted before, by this process or one that was lost."""
    if (frame := _frame(stream)) is None:
        raise EOFError
    return np.frombuffer(bytearray(frame), np.uint8).reshape(side, side, 3)


def _content(stream: BinaryIO) -> bytes:
    """The chunks up to the empty one; of a photo that is too large, just enough to tell."""
    content = bytearray()
    while chunk := _frame(stream):
        content += chunk[: MOST_BYTES + 1 - len(content)]
    if chunk is None:
        raise EOFError
    return bytes(content)


def _frame(stream: BinaryIO) -> bytes | None:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    [length] = LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None


def _send(channel: socket.socket, answer: Answer) -> None:
    body = msgspec.msgpack.encode(answer)
    channel.sendall(LENGTH.pack(len(body)) + body)


def _take_channel() -> socket.socket:
    """Move the channel away from stdin and stdout, so that a plugin that prints or reads cannot break into it."""
    channel = socket.socket(fileno=os.dup(0))
    _point_to_null(0, 1)
    return channel


def _warm_up(without: Collection[str]) -> Catalogue:
    """Load what the first photo would have to wait for: plugins, their models and the face networks."""
    catalogue = load_tried(without)
    catalogue.prepare_reviews()
    load_networks()
    return catalogue


def _confine(limits: DecoderLimits) -> None:
    _point_to_null(2)  # until here it carried start-up errors; from here on it could carry photos into a log
    sys.dont_write_bytecode = True
    # Each thread takes its own share of the address space, and users wait for the search for faces.
    cv2.setNumThreads(2)
    limit_threads()
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, _whole_cpu_s(limits)),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
    ):
        resource.setrlimit(what, (most, most))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        for option, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_DUMPABLE, 0)):
            if libc.prctl(option, value, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _grant_cpu(limits: DecoderLimits) -> None:
    """Give the coming photo its own allowance, so that it does not pay for those before it."""
    soft = int(time.process_time()) + 1 + limits.photo_cpu_s
    hard = _whole_cpu_s(limits)
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, hard), hard))


def _whole_cpu_s(limits: DecoderLimits) -> int:
    start, review = 10, 1
    return start + (MOST + review) * (1 + limits.photo_cpu_s)


def _point_to_null(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


if __name__ == "__main__":
    main(sys.argv[1:])
