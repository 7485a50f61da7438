"""What does marking an avatar as made by a model cost, in milliseconds and bytes, beside encoding it unmarked?

Marked and unmarked are encoded by turns, WebP and PNG, from the styles' previews, which are avatars; each time is the
best of its repeats. The share is that of a render of the miniature, measured in the same run on the same cores.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.render import COUNT, ours
from benchmarks.report import Figure, publish
from likeness.packs import BUILTIN_PACKS, load_catalogue
from likeness.provenance import PNG, WEBP, Marker, open_marker
from likeness.provenance.encode import QUALITY

Pixels = NDArray[np.uint8]
MOST_SHARE = 5.0  # per cent of a render
MOST_BYTES = 20.0  # kB
SMALL = 64
IMPORT = "import time; began = time.perf_counter(); import c2pa; print(time.perf_counter() - began)"


class Cost(msgspec.Struct, frozen=True):
    """Of one picture, unmarked and marked: milliseconds and bytes."""

    plain_ms: float
    marked_ms: float
    plain_bytes: int
    marked_bytes: int

    @property
    def added_ms(self) -> float:
        """What marking adds to encoding."""
        return self.marked_ms - self.plain_ms

    @property
    def added_kb(self) -> float:
        """What marking adds to the file."""
        return (self.marked_bytes - self.plain_bytes) / 1000


def pictures() -> list[Pixels]:
    """One avatar of each built-in style, uint8 HxWx3 RGB."""
    previews = [load_catalogue().styles[name].preview for name, _ in BUILTIN_PACKS]
    found = []
    for preview in filter(None, previews):
        with Image.open(preview) as picture:
            found.append(np.asarray(picture.convert("RGB").resize((256, 256))))
    return found


def unmarked(pixels: Pixels, media_type: str) -> bytes:
    """The baseline: the same encoder with nothing added."""
    buffer = io.BytesIO()
    options = {"format": "PNG"} if media_type == PNG else {"format": "WEBP", "quality": QUALITY, "method": 4}
    Image.fromarray(pixels).save(buffer, **options)
    return buffer.getvalue()


def by_turns(plain: Callable[[], bytes], marked: Callable[[], bytes], repeats: int) -> Cost:
    """The best times of both, taken by turns after one round to warm up."""
    made = plain(), marked()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for work, seconds in zip((plain, marked), times, strict=True):
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
    return Cost(1000 * min(times[0]), 1000 * min(times[1]), len(made[0]), len(made[1]))


def created(marker: Marker, pixels: Pixels, media_type: str, repeats: int) -> Cost:
    """A new avatar."""
    return by_turns(lambda: unmarked(pixels, media_type), lambda: marker.mark(pixels, media_type), repeats)


def derived(marker: Marker, pixels: Pixels, media_type: str, repeats: int) -> Cost:
    """A size variant, with its avatar as the parent."""
    parent = marker.mark(pixels)
    small = np.asarray(Image.fromarray(pixels).resize((SMALL, SMALL)))
    return by_turns(
        lambda: unmarked(small, media_type),
        lambda: marker.derive(parent, small, media_type, "c2pa.resized"),
        repeats,
    )


def figures_of(name: str, costs: list[Cost], render_ms: float) -> list[Figure]:
    """The means over all pictures."""
    added = float(np.mean([cost.added_ms for cost in costs]))
    return [
        Figure(f"{name}, unmarked", float(np.mean([cost.plain_ms for cost in costs])), "ms", "lower"),
        Figure(f"{name}, marked", float(np.mean([cost.marked_ms for cost in costs])), "ms", "lower"),
        Figure(f"{name}, marking adds", added, "ms", "lower"),
        Figure(f"{name}, of a render", 100 * added / render_ms, "%", "lower", MOST_SHARE),
        Figure(f"{name}, file", float(np.mean([cost.plain_bytes for cost in costs])) / 1000, "kB", "lower"),
        Figure(f"{name}, marking adds at most", max(cost.added_kb for cost in costs), "kB", "lower", MOST_BYTES),
    ]


def main() -> int:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of the render that it is compared with (default 2)")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    render_ms = 1000 * ours("onnxruntime", arguments.threads, 1)["seconds"] / COUNT
    loading = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
    marker = open_marker("", "", None)
    figures = [
        Figure("a render of the miniature", render_ms, "ms", "lower"),
        Figure("loading the library", 1000 * float(loading.stdout), "ms", "lower"),
    ]
    kinds = (("WebP", created, WEBP), ("PNG", created, PNG), ("WebP of 64", derived, WEBP), ("PNG of 64", derived, PNG))
    for name, how, media_type in kinds:
        costs = [how(marker, pixels, media_type, arguments.repeats) for pixels in pictures()]
        figures += figures_of(name, costs, render_ms)
    settings = {"threads": str(arguments.threads), "repeats": str(arguments.repeats)}
    return publish("provenance", figures, settings, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
