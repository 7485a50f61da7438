"""Not a benchmark: the baseline of `serve.py`, the core of `likeness render` in a process of its own.

`bare.py FOLDER THREADS` draws the thirty once for each line on standard input, and prints how many and the seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.uploads import SEED
from likeness.generation import Avatar, draw
from likeness.packs import DEFAULT_STYLES, choose_styles, load_catalogue
from likeness.photos import read_photos
from likeness.plan import plan_renders
from likeness.settings import Settings
from likeness.worker.process import NICENESS
from likeness_engines import BackendOptions, bundled_pack, load_engines

AVATARS = Settings().avatars


def draw_bare(folder: Path, threads: int) -> int:
    """The baseline's process: for each line on standard input, draw the thirty and print the seconds."""
    os.nice(NICENESS)
    catalogue = load_catalogue()
    engines = load_engines(bundled_pack(), options=BackendOptions(threads))
    sources = [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
    crops = read_photos(sources, catalogue.review_photo, lambda crops: catalogue.review_photos(crops, "local")).crops
    styles = choose_styles(catalogue, DEFAULT_STYLES)
    for _ in sys.stdin:
        began = time.perf_counter()
        plan = plan_renders(styles, [crop.quality for crop in crops], AVATARS, SEED)
        drawn = sum(isinstance(result, Avatar) for result in draw(engines, catalogue, crops, plan))
        print(drawn, time.perf_counter() - began, flush=True)
    return 0


@contextmanager
def start_baseline(photos: Sequence[bytes], threads: int) -> Iterator[Callable[[], float]]:
    """A loaded and warm baseline: called, it draws the thirty and returns the seconds."""
    with tempfile.TemporaryDirectory(prefix="likeness-bare-") as folder:
        for index, photo in enumerate(photos):
            (Path(folder) / f"{index}.jpg").write_bytes(photo)
        command = [sys.executable, __file__, folder, str(threads)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            asked, answers = process.stdin, process.stdout
            assert asked is not None
            assert answers is not None

            def bare() -> float:
                print(file=asked, flush=True)
                drawn, seconds = answers.readline().split()
                if int(drawn) != AVATARS:
                    raise SystemExit(f"The baseline drew {drawn} of {AVATARS} avatars.")
                return float(seconds)

            try:
                bare()
                yield bare
            finally:
                process.terminate()


if __name__ == "__main__":
    sys.exit(draw_bare(Path(sys.argv[1]), int(sys.argv[2])))
