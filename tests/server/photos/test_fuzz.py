"""Hundreds of spoilt files, the same in every run: each ends in pixels or in a refusal, and no process with it."""

from __future__ import annotations

import asyncio
import struct
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator
from PIL import Image

from likeness.cli import main
from likeness.errors import PhotoError
from likeness.intake import Decoders
from likeness.photos import crop_face, decode_photo
from tests.server.photos.files import DISPLAY_P3, PNG_HEAD, Pixels, encode, exif, orientation, png_chunk, rgb_profile

PER_FORMAT = 80
SIDE = 80
# Where a file's headers are.
HEAD = 1200
FORMATS = ("JPEG", "progressive", "PNG", "palette", "WEBP", "AVIF", "HEIC")
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files(astronaut: Pixels) -> Files:
    """Photos of one face with EXIF and a profile, one of each format; small, for the search for faces takes longest."""
    face = Image.fromarray(astronaut[20:276, 100:356]).resize((SIDE, SIDE))
    extras = {"exif": exif(orientation(6), (0x011A, 2, 4, b"72\0\0")), "icc_profile": rgb_profile(DISPLAY_P3)}
    clear = face.quantize(32)
    return {
        "JPEG": encode(face, **extras),
        "progressive": encode(face, progressive=True, **extras),
        "PNG": encode(face.convert("RGBA"), "PNG", **extras),
        "palette": encode(clear, "PNG", transparency=3, **extras),
        "WEBP": encode(face, "WEBP", **extras),
        "AVIF": encode(face, "AVIF", speed=9, exif=exif(orientation(6)), icc_profile=extras["icc_profile"]),
        "HEIC": encode(face, "HEIC", **extras),
    }


def flip(rng: Generator, data: bytes, _: Files) -> bytes:
    """A few bytes are others, most of them in the headers."""
    spoilt = bytearray(data)
    for _index in range(rng.integers(1, 9)):
        spoilt[rng.integers(len(data) if rng.random() < 0.3 else HEAD)] = rng.integers(256)
    return bytes(spoilt)


def cut(rng: Generator, data: bytes, _: Files) -> bytes:
    return data[: rng.integers(len(data))]


def drop(rng: Generator, data: bytes, _: Files) -> bytes:
    """A piece is missing in the middle."""
    start = rng.integers(len(data))
    return data[:start] + data[start + rng.integers(1, 200) :]


def swap(rng: Generator, data: bytes, _: Files) -> bytes:
    """Two pieces have changed places."""
    a, b, c = sorted(rng.integers(len(data), size=3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def lengthen(rng: Generator, data: bytes, _: Files) -> bytes:
    """Four bytes of the headers, a length for one, are the extremes that overflow."""
    start = rng.integers(HEAD)
    extreme = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF0000, 0x10000])
    return data[:start] + int(extreme).to_bytes(4) + data[start + 4 :]


def splice(rng: Generator, data: bytes, files: Files) -> bytes:
    """It begins as one file and goes on as another."""
    other = files[rng.choice(FORMATS)]
    return data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]


MUTATIONS: tuple[Callable[[Generator, bytes, Files], bytes], ...] = (flip, flip, cut, drop, swap, lengthen, splice)


