"""Sample photos, and thirty avatars of them: three variants of the one photo of the astronaut (Eileen Collins, NASA,
public domain).

    demo.py photos FOLDER    writes the photos
    demo.py render FOLDER    draws the avatars; the photos lie beside it, in `photos`
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

import skimage.data
from PIL import Image, ImageEnhance, ImageOps

from likeness.cli import main


def write_photos(folder: Path) -> list[Path]:
    """Save the astronaut as she is, mirrored and tilted, and closer in warmer light; returns the three JPEG files."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = Image.fromarray(skimage.data.astronaut())
    tilted = ImageOps.mirror(whole).rotate(8, Image.Resampling.BICUBIC).crop((60, 40, 452, 432))
    closer = ImageEnhance.Color(ImageEnhance.Brightness(whole.crop((70, 0, 390, 320))).enhance(1.12)).enhance(1.25)
    paths = []
    for name, picture in (("whole", whole), ("tilted", tilted), ("closer", closer)):
        paths.append(folder / f"astronaut-{name}.jpg")
        picture.save(paths[-1], quality=95)
    return paths


def render(out: Path) -> int:
    """Replace what an earlier run left in `out` by thirty new avatars; the photos stay beside it, to try again with."""
    shutil.rmtree(out, ignore_errors=True)
    photos = write_photos(out.with_name("photos"))
    return main(["render", *map(str, photos), "--seed", "7", "--out", str(out)])


if __name__ == "__main__":
    what, folder = sys.argv[1:]
    if what == "render":
        sys.exit(render(Path(folder)))
    print("\n".join(map(str, write_photos(Path(folder)))))
