"""Where ciphertext lies: a folder, or whatever obstore opens by URL, such as s3://bucket/path."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import msgspec
import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, from_url

from likeness.vault.durable import fsync_file, fsync_folder
from likeness.vault.errors import StorageError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

# The same on every store, though some take more: a local store keeps `name#1` for its own temporary files.
_NAME: Final = re.compile(r"[\w.-]+(?:/[\w.-]+)*", re.ASCII)
_TEMPORARY: Final = re.compile(r".+#\d+", re.ASCII)
# What S3 calls the only version that it keeps while versioning is suspended.
_UNVERSIONED: Final = "null"
_LOSES: Final = "The store of objects loses what is written. Check its settings."
_KEEPS_VERSIONS: Final = (
    "The bucket keeps old versions of its objects, so what is deleted would not be gone. "
    "Suspend its versioning and delete its old versions, or use another bucket."
)
# A store that does not answer is an error after 20 s, at worst 40: a retry that begins in time may take as long again.
_PATIENCE: Final[ClientConfig] = {"connect_timeout": "5s", "timeout": "20s"}
_RETRIES: Final[RetryConfig] = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}


def open_objects(location: str) -> Objects:
    """Open a folder, which is made when missing, or a URL; raises StorageError.

    obstore reads the rest from the environment, for s3:// the usual AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, and AWS_ALLOW_HTTP.
    """
    scheme = urlsplit(location).scheme if "://" in location else "file"
    with _translated(f"open the store of objects ({scheme})"):
        if scheme != "file":
            return Objects(from_url(location, client_options=_client_options(), retry_config=_RETRIES))
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
        self._put(name, data)

    def get(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        with _translated(f"read {_checked(name)}", passing=FileNotFoundError):
            return obstore.get(self._store, name).bytes().to_bytes()

    def delete(self, name: str) -> None:
        """Delete; a missing object is fine."""
        with _translated(f"delete {_checked(name)}"), suppress(FileNotFoundError):
            obstore.delete(self._store, name)
            if self._folder is not None:
                fsync_folder((self._folder / name).parent)

    def delete_many(self, names: Sequence[str]) -> None:
        """Delete in as few requests as the store has for it; missing objects are fine."""
        paths = [_checked(name) for name in names]
        with _translated(f"delete {len(paths)} objects"):
            try:
                obstore.delete(self._store, paths)
            except FileNotFoundError:
                # Some stores stop at what is missing, and the rest is still there.
                for path in paths:
                    self.delete(path)
            self._settle_deleted(paths)

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

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those that are not stored, in their order; one listing for each folder that they name."""
        stored: set[str] = set()
        for folder in {_checked(name).rpartition("/")[0] for name in names}:
            with _translated("list the objects"):
                found = obstore.list_with_delimiter(self._store, folder or None)
            stored.update(entry["path"] for entry in found["objects"])
        return [name for name in names if name not in stored]

    def clock(self) -> float:
        """Seconds since 1970 by the store's own clock, whole ones on S3: an object's age is this less `stored_at`."""
        name = f"clock-{secrets.token_hex(8)}"
        self.put(name, b"")
        try:
            with _translated("read the clock of the store", passing=FileNotFoundError):
                return obstore.head(self._store, name)["last_modified"].timestamp()
        except FileNotFoundError as exc:
            raise StorageError(_LOSES) from exc
        finally:
            self.delete(name)

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
        """Write, read, list and delete a small object, which must be gone then; raises StorageError otherwise.

        A server or worker that calls this first does not start on a store that it cannot keep its promises with.
        """
        name, data = f"check-{secrets.token_hex(8)}", secrets.token_bytes(32)
        version = self._put(name, data)
        try:
            found = self.get(name)
            unlisted = self.missing([name])
        except FileNotFoundError as exc:
            raise StorageError(_LOSES) from exc
        finally:
            self.delete(name)
        if found != data:
            raise StorageError("The store of objects does not give back what is written. Check its settings.")
        if unlisted:
            raise StorageError("The store of objects does not list what is written. Check its settings.")
        if self._keeps(name, version):
            raise StorageError(_KEEPS_VERSIONS)

    def _put(self, name: str, data: bytes) -> str | None:
        """Store whole, in one request; answers its version where the store has such."""
        with _translated(f"store {_checked(name)}"):
            stored = obstore.put(self._store, name, data, use_multipart=False)
            self._settle(name)
        return stored["version"]

    def _keeps(self, name: str, version: str | None) -> bool:
        """Whether this version of a deleted object is still there; Google's, for one, all have a version."""
        if version in (None, _UNVERSIONED):
            return False
        with _translated("look for an old version"):
            try:
                obstore.get(self._store, name, options={"version": version})
            except FileNotFoundError:
                return False
            except (PermissionDeniedError, UnauthenticatedError):
                pass  # may be read by nobody but the bucket's owner, and is there
        return True

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

    def _settle_deleted(self, names: Sequence[str]) -> None:
        if self._folder is None:
            return
        for folder in {(self._folder / name).parent for name in names}:
            # Swept as empty meanwhile.
            with suppress(FileNotFoundError):
                fsync_folder(folder)


class ObjectEntry(msgspec.Struct, frozen=True):
    """A stored object, and when it was stored: seconds since 1970 by the store's clock."""

    name: str
    stored_at: float


def _client_options() -> ClientConfig:
    # Options of ours replace all of those that obstore takes from the environment.
    options = _PATIENCE.copy()
    if "AWS_ALLOW_HTTP" in os.environ:
        options["allow_http"] = os.environ["AWS_ALLOW_HTTP"].lower() in {"1", "true", "on", "yes", "y"}
    if "AWS_PROXY_URL" in os.environ:
        options["proxy_url"] = os.environ["AWS_PROXY_URL"]
    return options


@contextmanager
def _translated(doing: str, *, passing: type[FileNotFoundError] | tuple[()] = ()) -> Iterator[None]:
    """Turns obstore's errors, and the operating system's, into StorageError; a missing bucket is one like any other."""
    try:
        yield
    except passing:
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