def spoilt(files: Files, kind: str, count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng((seed, FORMATS.index(kind)))
    return [MUTATIONS[index % len(MUTATIONS)](rng, files[kind], files) for index in range(count)]


def outcome(data: bytes) -> str:
    """What became of a photo; anything but pixels or a refusal is raised."""
    try:
        crop_face(decode_photo(data))
    except PhotoError as error:
        return error.reason
    return "accepted"


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


# Where a format's first part begins (None: behind its first box), and parts that such a file may have by the million.
TINY_PARTS: dict[str, tuple[str, int | None, bytes]] = {
    "JPEG padding": ("JPEG", 2, b"\xff"),
    "JPEG junk": ("JPEG", 2, b"\0"),
    "JPEG stuffed bytes": ("JPEG", 2, b"\xff\0"),
    "JPEG restarts": ("JPEG", 2, b"\xff\xd0"),
    "JPEG ends": ("JPEG", 2, b"\xff\xd9"),
    "JPEG comments": ("JPEG", 2, b"\xff\xfe\0\2"),
    "JPEG tables": ("JPEG", 2, b"\xff\xdb" + struct.pack(">H", 2 + 65 * 1000) + (b"\0" + b"\1" * 64) * 1000),
    "JPEG frames": ("JPEG", 2, b"\xff\xc0" + struct.pack(">HBHHB", 65_408, 8, 64, 64, 3) + bytes(65_400)),
    "JPEG profiles": ("JPEG", 2, b"\xff\xe2\0\x11ICC_PROFILE\0\1\1x"),
    "WebP profiles": ("WEBP", 12, b"ICCP\0\0\0\0"),
    "WebP unknown": ("WEBP", 12, b"XXXX\0\0\0\0"),
    "WebP frames": ("WEBP", 12, b"ANMF" + struct.pack("<I", 16) + bytes(16)),
    "PNG texts": ("PNG", PNG_HEAD, png_chunk(b"tEXt", b"")),
    "PNG pixels": ("PNG", PNG_HEAD, png_chunk(b"IDAT", b"")),
    "PNG profiles": ("PNG", PNG_HEAD, png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(900_000)))),
    "AVIF boxes": ("AVIF", None, box(b"free")),
    "HEIC boxes": ("HEIC", None, box(b"free")),
    "AVIF meta boxes": ("AVIF", None, box(b"meta", bytes(4) + box(b"free") * 100_000)),
    "HEIC references": ("HEIC", None, box(b"meta", bytes(4) + box(b"iref", bytes(4) + box(b"cdsc") * 1_000_000))),
}


@pytest.mark.parametrize("megabytes", [1, 14.9])
@pytest.mark.parametrize("case", TINY_PARTS)
def test_a_file_of_very_many_parts_takes_no_longer_than_a_photo(files: Files, case: str, megabytes: float) -> None:
    kind, start, part = TINY_PARTS[case]
    data = files[kind]
    start = int.from_bytes(data[:4]) if start is None else start
    many = data[:start] + part * max(1, int(megabytes * 1e6) // len(part)) + data[start:]
    started = time.process_time()
    with suppress(PhotoError):
        decode_photo(many[:15_000_000])
    assert time.process_time() - started < 2


def test_the_files_are_fine_before_they_are_spoilt(files: Files) -> None:
    assert {kind: decode_photo(data).shape for kind, data in files.items()} == dict.fromkeys(FORMATS, (SIDE, SIDE, 3))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_spoilt_file_ends_in_pixels_or_in_a_refusal(files: Files, kind: str) -> None:
    outcomes = [outcome(data) for data in spoilt(files, kind, PER_FORMAT, seed=1)]
    assert "not_an_image" in outcomes
    assert set(outcomes) != {"not_an_image"}, "nothing got as far as pixels"


def test_a_spoilt_exif_block_never_refuses_a_photo(files: Files, astronaut: Pixels) -> None:
    rng = np.random.default_rng(2)
    block = exif(orientation(6), (0x011A, 5, 1, b"\0\0\0\x40"), (0x0128, 3, 1, b"\0\2\0\0")) + bytes(64)
    for _ in range(100):
        broken = bytearray(block)
        for _index in range(rng.integers(1, 6)):
            broken[rng.integers(6, len(block))] = rng.integers(256)
        for kind in ("JPEG", "WEBP"):
            assert decode_photo(encode(astronaut[:64, :64], kind, exif=bytes(broken))).shape == (64, 64, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="decoders are confined on Linux")
def test_a_decoder_process_outlives_what_it_refuses(files: Files) -> None:
    """All in one process: the photos that end it, as memory bugs would, are refused too, but are to be none here."""

    async def once(data: bytes) -> AsyncIterator[bytes]:
        yield data

    async def run() -> None:
        async with Decoders(1).take() as decoder:
            pid = decoder.pid
            for kind in FORMATS:
                photos = spoilt(files, kind, 5, seed=3)
                answers = [await decoder._photo(once(photo)) for photo in photos]
                assert decoder.pid == pid, kind
                assert len(answers) == len(photos)

    asyncio.run(run())


def test_the_command_names_every_spoilt_file(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for kind in FORMATS:
        paths.append(tmp_path / f"{kind}.jpg")
        paths[-1].write_bytes(files[kind][: len(files[kind]) // 3])
    assert main(["render", *map(str, paths), "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert all(any(line.startswith(f"{path}: ") for line in lines) for path in paths if path.stem != "progressive")
