"""The cache of built engines: a folder for each pack and target, written once, never changed, checked when read.

Engines run on the very same library version and device alone, so both are in the key. A folder that is being built
ends in `.partial` and is never loaded. `building.py` fills it.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from likeness_engines.backends.base import Target
from likeness_engines.errors import BackendError
from likeness_engines.pack import PACKS, ModelPack, file_digest

FORMAT: Final = 1
ABOUT: Final = "engine.json"
PARTIAL: Final = ".partial"
# What a message asks for where nothing was built before: the rows at which such a device is full.
_ROWS: Final = {"onnxruntime": 10, "tensorrt": 60, "torch": 60}


class BuiltNetwork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long one network took to build, its files, and how large they are together."""

    seconds: float
    bytes: int
    files: tuple[str, ...]


class BuiltFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `engine.json` says; `files` maps the path of every file, relative to the folder, to its sha256.

    `source` is what commands call the pack: its folder, or an installed one's name. `built_at` is ISO 8601 in UTC.
    """

    format: int
    pack: str
    source: str
    pack_digest: str
    target: Target
    networks: dict[str, BuiltNetwork] = {}
    files: dict[str, str] = {}
    built_at: str = ""


class Built(msgspec.Struct, frozen=True):
    """The engines of one pack for one target: `about` is their description, `folder` where they lie."""

    folder: Path
    about: BuiltFile

    @property
    def target(self) -> Target:
        return self.about.target

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(network.bytes for network in self.about.networks.values())

    def file(self, name: str) -> Path:
        """Where a file of the build lies, its sha256 compared first; raises BackendError unless it is whole."""
        path = self.folder / name
        if name not in self.about.files or not path.is_file() or file_digest(path) != self.about.files[name]:
            command = _command(self.about.source, self.target.backend, self.target, self.folder.parent)
            raise BackendError(f"The engine file {path} is missing or damaged. Run `{command}` to build it again.")
        return path

    def verify(self, network: str | None = None) -> None:
        """Compare the files of one network, or of all, with their sha256; raises BackendError for the first that
        differs.
        """
        for name in self.about.files if network is None else self.about.networks[network].files:
            self.file(name)


def cache_folder(given: Path | None) -> Path:
    """The folder of built engines: the given one, or the user's own."""
    if given is not None:
        return given
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "likeness" / "engines"


def built_folders(cache: Path | None) -> list[Path]:
    """The folders of all complete builds, by name, readable or not."""
    return [about.parent for about in sorted(cache_folder(cache).glob(f"*/{ABOUT}")) if about.parent.suffix != PARTIAL]


def read_built(folder: Path) -> Built:
    """Read a build's description; raises BackendError."""
    try:
        about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=BuiltFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackendError(f"{folder / ABOUT} cannot be read: {error}. Remove that folder and build again.") from error
    if about.format != FORMAT:
        raise BackendError(f"The engines in {folder} have format {about.format}, not {FORMAT}. Build them again.")
    return Built(folder, about)


def list_built(cache: Path | None) -> list[Built]:
    """All complete builds that can be read, by name."""
    found = []
    for folder in built_folders(cache):
        with suppress(BackendError):  # `likeness engines list` names it
            found.append(read_built(folder))
    return found


def find_built(cache: Path | None, pack: ModelPack, backend: str, version: str, device: str) -> Built:
    """The build of exactly this pack for this backend, library version and device: of several, the one with most rows,
    then the newest. Its files are not checked yet: ask for them by `file`, or `verify` first.

    Raises BackendError, which says what there is instead and how to build.
    """
    same = [b for b in list_built(cache) if b.about.pack == pack.name and b.target.backend == backend]
    here = [built for built in same if (built.target.version, built.target.device) == (version, device)]
    exact = [built for built in here if built.about.pack_digest == pack.digest]
    if exact:
        return max(exact, key=_preference)
    like = max(here or same, key=_preference).target if same else None
    what = f"engines of {pack.name} for {backend} in {cache_folder(cache)}"
    if here:
        problem = f"The {what} were built from another version of the pack, or another one of its name."
    elif same:
        there = ", ".join(sorted({f"{built.target.device} with {backend} {built.target.version}" for built in same}))
        problem = f"The {what} were built for {there}; this machine has {device} with {backend} {version}."
    else:
        problem = f"There are no {what}."
    raise BackendError(f"{problem} Run `{_command(pack_source(pack), backend, like, cache)}`.")


def pack_source(pack: ModelPack) -> str:
    """What commands call a pack: an installed one's name, or its folder."""
    folder = pack.folder.resolve()
    return folder.name if folder.parent == PACKS.resolve() else str(folder)


def _preference(built: Built) -> tuple[int, str]:
    return built.target.rows, built.about.built_at


def _command(source: str, backend: str, like: Target | None, cache: Path | None) -> str:
    rows = like.rows if like else _ROWS.get(backend, _ROWS["onnxruntime"])
    precision = f" --precision {like.precision}" if like else ""
    where = "" if cache_folder(cache) == cache_folder(None) else f" --cache {shlex.quote(str(cache))}"
    return f"likeness engines build {shlex.quote(source)} --backend {backend} --rows {rows}{precision}{where}"
