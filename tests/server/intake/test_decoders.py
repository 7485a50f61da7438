"""Decoder processes: real ones, what they are cut off from, and what becomes of an upload when one dies."""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import likeness.intake
from likeness.errors import BadPhoto, PhotoCountError, PhotoResult, PhotosRefusedError
from likeness.intake import DecodedPhoto, DecodedPhotos, Decoder, DecoderLimits, Decoders, DecoderStartError, child
from likeness.photos import crop_face, decode_photo, read_photos
from likeness_plugins import Problem

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="decoders are confined on Linux")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="a decoder's /proc is closed to all but root")

Pixels = NDArray[np.uint8]
LOST = "The picture could not be read. Save it again, or use another photo."


def encode(picture: Any, kind: str = "JPEG", **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.ascontiguousarray(picture))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def good(astronaut: Pixels) -> list[bytes]:
    return [encode(picture, quality=95) for picture in (astronaut, astronaut[:, ::-1], astronaut[0:360, 50:410])]


@pytest.fixture(scope="module")
def deep() -> bytes:
    """64 megapixels of 16-bit grey: a photo within all rules that takes much memory and is made quickly."""
    return encode(Image.fromarray(np.zeros((8000, 8000), np.uint16)), "PNG", compress_level=1)


async def cut(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def decode(photos: list[bytes], limits: DecoderLimits | None = None, **options: Any) -> DecodedPhotos:
    async with Decoders(1, limits).take() as decoder:
        return await decoder.read([cut(photo) for photo in photos], "ann", **options)


def refused(photos: list[bytes], limits: DecoderLimits | None = None, **options: Any) -> tuple[BadPhoto, ...]:
    with pytest.raises(PhotosRefusedError) as caught:
        asyncio.run(decode(photos, limits, **options))
    return caught.value.photos


def left_out(photos: list[bytes], limits: DecoderLimits | None = None) -> list[tuple[int, str | None]]:
    """The places and codes of the photos that are not used, in a set that is accepted."""
    return codes_of(asyncio.run(decode(photos, limits)).results)


def codes_of(results: list[PhotoResult]) -> list[tuple[int, str | None]]:
    return [(result.index, result.reason) for result in results if not result.accepted]


def codes(photos: tuple[BadPhoto, ...]) -> list[tuple[int, str]]:
    return [(photo.index, photo.code) for photo in photos]


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def pretend(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let decoders run a script in place of the module."""
    monkeypatch.setattr(child, "COMMAND", (sys.executable, "-I", "-c", script))


def test_the_package_exports_exactly_this() -> None:
    assert likeness.intake.__all__ == sorted(likeness.intake.__all__)
    assert all(hasattr(likeness.intake, name) for name in likeness.intake.__all__)


@pytest.mark.parametrize("size", [1009, 1 << 20])
def test_crops_are_those_that_this_process_would_make(good: list[bytes], size: int) -> None:
    async def run() -> DecodedPhotos:
        async with Decoders(1).take() as decoder:
            return await decoder.read([cut(photo, size) for photo in good], "ann")

    crops, results = read_photos([("", photo) for photo in good], lambda _: None, lambda crops: [None] * len(crops))
    photos = [DecodedPhoto(crop.pixels.tobytes(), crop.quality) for crop in crops]
    assert asyncio.run(run()) == DecodedPhotos(photos, results)


def test_crops_have_the_side_that_the_pack_wants(good: list[bytes]) -> None:
    crops = asyncio.run(decode(good, DecoderLimits(side=512))).photos
    for photo, crop in zip(good, crops, strict=True):
        expected = crop_face(decode_photo(photo, 512), 512)
        assert (crop.pixels, crop.quality) == (expected.pixels.tobytes(), expected.quality)


def test_every_bad_photo_is_named_at_once(astronaut: Pixels, good: list[bytes]) -> None:
    photos = [b"no picture" * 99, good[0], encode(np.hstack([astronaut, astronaut])), b"", bytes(15_000_001)]
    bad = refused(photos)
    assert codes(bad) == [(0, "not_an_image"), (2, "several_faces"), (3, "not_an_image"), (4, "too_large")]
    assert [photo.name for photo in bad] == ["photo 1", "photo 3", "photo 4", "photo 5"]
    assert refused(photos, names=["a", "b", "c", "d", "e"])[1].name == "c"


@pytest.mark.parametrize("count", [2, 11])
def test_the_count_is_checked(good: list[bytes], count: int) -> None:
    with pytest.raises(PhotoCountError):
        asyncio.run(decode([good[0]] * count))


def test_a_decoder_reads_one_upload(good: list[bytes]) -> None:
    async def run() -> None:
        async with Decoders(1).take() as decoder:
            await decoder.read([cut(photo) for photo in good], "ann")
            with pytest.raises(RuntimeError, match="one upload"):
                await decoder.read([cut(photo) for photo in good], "bob")

    asyncio.run(run())


def test_a_decoder_killed_in_the_middle_costs_that_photo_alone(good: list[bytes]) -> None:
    pids: list[int] = []

    async def fatal(decoder: Decoder) -> AsyncIterator[bytes]:
        yield good[1][:1000]
        assert decoder.pid is not None
        os.kill(decoder.pid, signal.SIGKILL)
        async for chunk in noted(decoder):
            yield chunk

    async def noted(decoder: Decoder) -> AsyncIterator[bytes]:
        assert decoder.pid is not None
        pids.append(decoder.pid)
        yield good[1][1000:]

    async def run() -> None:
        async with Decoders(1).take() as decoder:
            await decoder.read([cut(good[0]), fatal(decoder), cut(good[2]), cut(b"text"), noted(decoder)], "ann")

    with pytest.raises(PhotosRefusedError) as caught:
        asyncio.run(run())
    assert codes(caught.value.photos) == [(1, "not_an_image"), (3, "not_an_image"), (4, "not_an_image")]
    assert caught.value.photos[0].message == LOST
    assert len(set(pids)) == 2
    assert all(gone(pid) for pid in pids)


def test_a_bomb_is_refused_by_its_header(good: list[bytes]) -> None:
    def png(width: int, height: int) -> bytes:
        def piece(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        head = piece(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + piece(b"IDAT", zlib.compress(bytes(10**7))) + piece(b"IEND", b"")

    assert left_out([*good, png(8001, 8001), png(60_000, 60_000)]) == [(3, "too_large"), (4, "too_large")]


@pytest.mark.parametrize("side", [256, 1024])
def test_the_largest_photo_fits_the_limits(good: list[bytes], deep: bytes, side: int) -> None:
    assert codes(refused([*good[:2], deep], DecoderLimits(side=side))) == [(2, "no_face")]


def test_a_photo_over_the_limits_costs_itself_alone(good: list[bytes], deep: bytes) -> None:
    limits = DecoderLimits(memory_bytes=650 << 20)  # the processor's limit depends on the machine: see the one in /proc
    assert left_out([good[0], deep, good[1], good[2]], limits) == [(1, "not_an_image")]


def test_a_photo_that_takes_too_long_is_refused() -> None:
    closed = []

    async def stalled() -> AsyncIterator[bytes]:
        try:
            yield b"\xff\xd8"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def run() -> None:
        async with Decoders(1, DecoderLimits(photo_s=0.05)).take() as decoder:
            await decoder.read([stalled() for _ in range(3)], "ann")

    with pytest.raises(PhotosRefusedError, match=LOST) as caught:
        asyncio.run(run())
    assert codes(caught.value.photos) == [(index, "not_an_image") for index in range(3)]
    assert len(closed) == 3


@pytest.mark.parametrize("error", [TimeoutError("slow store"), ConnectionResetError("lost store")])
def test_a_sources_own_error_is_nobodys_photo(good: list[bytes], error: OSError) -> None:
    pids = []

    async def failing() -> AsyncIterator[bytes]:
        yield good[0][:100]
        raise error

    async def run() -> None:
        async with Decoders(1).take() as decoder:
            pids.append(decoder.pid)
            await decoder.read([cut(good[0]), failing(), cut(good[2])], "ann")

    with pytest.raises(type(error), match=str(error)):
        asyncio.run(run())
    assert gone(pids[0] or 0)


def inside(good: list[bytes], look: Callable[[int], Any]) -> list[Any]:
    """What `look` sees of the process before the first photo and after the second."""
    seen = []

    async def looking(decoder: Decoder, photo: bytes) -> AsyncIterator[bytes]:
        assert decoder.pid is not None
        seen.append(look(decoder.pid))
        async with aclosing(cut(photo)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield chunk

    async def run() -> None:
        async with Decoders(1).take() as decoder:
            await decoder.read([looking(decoder, good[0]), cut(good[1]), looking(decoder, good[2])], "ann")

    asyncio.run(run())
    return seen


@as_root
def test_the_environment_is_empty(good: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_SECRET", "hunter2")
    [first, _] = inside(good, lambda pid: Path(f"/proc/{pid}/environ").read_bytes())
    assert sorted(first.rstrip(b"\0").split(b"\0")) == [b"MALLOC_ARENA_MAX=2", b"OPENBLAS_NUM_THREADS=1"]


@as_root
def test_there_is_no_descriptor_but_the_channel(good: list[bytes], tmp_path: Path) -> None:
    def look(pid: int) -> dict[str, str]:
        return {entry.name: str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}

    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        for seen in inside(good, look):
            assert {seen.pop(number) for number in "012"} == {"/dev/null"}
            assert [link.partition(":")[0] for link in seen.values()] == ["socket"]


@as_root
def test_nothing_is_written_to_disk(good: list[bytes]) -> None:
    def written(pid: int) -> str:
        return next(line for line in Path(f"/proc/{pid}/io").read_text().splitlines() if line.startswith("write_bytes"))

    [before, after] = inside(good, written)
    assert before == after


def test_the_limits_are_set(good: list[bytes]) -> None:
    def look(pid: int) -> dict[str, list[str]]:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
        return {line[:26].strip(): line[26:].split()[:2] for line in lines}

    [_, limits] = inside(good, look)
    assert limits["Max address space"] == [str(3 << 30)] * 2
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max open files"] == ["16", "16"]
    assert int(limits["Max cpu time"][0]) <= 30
    assert limits["Max cpu time"][1] == "241"


def test_it_is_a_session_of_its_own_that_gains_no_rights(good: list[bytes]) -> None:
    def look(pid: int) -> tuple[bool, bool, int]:
        status = Path(f"/proc/{pid}/status").read_text()
        return os.getsid(pid) == pid, "NoNewPrivs:\t1" in status, Path(f"/proc/{pid}").stat().st_uid

    [(session, unprivileged, owner), _] = inside(good, look)
    assert session
    assert unprivileged
    assert owner == 0  # a process that is not dumpable has its /proc owned by root


PLUGIN = """
import os, sys
from likeness.intake import decoder

class Reviews:
    problems = ()
    def review_photo(self, photo):
        print("chatter", flush=True); os.write(1, b"x" * 100); os.write(2, b"x" * 100)
        assert not sys.stdin.read()
        {photo}
    def review_photos(self, crops, user):
        {photos}
    def prepare_reviews(self):
        pass

decoder.load_tried = lambda _: print("hello", flush=True) or Reviews()
decoder.main(sys.argv[1:])
"""


UNPREPARED = """
from likeness_plugins import hookimpl

@hookimpl
def likeness_prepare_reviews():
    raise RuntimeError("photos/ann.jpg")
"""


def test_what_is_wrong_in_a_decoder_is_told_and_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, code in (("unprepared", UNPREPARED), ("absent", "1 / 0")):
        (tmp_path / f"{name}.py").write_text(code)
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[likeness]\n{name} = {name}\n")
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    pretend(monkeypatch, path + "from likeness.intake import decoder; decoder.main(sys.argv[1:])")

    async def run() -> list[Problem]:
        decoders = Decoders(1, DecoderLimits(without=("absent",)))
        await decoders.start()
        for _ in range(2):
            async with decoders.take():
                pass
        await decoders.close()
        return decoders.problems

    failed = "likeness_prepare_reviews failed: RuntimeError in unprepared.py, line 6."
    assert asyncio.run(run()) == [Problem("unprepared", failed)]
    assert caplog.messages == [f"The pack unprepared, in a decoder: {failed}"]


def test_a_plugin_that_prints_and_reads_does_no_harm(good: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, PLUGIN.format(photo="return None", photos="print(user); return [None] * 3"))
    assert len(asyncio.run(decode(good)).photos) == 3


def test_the_reviews_refuse(good: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, PLUGIN.format(photo="return 'Smile.'", photos="return [None] * 3"))
    assert [(bad.code, bad.message) for bad in refused(good)] == [("refused_by_review", "Smile.")] * 3
    pretend(
        monkeypatch, PLUGIN.format(photo="return None", photos="return [f'{user} sent {len(crops)}.' + 'x' * 9999] * 3")
    )
    bad = refused(good)
    assert codes(bad) == [(index, "refused_by_review") for index in range(3)]
    assert bad[0].message == "ann sent 3." + "x" * 989


def test_a_review_that_kills_its_process_refuses(good: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, PLUGIN.format(photo="return None", photos="os._exit(0)"))
    assert [(bad.code, bad.message) for bad in refused(good)] == [
        ("refused_by_review", "It could not be reviewed, so it is not used.")
    ] * 3


@pytest.mark.parametrize("reasons", ["[]", "[None] * 2", "[None] * 4", "['Smile.'] * 11"])
def test_a_review_of_another_number_of_crops_is_not_believed(
    good: list[bytes], monkeypatch: pytest.MonkeyPatch, reasons: str
) -> None:
    pretend(monkeypatch, PLUGIN.format(photo="return None", photos=f"return {reasons}"))
    assert {bad.message for bad in refused(good)} == {"It could not be reviewed, so it is not used."}


def test_a_review_may_leave_out_some(good: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The fourth photo is the second again, so the review sees the first three, and the fifth."""
    pretend(monkeypatch, PLUGIN.format(photo="return None", photos="return [None] * (len(crops) - 1) + ['Smile.']"))
    found = asyncio.run(decode([*good, good[1], encode(decode_photo(good[0])[0:400, 40:440])]))
    assert codes_of(found.results) == [(3, "duplicate"), (4, "refused_by_review")]
    assert found.results[3].message == "This is the same picture as photo 2. Use another one."
    assert len(found.photos) == 3


def test_the_review_sees_all_crops_also_those_of_a_process_that_is_lost(
    good: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review says of each crop how many there are, and the sum of its pixels."""
    words = "return [f'{len(crops)} {crop.shape} {int(crop.sum())}' for crop in crops]"
    pretend(monkeypatch, PLUGIN.format(photo="return None", photos=words))

    async def fatal(decoder: Decoder) -> AsyncIterator[bytes]:
        yield good[0][:1000]
        assert decoder.pid is not None
        os.kill(decoder.pid, signal.SIGKILL)

    async def run() -> None:
        async with Decoders(1).take() as decoder:
            await decoder.read([cut(good[0]), cut(good[1]), cut(good[2]), fatal(decoder)], "ann")

    with pytest.raises(PhotosRefusedError) as caught:
        asyncio.run(run())
    crops = [crop_face(decode_photo(photo)).pixels for photo in good]
    expected = [f"3 (256, 256, 3) {int(crop.sum())}" for crop in crops]
    assert [bad.message for bad in caught.value.photos] == [*expected, LOST]


TAKEN_OVER = """
import socket, sys
from likeness.intake import decoder
from likeness.intake.messages import *

def send(channel, answer, real=decoder._send):
    if isinstance(answer, Ready):
        return real(channel, answer)
    {answer}

decoder._send = send
decoder.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "answer",
    [
        "channel.sendall(bytes([255]) * 99)",
        "channel.sendall(LENGTH.pack(4) + b'abcd')",
        "real(channel, Accepted(b'short', 0.5))",
        "real(channel, Accepted(bytes(CROP_BYTES), float('nan')))",
        "real(channel, Accepted(bytes(CROP_BYTES), 2.0))",
        "real(channel, Refused('invented', 'x'))",
        "real(channel, Refused('blurred', 'x' * 1001))",
        "real(channel, Reviewed(None))",
        "channel.shutdown(socket.SHUT_RDWR)",
    ],
)
def test_a_decoder_that_was_taken_over_is_not_believed(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, TAKEN_OVER.format(answer=answer))
    assert {bad.message for bad in refused([b"x", b"y", b"z"])} == {LOST}


def test_the_spare_is_used_and_replaced_and_none_stays(good: list[bytes]) -> None:
    async def run() -> list[int]:
        decoders = Decoders(2)
        await decoders.start()
        pids = []
        for _ in range(2):
            assert decoders._spare is not None
            spare = await decoders._spare
            async with decoders.take() as decoder:
                assert decoder.pid == spare.pid
                pids.append(spare.pid)
        assert gone(pids[0])
        assert gone(pids[1])
        assert decoders._spare is not None
        pids.append((await decoders._spare).pid)
        await decoders.close()
        return pids

    pids = asyncio.run(run())
    assert len(set(pids)) == 3
    assert all(gone(pid) for pid in pids)


def test_a_dead_spare_is_not_given_out(good: list[bytes]) -> None:
    async def run() -> DecodedPhotos:
        decoders = Decoders(1)
        await decoders.start()
        assert decoders._spare is not None
        spare = await decoders._spare
        os.kill(spare.pid, signal.SIGKILL)
        await spare._process.wait()
        async with decoders.take() as decoder:
            assert decoder.pid != spare.pid
            crops = await decoder.read([cut(photo) for photo in good], "ann")
        await decoders.close()  # while the next spare may still be starting
        return crops

    assert len(asyncio.run(run()).photos) == 3


def test_only_so_many_are_taken_at_once() -> None:
    async def run() -> None:
        decoders = Decoders(1)
        taken = asyncio.Event()

        async def second() -> None:
            async with decoders.take():
                taken.set()

        async with decoders.take():
            task = asyncio.create_task(second())
            await asyncio.sleep(0)
            assert decoders._turns.locked()
            assert not taken.is_set()
        await task
        assert taken.is_set()

    asyncio.run(run())


def test_a_cancelled_upload_leaves_no_process(good: list[bytes]) -> None:
    async def run() -> None:
        reached = asyncio.Event()
        pids = []

        async def stalled() -> AsyncIterator[bytes]:
            yield b"\xff\xd8"
            reached.set()
            await asyncio.Event().wait()

        async def upload() -> None:
            async with Decoders(1).take() as decoder:
                pids.append(decoder.pid)
                await decoder.read([stalled(), stalled(), stalled()], "ann")

        task = asyncio.create_task(upload())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gone(pids[0] or 0)

    asyncio.run(run())


@pytest.mark.parametrize("script", ["", "raise SystemExit(1)", "import time; time.sleep(600)"])
def test_a_decoder_that_does_not_start_is_the_servers_fault(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    async def run() -> None:
        decoders = Decoders(1, DecoderLimits(start_s=0.3))
        try:
            await decoders.start()
        finally:
            await decoders.close()

    pretend(monkeypatch, script)
    with pytest.raises(DecoderStartError) as caught:
        asyncio.run(run())
    assert str(caught.value) == "Photos cannot be read at the moment. Try again later."
    assert caught.value.status == 500


def test_a_decoder_ends_with_its_server() -> None:
    script = """
import asyncio, os
from likeness.intake import Decoders

async def serve():
    decoders = Decoders(1)
    await decoders.start()
    print((await decoders._spare).pid, flush=True)
    input()
    os._exit(0)

asyncio.run(serve())
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pidfd = os.pidfd_open(int(server.stdout.readline()))
        try:
            server.communicate("\n")
            [ended, *_] = select.select([pidfd], [], [], 30)
        finally:
            os.close(pidfd)
    assert ended == [pidfd]
