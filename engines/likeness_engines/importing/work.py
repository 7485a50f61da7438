"""The folder in which a pack is made, `OUT.partial`: what is finished in it stays, when an import is stopped."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from likeness_engines.errors import ExportError
from likeness_engines.importing.compare import OutputError
from likeness_engines.importing.request import ImportRequest

STATE: Final = "import.json"
LOCK: Final = "lock"


class State(msgspec.Struct):
    """What is made, from what, and how far it is: `laid_out` once the weights are written, then network by network."""

    request: dict[str, Any]
    checkpoint: str
    laid_out: bool = False
    errors: dict[str, list[OutputError]] = {}


class Work:
    """One import under way."""

    def __init__(self, out: Path, state: State) -> None:
        self.out, self.state = out, state
        self.folder = out.with_name(f"{out.name}.partial")  # beside `out`, on the same disk
        self.pack = self.folder / "pack"

    def save(self) -> None:
        """Write the state so that a kill at any moment leaves the old one or the new one."""
        fresh = self.folder / f"{STATE}.new"
        fresh.write_bytes(msgspec.json.encode(self.state))
        fresh.replace(self.folder / STATE)

    def lay_out(self) -> None:
        """Note that the weights are written."""
        self.state.laid_out = True
        self.save()

    def finish(self, network: str, errors: list[OutputError]) -> None:
        """Note that a network is exported and compared."""
        self.state.errors[network] = errors
        self.save()

    def hand_over(self) -> None:
        """The finished pack takes its place: from this moment on it is there, and whole."""
        self.pack.rename(self.out)
        shutil.rmtree(self.folder)

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def begin(request: ImportRequest, files: Iterable[Path]) -> Iterator[Work]:
    """Go on in what an earlier call left, or start; raises ExportError for what another import left, or works on now.
    `files` are what the import reads.
    """
    work = Work(request.out, State(_options(request), _fingerprint(files)))
    if work.folder.exists():
        work.state = _left_over(work.folder, work.state)
    work.folder.mkdir(parents=True, exist_ok=True)
    with (work.folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ExportError(f"Another process is importing into {work.folder}. Wait until it is done.") from error
        if not work.state.laid_out:
            shutil.rmtree(work.pack, ignore_errors=True)
        work.save()
        yield work


def check_room(work: Work, needed: int) -> None:
    """Raise ExportError unless the disk has that many bytes, counting what is written already."""
    place = next(folder for folder in work.folder.absolute().parents if folder.exists())
    written = sum(path.stat().st_size for path in work.folder.rglob("*") if path.is_file())
    missing, free = needed - written, shutil.disk_usage(place).free
    if missing > free:
        raise ExportError(
            f"The import needs {missing / 1e9:.1f} GB more at {place}, where {free / 1e9:.1f} GB are free."
            " Make room, or name a folder on another disk."
        )


def _options(request: ImportRequest) -> dict[str, Any]:
    """What an import has to share with the one that it goes on with, besides its files, wherever they lie."""
    every = msgspec.structs.asdict(request)
    paths = ("checkpoint", "out", "config", "ip_adapter", "image_encoder")
    return {name: value for name, value in every.items() if name not in paths}


def _fingerprint(files: Iterable[Path]) -> str:
    """Tells files from others without reading them: by their names, sizes and dates."""
    stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(stamps).encode()).hexdigest()


def _left_over(folder: Path, wanted: State) -> State:
    """The state that lies there, if it is of the same import."""
    remedy = f"Remove {folder}, or choose another --out."
    try:
        found = msgspec.json.decode((folder / STATE).read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError) as error:
        raise ExportError(f"{folder} is in the way, and is not what an import left. {remedy}") from error
    if found.checkpoint != wanted.checkpoint:
        raise ExportError(f"{folder} is what the import of another checkpoint left. {remedy}")
    keys = sorted(key for key in wanted.request if found.request.get(key) != wanted.request[key])
    if keys:
        raise ExportError(f"{folder} was begun with another {' and '.join(keys)}. {remedy} Or give the same again.")
    return found
