"""Where ciphertext lies: a folder, or whatever obstore opens by URL, such as s3://bucket/path."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from likeness.vault.durable import fsync_file, fsync_folder
from likeness.vault.errors import StorageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# The least that S3 takes as a part of an upload in parts; together with the parts in flight, the memory of a writer.
_PIECE_BYTES: Final = 1 << 20
_PART_BYTES: Final = 5 * 1024 * 1024
_PARTS_IN_FLIGHT: Final = 2
# The same on every store, though some take more: a local store keeps `name#1` for its own temporary files.
_NAME: Final = re.compile(r"[\w.-]+(?:/[\w.-]+)*", re.ASCII)
_TEMPORARY: Final = re.compile(r".+#\d+", re.ASCII)


def open_objects(location: str) -> Objects:
    """Open a folder, which is made when missing, or a URL; raises StorageError."""
    scheme = urlsplit(location).scheme if "://" in location else "file"
    with _translated(f"open the store of objects ({scheme})"):
        if scheme != "file":
            return Objects(from_url(location))
        folder = Path(url2pathname(urlsplit(location).path) if "://" in location else location).absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Objects(LocalStore(folder), folder)


class Objects:
    """Named ciphertexts, each there whole or not at all; in a folder, what a call has stored or deleted lasts.

    `folder` is where a local store keeps its files, None for any other store. Every method raises StorageError.
    """

    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    def put(self, name: str, data: bytes) -> None:
        """Store, replacing what had the name."""
        with _translated(f"store {_checked(name)}"):
            obstore.put(self._store, name, data, use_multipart=False)
            self._settle(name)

    def get(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        with _translated(f"read {_checked(name)}"):
            return obstore.get(self._store, name).bytes().to_bytes()

    def pieces(self, name: str) -> Iterator[bytes]:
        """An object in pieces of about a megabyte, never whole in memory; raises FileNotFoundError."""
        with _translated(f"read {_checked(name)}"):
            for piece in obstore.get(self._store, name).stream(min_chunk_size=_PIECE_BYTES):
                yield bytes(piece)

    def delete(self, name: str) -> None:
        """Delete; a missing object is fine."""
        with _translated(f"delete {_checked(name)}"), suppress(FileNotFoundError):
            obstore.delete(self._store, name)
            if self._folder is not None:
                fsync_folder((self._folder / name).parent)

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names under a prefix in no order; it matches whole segments: `a/b` finds `a/b/c` but not `a/bc` or `a/b`."""
        with _translated("list the objects"):
            for batch in obstore.list(self._store, prefix or None):
                yield from (entry["path"] for entry in batch)

    def entries(self, prefix: str = "") -> Iterator[ObjectEntry]:
        """Names under a prefix with their times, a folder's one after the other; `names` says what a prefix is."""
        with _translated("list the objects"):
            for batch in obstore.list(self._store, prefix or None):
                yield from (ObjectEntry(each["path"], each["last_modified"].timestamp()) for each in batch)

    def writer(self, name: str) -> ObjectWriter:
        """A context manager to write an object in pieces; it appears on leaving, unless by an exception."""
        with _translated(f"store {_checked(name)}"):
            return ObjectWriter(self, self._store, name)

    def sweep(self, older_than_s: float) -> int:
        """Remove what a crash left in a folder: temporary files and empty folders unchanged for that long.

        Returns the number of temporary files; other stores have none.
        """
        if self._folder is None:
            return 0
        before = time.time() - older_than_s
        removed = 0
        for folder, _, files in os.walk(self._folder, topdown=False):
            removed += sum(_remove_old(Path(folder, file), before) for file in files if _TEMPORARY.fullmatch(file))
            if Path(folder) != self._folder:
                _remove_empty(Path(folder), before)
        return removed

    def check(self) -> None:
        """Write, read and delete a small object; raises StorageError when that does not work."""
        name, data = f"check-{secrets.token_hex(8)}", secrets.token_bytes(32)
        try:
            self.put(name, data)
            found = self.get(name)
        except FileNotFoundError as exc:
            raise StorageError("The store of objects loses what is written. Check its settings.") from exc
        finally:
            self.delete(name)
        if found != data:
            raise StorageError("The store of objects does not give back what is written. Check its settings.")

    def _settle(self, name: str) -> None:
        """obstore renames without fsync; the folders up to the root may be as new as the file."""
        if self._folder is None:
            return
        path = self._folder / name
        # Deleted by someone else meanwhile: then there is nothing to make last.
        with suppress(FileNotFoundError):
            fsync_file(path)
            for folder in path.parents[: name.count("/") + 1]:
                fsync_folder(folder)


class ObjectEntry(msgspec.Struct, frozen=True):
    """A stored object, and when it was stored: seconds since 1970 by the store's clock."""

    name: str
    stored_at: float


class ObjectWriter:
    """One object in the making; `Objects.writer` opens it."""

    def __init__(self, objects: Objects, store: ObjectStore, name: str) -> None:
        self._objects = objects
        self._name = name
        self._file = obstore.open_writer(store, name, buffer_size=_PART_BYTES, max_concurrency=_PARTS_IN_FLIGHT)

    def write(self, data: bytes) -> None:
        with _translated(f"store {self._name}"):
            self._file.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _translated(f"store {self._name}"):
            # With an exception obstore aborts the upload and removes its temporary file before this returns.
            self._file.__exit__(kind, error, trace)
            if kind is None:
                self._objects._settle(self._name)


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Turns obstore's errors, and the operating system's, into StorageError; FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as exc:
        raise StorageError(f"Could not {doing}. Check that the store is there, has room and may be used.") from exc


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise ValueError(f"{name!r} cannot name an object: use letters, digits, '.', '_' and '-' between slashes")
    return name


def _remove_old(path: Path, before: float) -> bool:
    # Its writer may finish or give up at this moment.
    with suppress(FileNotFoundError):
        if path.stat().st_mtime <= before:
            path.unlink()
            return True
    return False


def _remove_empty(folder: Path, before: float) -> None:
    # Not empty is the common case, and a write that begins at this moment makes its folder again.
    with suppress(OSError):
        if folder.stat().st_mtime <= before:
            folder.rmdir()
