"""A data-only pack as one object: its description and the files that it names, nothing else. It holds bytes alone: no
links, no modes, nothing to inflate.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from likeness.style_packs.errors import StylePackError
from likeness_plugins import Style

DESCRIPTION: Final = "style.toml"
_NAME: Final = re.compile(r"[\w +=,@-][\w .+=,@-]*(?:/[\w +=,@-][\w .+=,@-]*)*", re.ASCII)


def pack_up(folder: Path, style: Style) -> bytes:
    """The archive of a checked pack; the same files always give the same bytes. Raises StylePackError."""
    root = folder.resolve()
    paths = {root / DESCRIPTION, *files_of(style)}
    for path in paths:
        if not _NAME.fullmatch(name := str(path.relative_to(root))):
            raise StylePackError(f"The pack {style.name} has a file {name!r}: use plain letters, digits, '.' and '-'.")
    try:
        return _pack_up(root, paths)
    except OSError as error:
        raise StylePackError(f"{error.filename} cannot be read: {error.strerror}. Check its permissions.") from error


def unpack(cache: Path, digest: str, fetch: Callable[[], bytes]) -> Path:
    """The pack's folder in the cache, fetched and unpacked unless it is there and whole; other processes may do so too.
    Raises StylePackError for what is not the archive of that sha256, and what `fetch` and the disk raise.
    """
    folder = cache / digest
    if folder.is_dir() and _is_whole(folder, digest):
        return folder
    files = _files(fetch(), digest)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = cache / f"{digest}-{secrets.token_hex(4)}"
    try:
        for name, content in files.items():
            path = making / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(content)
        _settle(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def digest_of(archive: bytes) -> str:
    """Its sha256, hex."""
    return hashlib.sha256(archive).hexdigest()


def files_of(style: Style) -> list[Path]:
    """Preview and LoRAs, with absolute paths if the style was read from a folder."""
    named = [style.preview, *(recipe.lora for recipe in style.recipes.values())]
    return [path for path in named if path is not None]


def _files(archive: bytes, digest: str) -> dict[str, bytes]:
    if digest_of(archive) != digest:
        raise StylePackError("Its archive in the store of objects is not the one that was installed. Install it again.")
    try:
        files = msgspec.msgpack.decode(archive, type=dict[str, bytes])
    except msgspec.MsgspecError as error:
        raise StylePackError("Its archive in the store of objects is none. Install it again.") from error
    if not all(map(_NAME.fullmatch, files)):
        raise StylePackError("Its archive has a file that leads out of its folder. Install it again.")
    return files


def _pack_up(root: Path, paths: Iterable[Path]) -> bytes:
    return msgspec.msgpack.encode({str(path.relative_to(root)): path.read_bytes() for path in sorted(paths)})


def _is_whole(folder: Path, digest: str) -> bool:
    """Whether the folder has what was unpacked: a machine that lost its power has perhaps not kept all of it."""
    return digest_of(_pack_up(folder, (path for path in folder.rglob("*") if path.is_file()))) == digest


def _settle(making: Path, folder: Path) -> None:
    """Give the folder its name; of several processes one does, and the others find it there."""
    if folder.is_dir() and not _is_whole(folder, folder.name):
        shutil.rmtree(folder)
    try:
        making.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
