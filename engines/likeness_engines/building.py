"""Building engines into the cache: alone, network by network, in a folder that gets its name when all is there."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from likeness_engines.backends.base import Compiler, Target
from likeness_engines.built import (
    ABOUT,
    FORMAT,
    PARTIAL,
    Built,
    BuiltFile,
    BuiltNetwork,
    cache_folder,
    pack_source,
    read_built,
)
from likeness_engines.errors import BackendError
from likeness_engines.pack import ModelPack, file_digest

PROGRESS: Final = "progress.json"
# Called with a network's name and None when its turn begins, and with what was built when it is there.
Report = Callable[[str, BuiltNetwork | None], None]


def build_engines(pack: ModelPack, compiler: Compiler, target: Target, cache: Path | None, report: Report) -> Built:
    """Build what is not built yet, network by network; a build that was broken off goes on where it stopped.

    The compiler adds files to a folder that is renamed at the end: it changes no file of another network, and no file
    may hold its own path. What outlives a build, such as a timing cache, belongs into that folder's parent. Raises
    BackendError.
    """
    where = cache_folder(cache)
    try:
        where.mkdir(parents=True, exist_ok=True)
        folder = where / build_name(pack, target)
        with _alone(folder):
            return whole_build(pack, target, cache) or _build(pack, compiler, target, folder, report)
    except OSError as error:
        raise BackendError(
            f"Engines cannot be written to {where}: {error.strerror}. Free some room, or name another folder with"
            " --cache."
        ) from error


def whole_build(pack: ModelPack, target: Target, cache: Path | None) -> Built | None:
    """What was built for this very target before, if it is there and whole."""
    try:
        built = read_built(cache_folder(cache) / build_name(pack, target))
        built.verify()
    except BackendError:
        return None
    return built if (built.target, built.about.pack_digest) == (target, pack.digest) else None


def build_name(pack: ModelPack, target: Target) -> str:
    """A build's folder: readable, and unmistakable by a digest of all that its engines depend on."""
    key = hashlib.sha256(msgspec.json.encode((FORMAT, pack.digest, target))).hexdigest()[:12]
    device = target.device.partition(" (")[0]
    words = f"{pack.name} {target.backend} {target.version} {device} {target.precision} rows{target.rows}"
    return re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-.")[:120] + f"-{key}"


def _build(pack: ModelPack, compiler: Compiler, target: Target, folder: Path, report: Report) -> Built:
    partial = folder.with_name(folder.name + PARTIAL)
    begun = BuiltFile(FORMAT, pack.name, pack_source(pack), pack.digest, target)
    about = _resume(partial, begun)
    for network in pack.networks:
        report(network, None)
        if network not in about.networks:
            before, started = _files(partial), time.monotonic()
            compiler.build(pack, network, target, partial)
            about = _with(about, network, time.monotonic() - started, partial, _files(partial) - before)
            _write(partial / PROGRESS, about)
        report(network, about.networks[network])
    about = msgspec.structs.replace(about, built_at=datetime.now(UTC).isoformat(timespec="microseconds"))
    (partial / PROGRESS).unlink()
    _write(partial / ABOUT, about)
    shutil.rmtree(folder, ignore_errors=True)  # a damaged one
    partial.rename(folder)
    return Built(folder, about)


def _resume(partial: Path, begun: BuiltFile) -> BuiltFile:
    """What an earlier build left whole, with everything else of it removed; `begun` where that is nothing."""
    try:
        about = msgspec.json.decode((partial / PROGRESS).read_bytes(), type=BuiltFile)
        Built(partial, about).verify()
    except (OSError, msgspec.MsgspecError, BackendError):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        return begun
    for name in _files(partial) - about.files.keys() - {PROGRESS}:
        (partial / name).unlink()
    for path in sorted(partial.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return about


def _with(about: BuiltFile, network: str, seconds: float, partial: Path, new: set[str]) -> BuiltFile:
    size = sum((partial / name).stat().st_size for name in new)
    networks = {**about.networks, network: BuiltNetwork(round(seconds, 2), size, tuple(sorted(new)))}
    files = {**about.files, **{name: file_digest(partial / name) for name in sorted(new)}}
    return msgspec.structs.replace(about, networks=networks, files=files)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _write(path: Path, about: BuiltFile) -> None:
    """Replace a description whole: half of one is never read."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=2))
    draft.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of one build; its file stays, as a second process may be about to lock it."""
    with folder.with_name(f".{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackendError(f"Another process is building {folder.name}. Wait until it is done.") from error
        yield
