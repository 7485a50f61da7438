"""Draw what the project shows of the miniature: `python -m miniature.previews` writes each style's preview, the pack's,
and the README's contact sheet, all from the public-domain astronaut.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from likeness.generation import Avatar, draw
from likeness.packs import DEFAULT_STYLES, choose_styles, load_catalogue
from likeness.photos import crop_face
from likeness.plan import PlannedRender, Variation
from likeness.provenance import encode_webp
from likeness.sheet import Tile, draw_sheet
from likeness_engines import bundled_pack, load_engines
from likeness_engines.importing import seal_pack

ROOT: Final = Path(__file__).parent.parent.parent
SHEET: Final = Path(__file__).with_name("sheet.webp")
LOOKS_SHOWN: Final = 6
SEED: Final = 7


def main() -> None:
    """Draw six looks of each style and write all pictures."""
    pack, catalogue = bundled_pack(), load_catalogue()
    crop = crop_face(np.asarray(skimage.data.astronaut()))
    styles = choose_styles(catalogue, DEFAULT_STYLES)
    chosen = [(style, look) for style in styles for look in style.looks[:LOOKS_SHOWN]]
    plan = [PlannedRender(n, style, look, 0, SEED + n, Variation()) for n, (style, look) in enumerate(chosen)]
    bands: dict[str, list[Tile]] = {style.title: [] for style in styles}
    for result in draw(load_engines(pack), catalogue, [crop], plan):
        if not isinstance(result, Avatar):
            raise SystemExit(f"{result.render.style.name} was not drawn: {result.reason}")
        shown = result.render
        bands[shown.style.title].append(Tile(result.pixels, shown.look.title))
        if shown.look == shown.style.looks[0]:
            write(ROOT / "styles" / "likeness_styles" / shown.style.name / "preview.webp", result.pixels)
    write(pack.folder / "preview.webp", np.hstack([tiles[0].pixels for tiles in bands.values()]))
    seal_pack(pack.folder, msgspec.structs.replace(pack.about, preview="preview.webp"))
    write(SHEET, draw_sheet([crop.pixels], list(bands.items())))


def write(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Save a picture with the mark that it was made by a model, previews at most 640 wide."""
    if path != SHEET:
        smaller = Image.fromarray(pixels)
        smaller.thumbnail((640, 256), Image.Resampling.LANCZOS)
        pixels = np.asarray(smaller)
    path.write_bytes(encode_webp(pixels))
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
