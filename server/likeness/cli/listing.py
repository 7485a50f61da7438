"""`likeness styles` and `likeness packs`: what is installed, and what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from likeness_engines import PackError, installed_packs, open_pack
from likeness_plugins import Catalogue, Pack


class StyleLine(msgspec.Struct, frozen=True):
    """One installed style, and the pack that brought it."""

    name: str
    title: str
    looks: int
    pack: str
    distribution: str
    version: str
    author: str
    licence: str
    preview: str | None


class StyleListing(msgspec.Struct, frozen=True):
    """All styles, and every problem of any style pack."""

    styles: list[StyleLine]
    problems: list[str]


class PackLine(msgspec.Struct, frozen=True):
    """One model pack; where `problem` is not None the rest may be empty."""

    name: str
    folder: str
    version: str = ""
    family: str = ""
    resolution: int | None = None
    author: str = ""
    licence: str = ""
    preview: str | None = None
    problem: str | None = None


def list_styles(catalogue: Catalogue, *, as_json: bool) -> int:
    """Print all styles of a catalogue; 1 when a pack has a problem."""
    lines = [_style_line(catalogue, pack, name) for pack in catalogue.packs for name in pack.styles]
    listing = StyleListing(lines, [problem.sentence for problem in catalogue.problems])
    if as_json:
        print_json(listing)
    else:
        rows = [
            [
                line.name,
                line.title,
                str(line.looks),
                f"{line.distribution} {line.version}",
                line.author,
                line.licence,
                line.preview,
            ]
            for line in lines
        ]
        print_table(["style", "title", "looks", "pack", "author", "licence", "preview"], rows)
        for problem in listing.problems:
            print(problem, file=sys.stderr)
    return 1 if listing.problems else 0


def list_packs(*, as_json: bool) -> int:
    """Print all model packs that came with the installation; 1 when one has a problem."""
    lines = [_pack_line(folder) for folder in installed_packs()]
    if as_json:
        print_json(lines)
    else:
        rows = [
            [line.name, line.version, line.family, str(line.resolution or ""), line.author, line.licence, line.preview]
            for line in lines
        ]
        print_table(["model pack", "version", "family", "pixels", "author", "licence", "preview"], rows)
        for line in lines:
            if line.problem:
                print(line.problem, file=sys.stderr)
    return 1 if any(line.problem for line in lines) else 0


def _style_line(catalogue: Catalogue, pack: Pack, name: str) -> StyleLine:
    style = catalogue.styles[name]
    return StyleLine(
        name=style.name,
        title=style.title,
        looks=len(style.looks),
        pack=pack.name,
        distribution=pack.distribution,
        version=pack.version,
        author=style.author,
        licence=style.licence,
        preview=None if style.preview is None else str(style.preview),
    )


def _pack_line(folder: Path) -> PackLine:
    try:
        about = open_pack(folder).about
    except PackError as error:
        return PackLine(folder.name, str(folder), problem=str(error))
    return PackLine(
        name=about.name,
        folder=str(folder),
        version=about.version,
        family=about.family,
        resolution=about.resolution,
        author=about.author,
        licence=about.licence,
        preview=None if about.preview is None else str(folder / about.preview),
    )


def print_json(value: object) -> None:
    """JSON with the structs' own names."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(headings: list[str], rows: list[list[str | None]]) -> None:
    """A table on a terminal; plain columns of full width elsewhere, so that nothing is cut when piped."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(cell or "" for cell in row))
    console.print(table)
