"""Files that survive a power cut once a call has returned, and that no process ever sees half-written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from likeness.vault.errors import VaultError


@contextmanager
def key_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's errors about a key file into VaultError; FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as exc:
        reason = exc.strerror or exc
        raise VaultError(f"The key file {path} cannot be used ({reason}). Check permissions and free space.") from exc


def create(path: Path, data: bytes) -> None:
    """Write a private file whole, or leave what another process has put there meanwhile.

    The file has mode 0600 and its folder 0700. Raises FileNotFoundError when someone destroys the draft at this moment.
    """
    _make_private(path.parent)
    # A crash can leave this behind; the name begins with the file's own, so that who destroys that finds this too.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            # Unlike a rename, a link never replaces.
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
    fsync_folder(path.parent)


def destroy(path: Path) -> None:
    """Overwrite with zeros, then unlink; the caller fsyncs the folder. A missing file is fine.

    Where the file system copies on write or the disk remaps blocks, only unlinking and the disk's own erasure count.
    """
    with suppress(FileNotFoundError):
        try:
            with path.open("r+b") as file:
                file.write(bytes(os.fstat(file.fileno()).st_size))
                file.flush()
                os.fsync(file.fileno())
        finally:
            path.unlink()


def fsync_file(path: Path) -> None:
    """Make a file's content last, whoever wrote it."""
    _fsync(path, os.O_RDONLY)


def fsync_folder(path: Path) -> None:
    """Make a folder's entries last: files created, renamed or unlinked in it."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_private(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fsync_folder(folder.parent)
    # A mounted volume may belong to someone else; the files in it are private all the same.
    with suppress(PermissionError):
        folder.chmod(0o700)
