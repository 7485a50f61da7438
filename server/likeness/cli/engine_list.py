"""`likeness engines list`: what is built, and what of it this machine can use."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from likeness.cli.listing import print_json, print_table
from likeness_engines import BackendError, installed_packs
from likeness_engines.built import Built, built_folders, read_built
from likeness_engines.memory import megabytes
from likeness_engines.pack import file_digest
from likeness_engines.verify import why_not_here


class EngineLine(msgspec.Struct, frozen=True):
    """One build; where this machine cannot use it, `problem` says why."""

    folder: str
    pack: str = ""
    backend: str = ""
    version: str = ""
    device: str = ""
    precision: str = ""
    rows: int | None = None
    bytes: int | None = None
    built_at: str = ""
    problem: str | None = None


def list_engines(cache: Path | None, *, as_json: bool) -> int:
    """Print what is built, and what of it this machine cannot use; such is no failure, as machines share caches."""
    lines = [_line(folder) for folder in built_folders(cache)]
    if as_json:
        print_json(lines)
        return 0
    headings = ["pack", "backend", "version", "device", "precision", "rows", "size", "built", "usable here"]
    print_table(headings, [_cells(line) for line in lines])
    for line in lines:
        if line.problem:
            print(f"{Path(line.folder).name}: {line.problem}", file=sys.stderr)
    return 0


def _line(folder: Path) -> EngineLine:
    try:
        built = read_built(folder)
    except BackendError as error:
        return EngineLine(str(folder), problem=str(error))
    target = built.target
    return EngineLine(
        folder=str(folder),
        pack=built.about.pack,
        backend=target.backend,
        version=target.version,
        device=target.device,
        precision=target.precision,
        rows=target.rows,
        bytes=built.bytes,
        built_at=built.about.built_at,
        problem=why_not_here(target) or _outdated(built),
    )


def _cells(line: EngineLine) -> list[str | None]:
    size = None if line.bytes is None else megabytes(line.bytes)
    rows, usable = str(line.rows or ""), "no" if line.problem else "yes"
    words: list[str | None] = [line.pack, line.backend, line.version, line.device, line.precision]
    return [*words, rows, size, line.built_at[:16].replace("T", " "), usable]


def _outdated(built: Built) -> str | None:
    """Why no one asks for a build any more: its pack is gone or another; None when it is as it was."""
    source = built.about.source
    installed = {folder.name: folder for folder in installed_packs()}
    description = installed.get(source, Path(source)) / "pack.toml"
    if not description.is_file():
        return f"Its pack {source} is not there."
    return None if file_digest(description) == built.about.pack_digest else f"Its pack {source} has changed since."
