"""Drawing every look of a pack: the sheet that its author judges, and each style's preview."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from likeness.cli.engines import default_cache
from likeness.cli.render import read_files, report_left_out, show_progress
from likeness.errors import OutputError
from likeness.generation import Avatar, draw
from likeness.packs import crop_side, open_model_pack
from likeness.photos import Crop
from likeness.plan import UNCHANGED, PlannedRender
from likeness.provenance import COMPOSITE_SOURCE_TYPE, encode_webp, open_marker
from likeness.sheet import Tile, draw_sheet
from likeness_engines import BackendOptions, ModelPack, load_engines
from likeness_plugins import Catalogue, PackSourceError, Style
from likeness_plugins.checks import PREVIEW_BYTES
from likeness_plugins.pack_source import PackSource
from likeness_plugins.source_catalogue import load_pack_source

SEED: Final = 7
PREVIEW_SIDES: Final = (256, 192, 128)
PHOTO_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".webp", ".avif")
Pixels = NDArray[np.uint8]


def preview_styles(source: PackSource, photos: Path, out: Path | None, model: Path | None) -> int:
    """Draw all looks of all styles, write the sheet and the previews; 1 when a look could not be drawn."""
    out = out or Path(f"{Path(source.name).stem}-sheet.webp")
    if out.suffix != ".webp" or not out.parent.is_dir():
        raise OutputError(f"The sheet {out} is no .webp in a folder that is there: choose another --out.")
    catalogue, pack = load_pack_source(source), open_model_pack(model)
    if not catalogue.styles:
        raise PackSourceError(f"{source.name} has hooks alone, and no style to draw.")
    paths = _photos(photos)
    crops, results = read_files(paths, catalogue, crop_side(pack.about))
    report_left_out(Console(highlight=False), paths, results)
    drawn = _draw(pack, catalogue, crops)
    bands = [(style.title, _tiles(style, drawn)) for style in catalogue.styles.values()]
    sheet = draw_sheet([crop.pixels for crop in crops], bands)
    _write(out, open_marker("", "", None).mark(sheet, source=COMPOSITE_SOURCE_TYPE))
    print(f"All looks are on {out}")
    for style in catalogue.styles.values():
        first = drawn.get((style.name, style.looks[0].name))
        if source.is_yours and first is not None:
            _write_preview(style, first, None if source.entries else source.root)
    return 0 if len(drawn) == sum(len(style.looks) for style in catalogue.styles.values()) else 1


def _photos(folder: Path) -> list[Path]:
    try:
        photos = sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_ENDINGS)
    except OSError as error:
        raise OutputError(f"The photos in {folder} cannot be listed ({error.strerror}): check --photos.") from error
    if not photos:
        raise OutputError(f"{folder} has no photos, files that end in {', '.join(PHOTO_ENDINGS)}: check --photos.")
    return photos


def _draw(pack: ModelPack, catalogue: Catalogue, crops: Sequence[Crop]) -> dict[tuple[str, str], Pixels]:
    """(style, look) -> avatar; what could not be drawn is said."""
    plan = plan_looks(catalogue.styles.values(), len(crops))
    engines = load_engines(pack, options=BackendOptions(cache=default_cache(None)))
    console, drawn = Console(highlight=False), {}
    with show_progress(console) as progress:
        task = progress.add_task("Drawing", total=len(plan))
        for result in draw(engines, catalogue, crops, plan):
            style, look = result.render.style.name, result.render.look.name
            if isinstance(result, Avatar):
                drawn[style, look] = result.pixels
            else:
                print(f"The look {look} of {style} {result.state}: {result.reason}", file=sys.stderr)
            progress.advance(task)
    return drawn


def plan_looks(styles: Iterable[Style], photos: int) -> list[PlannedRender]:
    """Each look of each style once. Its place in the style alone decides its photo and its seed, so that a look that is
    added at the end changes no other.
    """
    looks = [(style, look, place) for style in styles for place, look in enumerate(style.looks)]
    return [
        PlannedRender(index, style, look, place % photos, SEED + place, UNCHANGED)
        for index, (style, look, place) in enumerate(looks)
    ]


def _tiles(style: Style, drawn: Mapping[tuple[str, str], Pixels]) -> list[Tile]:
    """In the author's order."""
    return [
        Tile(drawn[style.name, look.name], look.title or look.name)
        for look in style.looks
        if (style.name, look.name) in drawn
    ]


def _write_preview(style: Style, pixels: Pixels, folder: Path | None) -> None:
    """Over the style's own preview, or into its folder, where it has one; as large as a preview may be."""
    place = style.preview or (folder and folder / "preview.webp")
    if place is None or place.suffix != ".webp":
        print(f"The style {style.name} names no .webp as its preview, so none was written.", file=sys.stderr)
        return
    _write(place, _small(pixels))
    print(f"The preview of {style.name} is {place}")
    if style.preview is None:
        print(f'Name it in {place.with_name("style.toml")}: preview = "preview.webp"')


def _small(pixels: Pixels) -> bytes:
    """As large as a preview may be; the smallest is far below the limit."""
    sizes = [(side, side) for side in PREVIEW_SIDES]
    scaled = [np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)) for size in sizes]
    return next(encoded for encoded in map(encode_webp, scaled) if len(encoded) <= PREVIEW_BYTES)


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"Cannot write {path}: {error.strerror}. Free some room, or write elsewhere.") from error
