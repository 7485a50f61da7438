"""Draw what the project shows of the miniature: `python -m miniature.previews` writes each style's preview, the pack's,
and the README's contact sheets, all from the public-domain astronaut.
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
from likeness.photos import Crop, crop_face
from likeness.plan import PlannedRender, Variation
from likeness.provenance import encode_webp
from likeness.sheet import Tile, draw_sheet
from likeness_engines import Engines, bundled_pack, load_engines
from likeness_engines.importing import seal_pack
from likeness_plugins import Catalogue, Style, style_from_folder

ROOT: Final = Path(__file__).parent.parent.parent
SHEET: Final = Path(__file__).with_name("sheet.webp")
LORA_SHEET: Final = Path(__file__).with_name("medallion.webp")
LOOKS_SHOWN: Final = 6
SEED: Final = 7


def main() -> None:
    """Draw six looks of each style and write all pictures."""
    pack, catalogue = bundled_pack(), load_catalogue()
    engines, crop = load_engines(pack), crop_face(np.asarray(skimage.data.astronaut()))
    styles = choose_styles(catalogue, DEFAULT_STYLES)
    bands = draw_bands(engines, catalogue, styles, crop)
    for style in styles:
        write(ROOT / "styles" / "likeness_styles" / style.name / "preview.webp", bands[style.title][0].pixels)
    write(pack.folder / "preview.webp", np.hstack([tiles[0].pixels for tiles in bands.values()]))
    seal_pack(pack.folder, msgspec.structs.replace(pack.about, preview="preview.webp"))
    write(SHEET, draw_sheet([crop.pixels], list(bands.items())))
    with_lora = style_from_folder(ROOT / "styles" / "medallion" / "medallion_pack")
    without = msgspec.structs.replace(with_lora, name="without", title="Without the LoRA", recipes={})
    same_seeds = [draw_bands(engines, catalogue, [style], crop) for style in (without, with_lora)]
    write(LORA_SHEET, draw_sheet([crop.pixels], [band for bands in same_seeds for band in bands.items()]))


def draw_bands(engines: Engines, catalogue: Catalogue, styles: list[Style], crop: Crop) -> dict[str, list[Tile]]:
    """Each style's title -> its first looks, in their order; a style's seeds go on from the one before."""
    chosen = [(style, look) for style in styles for look in style.looks[:LOOKS_SHOWN]]
    plan = [PlannedRender(n, style, look, 0, SEED + n, Variation()) for n, (style, look) in enumerate(chosen)]
    bands: dict[str, dict[int, Tile]] = {style.title: {} for style in styles}
    for result in draw(engines, catalogue, [crop], plan):
        shown = result.render
        if not isinstance(result, Avatar):
            raise SystemExit(f"{shown.style.name} was not drawn: {result.reason}")
        bands[shown.style.title][shown.index] = Tile(result.pixels, shown.look.title)
    return {title: [tile for _, tile in sorted(tiles.items())] for title, tiles in bands.items()}


def write(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Save a picture with the mark that it was made by a model, previews at most 640 wide."""
    if path not in (SHEET, LORA_SHEET):
        smaller = Image.fromarray(pixels)
        smaller.thumbnail((640, 256), Image.Resampling.LANCZOS)
        pixels = np.asarray(smaller)
    path.write_bytes(encode_webp(pixels))
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
