"""Where a pack can be looked at: a folder with `style.toml`, a project, a wheel, or something installed."""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from likeness_plugins.discovery import GROUP
from likeness_plugins.errors import PackSourceError
from likeness_plugins.new_pack import TEMPLATE

MOST_BYTES: Final = 2_000_000_000
DATA_ONLY: Final = TEMPLATE / "data" / "new_style_pack" / "__init__.py"


class Entry(msgspec.Struct, frozen=True):
    """An entry point: the pack's name, and the module or object that it names."""

    name: str
    value: str


class PackSource(msgspec.Struct, frozen=True):
    """A pack to look at. All files of its styles must lie in `root`; its modules are imported from `paths` first.

    With no entries, `root` is the folder of a style that has no module. `distribution` and `version` are the project's,
    where there is one.
    """

    name: str
    root: Path
    entries: tuple[Entry, ...] = ()
    paths: tuple[Path, ...] = ()
    is_yours: bool = True
    distribution: str = ""
    version: str = ""

    def data_folders(self) -> list[Path] | None:
        """The styles' folders where no code of the pack need run to know them all, else None."""
        folders = [self.data_folder(entry) for entry in self.entries] if self.entries else [self.root]
        return None if None in folders else [folder for folder in folders if folder is not None]

    def data_folder(self, entry: Entry) -> Path | None:
        """The folder of an entry whose module is the template's word for word: it need not run to be known."""
        module = self.module(entry)
        alone = entry.value.isidentifier()  # neither an attribute, nor in a package whose own module runs first
        return module.parent if alone and module is not None and _is_data_only(module) else None

    def module(self, entry: Entry) -> Path | None:
        """The file of the module that an entry names, or None."""
        inside = Path(*entry.value.split(":")[0].strip().split("."))
        places = [path / form for path in self.paths for form in (inside / "__init__.py", inside.with_suffix(".py"))]
        return next((place for place in places if place.is_file()), None)


@contextmanager
def open_pack_source(place: str) -> Iterator[PackSource]:
    """Look at a folder, a wheel (unpacked while this lasts), or an installed distribution. Raises PackSourceError."""
    path = Path(place)
    if path.is_dir():
        yield _folder(path.resolve())
    elif path.is_file() and path.name == "style.toml":  # its folder is meant, and no project around it
        yield _of_style(path.resolve().parent)
    elif path.is_file() and path.suffix == ".whl":
        with TemporaryDirectory(prefix="likeness-") as unpacked:
            yield _wheel(path, Path(unpacked).resolve())
    else:
        yield _installed(place)


def _folder(folder: Path) -> PackSource:
    if (folder / "pyproject.toml").is_file():
        return _project(folder)
    if (folder / "style.toml").is_file():
        return _of_style(folder)
    raise PackSourceError(f"{folder} has neither a style.toml nor a pyproject.toml: name the folder of a pack.")


def _of_style(folder: Path) -> PackSource:
    return PackSource(folder.name, folder)


def _project(folder: Path) -> PackSource:
    """A project's modules lie in its folder, or in a folder of it such as `src`."""
    try:
        described: Any = msgspec.toml.decode((folder / "pyproject.toml").read_bytes())
        project = described["project"]
        entries = msgspec.convert(project["entry-points"][GROUP], dict[str, str])
        distribution, version = (str(project.get(key, "")) for key in ("name", "version"))
    except KeyError as error:
        raise PackSourceError(
            f"{folder / 'pyproject.toml'} names no pack: add [project.entry-points.{GROUP}]."
        ) from error
    except (OSError, msgspec.MsgspecError, TypeError, UnicodeDecodeError) as error:
        raise PackSourceError(f"{folder / 'pyproject.toml'} cannot be read: {error}. Correct the file.") from error
    inner = (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith("."))
    paths = (folder, *(path for path in inner if not (path / "__init__.py").exists()))
    return PackSource(folder.name, folder, _entries(entries.items()), paths, True, distribution, version)


def _wheel(path: Path, unpacked: Path) -> PackSource:
    try:
        with zipfile.ZipFile(path) as wheel:
            if sum(member.file_size for member in wheel.infolist()) > MOST_BYTES:
                raise PackSourceError(f"{path.name} holds more than {MOST_BYTES // 10**9} GB: make the pack smaller.")
            wheel.extractall(unpacked)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise PackSourceError(f"{path.name} is no whole wheel ({error}): build it again.") from error
    named = ((each, _entries_of(each)) for each in metadata.distributions(path=[str(unpacked)]))
    found = [(each, entries) for each, entries in named if entries]
    if not found:
        raise PackSourceError(f"{path.name} names no pack: add [project.entry-points.{GROUP}] to its pyproject.toml.")
    distribution, entries = found[0]  # a wheel is one
    return PackSource(path.name, unpacked, entries, (unpacked,), False, distribution.name, distribution.version)


def _installed(name: str) -> PackSource:
    try:
        distribution = metadata.distribution(name)
        entries = _entries_of(distribution)
    except (metadata.PackageNotFoundError, ValueError) as error:
        raise PackSourceError(
            f"There is no pack {name}: name a folder of one, a wheel, or an installed distribution."
        ) from error
    if not entries:
        raise PackSourceError(f"The distribution {name} names no pack: it has no entry point in the group {GROUP}.")
    first = find_spec(entries[0].value.split(":")[0].split(".")[0])
    if first is None or first.origin is None:
        raise PackSourceError(f"{entries[0].value} of {name} is not installed: install the distribution again.")
    origin = Path(first.origin).resolve()
    root = origin.parent.parent if first.submodule_search_locations else origin.parent
    return PackSource(name, root, entries, (root,), False, distribution.name, distribution.version)


def _entries_of(distribution: metadata.Distribution) -> tuple[Entry, ...]:
    return _entries((entry.name, entry.value) for entry in distribution.entry_points if entry.group == GROUP)


def _entries(pairs: Iterable[tuple[str, str]]) -> tuple[Entry, ...]:
    return tuple(Entry(name, value) for name, value in sorted(pairs))


def _is_data_only(module: Path) -> bool:
    try:
        return _code(module) == _code(DATA_ONLY)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _code(module: Path) -> str:
    """What a module does: its syntax without comments, layout and docstrings."""
    tree = ast.parse(module.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)
