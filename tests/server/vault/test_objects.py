"""Objects: one contract for every store; a folder keeps more than that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore

from likeness.vault import Objects, StorageError, open_objects
from likeness.vault import durable as durable_module

LARGE = os.urandom(1_000_003) * 12  # more than one part of an upload in parts


class Stop(Exception):  # noqa: N818 - not an error: it stands for whatever ends a block early
    """Leaves a writer early."""


def write_and_stop(objects: Objects, name: str, data: bytes, look: Callable[[], None] = lambda: None) -> None:
    with objects.writer(name) as writer:
        writer.write(data)
        look()
        raise Stop


class ObjectsContract:
    """Subclasses give an empty store."""

    @pytest.fixture
    def objects(self) -> Objects:
        raise NotImplementedError

    @pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "small", "large"])
    def test_gives_back_what_was_put(self, objects: Objects, data: bytes) -> None:
        objects.put("generation/photo-0", data)
        found = objects.get("generation/photo-0")
        assert type(found) is bytes
        assert found == data

    @pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "small", "large"])
    def test_gives_back_what_was_written_in_pieces(self, objects: Objects, data: bytes) -> None:
        with objects.writer("generation/photo-0") as writer:
            for start in range(0, len(data), 70_000):
                writer.write(data[start : start + 70_000])
        assert objects.get("generation/photo-0") == data

    def test_put_replaces(self, objects: Objects) -> None:
        objects.put("a", b"old")
        objects.put("a", b"new")
        assert objects.get("a") == b"new"

    def test_a_missing_object_is_not_found(self, objects: Objects) -> None:
        with pytest.raises(FileNotFoundError):
            objects.get("generation/missing")

    def test_delete(self, objects: Objects) -> None:
        objects.put("generation/a", b"1")
        objects.put("generation/b", b"2")
        objects.delete("generation/a")
        with pytest.raises(FileNotFoundError):
            objects.get("generation/a")
        assert objects.get("generation/b") == b"2"

    @pytest.mark.parametrize("name", ["missing", "no/such/folder"])
    def test_deleting_what_is_missing_is_fine(self, objects: Objects, name: str) -> None:
        objects.delete(name)
        objects.delete(name)

    def test_names(self, objects: Objects) -> None:
        everything = {"a/b/c", "a/b/d", "a/bc", "e"} | {f"many/{index}" for index in range(120)}
        for name in everything:
            objects.put(name, b"x")
        assert sorted(objects.names()) == sorted(everything)
        assert sorted(objects.names("a")) == ["a/b/c", "a/b/d", "a/bc"]
        assert sorted(objects.names("a/b")) == sorted(objects.names("a/b/")) == ["a/b/c", "a/b/d"]
        assert list(objects.names("missing")) == []

    @pytest.mark.parametrize("size", [0, 1, len(LARGE)])
    def test_leaving_by_an_exception_discards(self, objects: Objects, size: int) -> None:
        with pytest.raises(Stop):
            write_and_stop(objects, "generation/photo-0", LARGE[:size])
        assert list(objects.names()) == []
        with pytest.raises(FileNotFoundError):
            objects.get("generation/photo-0")

    def test_leaving_by_an_exception_keeps_what_was_there(self, objects: Objects) -> None:
        objects.put("a", b"old")
        with pytest.raises(Stop):
            write_and_stop(objects, "a", LARGE)
        assert objects.get("a") == b"old"

    def test_an_os_error_of_the_caller_is_not_the_stores(self, objects: Objects) -> None:
        with pytest.raises(OSError, match="mine"), objects.writer("a"):
            raise OSError("mine")

    def test_does_not_appear_before_it_is_whole(self, objects: Objects) -> None:
        with objects.writer("a") as writer:
            writer.write(LARGE)
            assert list(objects.names()) == []
        assert list(objects.names()) == ["a"]

    @pytest.mark.parametrize(
        "name", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a#1", "a b", "a\0", "ä", "a\n"]
    )
    def test_refuses_names_that_not_all_stores_keep_apart(self, objects: Objects, name: str) -> None:
        for call in (objects.get, objects.delete, objects.writer, lambda name: objects.put(name, b"x")):
            with pytest.raises(ValueError, match="cannot name an object"):
                call(name)

    def test_a_healthy_store_checks_out_and_keeps_nothing_of_it(self, objects: Objects) -> None:
        objects.check()
        assert list(objects.names()) == []

    def test_sweeping_keeps_objects(self, objects: Objects) -> None:
        objects.put("generation/a", b"x")
        objects.sweep(0)
        assert list(objects.names()) == ["generation/a"]


class TestMemory(ObjectsContract):
    @pytest.fixture
    def objects(self) -> Objects:
        return Objects(MemoryStore())

    def test_opens_by_url(self) -> None:
        objects = open_objects("memory:///")
        objects.check()
        assert objects.sweep(0) == 0


class TestFolder(ObjectsContract):
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "new" / "objects"

    @pytest.fixture
    def objects(self, folder: Path) -> Objects:
        return open_objects(str(folder))

    @pytest.fixture
    def fsynced(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
        """Paths in the order in which they were made to last."""
        paths: list[str] = []
        monkeypatch.setattr(
            durable_module.os, "fsync", lambda fd: paths.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        )
        return paths

    def test_opens_a_file_url(self, objects: Objects, folder: Path) -> None:
        objects.put("a/b", b"x")
        assert open_objects(folder.as_uri()).get("a/b") == b"x"
        (folder / "a" / "b#1").touch()
        assert open_objects(folder.as_uri()).sweep(0) == 1

    def test_opens_a_folder_with_odd_letters(self, tmp_path: Path) -> None:
        folder = tmp_path / "a b#c%20ä"
        open_objects(str(folder)).put("a", b"x")
        assert (folder / "a").read_bytes() == b"x"
        assert open_objects(folder.as_uri()).get("a") == b"x"

    def test_makes_a_private_folder(self, objects: Objects, folder: Path) -> None:
        assert folder.stat().st_mode & 0o777 == 0o700

    def test_put_lasts(self, objects: Objects, folder: Path, fsynced: list[str]) -> None:
        objects.put("a/b/c", b"x")
        assert fsynced == [str(folder / "a/b/c"), str(folder / "a/b"), str(folder / "a"), str(folder)]

    def test_what_was_written_lasts(self, objects: Objects, folder: Path, fsynced: list[str]) -> None:
        with objects.writer("a") as writer:
            writer.write(b"x")
            assert fsynced == []
        assert fsynced == [str(folder / "a"), str(folder)]

    def test_delete_lasts(self, objects: Objects, folder: Path, fsynced: list[str]) -> None:
        objects.put("a/b", b"x")
        fsynced.clear()
        objects.delete("a/b")
        assert fsynced == [str(folder / "a")]

    def test_leaving_by_an_exception_leaves_no_file(self, objects: Objects, folder: Path) -> None:
        seen: list[str] = []
        with pytest.raises(Stop):
            write_and_stop(objects, "photo", LARGE, lambda: seen.extend(path.name for path in folder.iterdir()))
        assert seen == ["photo#1"]
        assert list(folder.iterdir()) == []

    def test_sweeps_what_a_crash_left(self, objects: Objects, folder: Path) -> None:
        kept = ["a/photo-1", "a/new#3", "b#c", "b#1c"]
        for name in (*kept, "a/old#1", "b/c/old#22"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x")
        long_ago = time.time() - 1000
        for name in ("a/old#1", "b/c/old#22", "a/photo-1"):
            os.utime(folder / name, (long_ago, long_ago))
        assert objects.sweep(500) == 2
        assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(kept)

    def test_sweeps_empty_folders_of_that_age(self, objects: Objects, folder: Path) -> None:
        objects.put("a/b/c", b"x")
        objects.put("d/e", b"x")
        objects.delete("a/b/c")
        objects.sweep(500)
        assert (folder / "a" / "b").is_dir()
        objects.sweep(0)
        assert [path.name for path in folder.iterdir()] == ["d"]
        objects.delete("d/e")
        objects.sweep(0)
        assert folder.is_dir()
        objects.check()


@pytest.mark.parametrize("location", ["bogus://bucket/path", "nothing://"])
def test_refuses_an_unknown_url(location: str) -> None:
    with pytest.raises(StorageError, match=location.split(":", 1)[0]):
        open_objects(location)


def test_a_file_in_the_place_of_the_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Check that"):
        open_objects(str(tmp_path / "file"))


def test_translates_what_the_store_raises(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    (tmp_path / "a").touch()
    with pytest.raises(StorageError, match="a/b"):
        objects.put("a/b", b"x")
    with pytest.raises(StorageError, match="a/b"), objects.writer("a/b") as writer:
        writer.write(LARGE)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_store_that_loses_objects_does_not_check_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstore, "put", lambda *args, **kwargs: None)
    with pytest.raises(StorageError, match="loses"):
        Objects(MemoryStore()).check()


def test_a_store_that_changes_objects_does_not_check_out(monkeypatch: pytest.MonkeyPatch) -> None:
    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda store, name, data, **kwargs: put(store, name, data[:-1]))
    store = MemoryStore()
    with pytest.raises(StorageError, match="give back"):
        Objects(store).check()
    assert list(Objects(store).names()) == []


def test_obstore_still_needs_the_sweep(tmp_path: Path) -> None:
    """It hides a leftover of its own from every listing; should that change, `sweep` can go by listing."""
    (tmp_path / "a#1").touch()
    assert list(Objects(LocalStore(tmp_path)).names()) == []
