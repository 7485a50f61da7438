"""Uploaded originals: whole objects in sequence, on every store, of which none may be missing, cut or swapped."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from likeness.http.service import Service
from likeness.http.upload import PIECE_BYTES, Originals
from likeness.vault import Objects, StorageError, TamperedError, open_objects
from tests.s3 import S3Server

PHOTO = os.urandom(1 << 20) * 10
RECEIVED = 64 << 10


@pytest.fixture(params=["folder", "s3"])
def objects(
    request: pytest.FixtureRequest, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Objects]:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    yield open_objects(str(tmp_path / "objects") if request.param == "folder" else s3.bucket())
    s3.heal()


@pytest.fixture
def originals(objects: Objects) -> Originals:
    async def run(work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.to_thread(work, *args)

    return Originals(cast(Service, SimpleNamespace(run=run, safe=SimpleNamespace(objects=objects))), "upload")


async def receive(originals: Originals, index: int, photo: bytes) -> None:
    writer = await originals.open(index)
    for start in range(0, len(photo), RECEIVED):
        await writer.write(photo[start : start + RECEIVED])
    await writer.close()


async def read(originals: Originals, index: int) -> bytes:
    return b"".join([piece async for piece in originals.chunks(index)])


def receive_and_read(originals: Originals, meanwhile: Callable[[], None] = lambda: None) -> bytes:
    async def both() -> bytes:
        await receive(originals, 0, PHOTO)
        meanwhile()
        return await read(originals, 0)

    return asyncio.run(both())


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, len(PHOTO)])
def test_gives_back_what_was_received(originals: Originals, size: int) -> None:
    async def several() -> list[bytes]:
        for index in range(2):
            await receive(originals, index, PHOTO[index:size])
        return [await read(originals, index) for index in range(2)]

    assert asyncio.run(several()) == [PHOTO[:size], PHOTO[1:size]]
    assert len(set(originals.digests)) == 2


def test_a_photo_is_whole_objects_of_bounded_size(objects: Objects, originals: Originals, s3: S3Server) -> None:
    asyncio.run(receive(originals, 0, PHOTO))
    sizes = {name: len(objects.get(name)) for name in objects.names()}
    assert sorted(sizes) == ["uploads/upload/0-0", "uploads/upload/0-1", "uploads/upload/0-2"]
    assert max(sizes.values()) < PIECE_BYTES + 2 * RECEIVED
    assert s3.parts() == []


def test_nothing_of_it_can_be_read_in_the_store(objects: Objects, originals: Originals) -> None:
    asyncio.run(receive(originals, 0, bytes(PIECE_BYTES)))
    assert not any(bytes(64) in objects.get(name) for name in objects.names())


def test_a_lost_piece_is_noticed(objects: Objects, originals: Originals) -> None:
    with pytest.raises(StorageError, match="Send the photos again"):
        receive_and_read(originals, lambda: objects.delete("uploads/upload/0-2"))


def test_a_cut_photo_is_noticed(objects: Objects, originals: Originals) -> None:
    def cut() -> None:
        objects.put("uploads/upload/0-2", objects.get("uploads/upload/0-2")[:-65_552])

    with pytest.raises(TamperedError):
        receive_and_read(originals, cut)


def test_swapped_pieces_are_noticed(objects: Objects, originals: Originals) -> None:
    def swap() -> None:
        first, second = (objects.get(f"uploads/upload/0-{piece}") for piece in (0, 1))
        objects.put("uploads/upload/0-0", second)
        objects.put("uploads/upload/0-1", first)

    with pytest.raises(TamperedError):
        receive_and_read(originals, swap)


def test_a_failing_store_fails_the_upload(
    objects: Objects, originals: Originals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(name: str, data: bytes) -> None:
        raise StorageError("It is full.")

    monkeypatch.setattr(objects, "put", put)
    with pytest.raises(StorageError, match="full"):
        asyncio.run(receive(originals, 0, PHOTO))


def test_half_a_photo_leaves_nothing(objects: Objects, originals: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second piece is still on its way to the store, in a thread that nobody can stop."""
    storing, go_on = threading.Event(), threading.Event()
    put = objects.put

    def slow_put(name: str, data: bytes) -> None:
        if name.endswith("-1"):
            storing.set()
            go_on.wait()
        put(name, data)

    async def give_up() -> None:
        upload = asyncio.create_task(receive(originals, 0, PHOTO))
        await asyncio.to_thread(storing.wait)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        cleaning = asyncio.create_task(originals.abandon())
        await asyncio.sleep(0)
        assert not cleaning.done()
        go_on.set()
        await cleaning
        assert sorted(objects.names()) == ["uploads/upload/0-0", "uploads/upload/0-1"]
        originals.delete()

    monkeypatch.setattr(objects, "put", slow_put)
    asyncio.run(give_up())
    assert list(objects.names()) == []
