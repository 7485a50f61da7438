"""Not a benchmark: what installed packs add to a server's start, a part of `style_kit.py`.

`style_kit_start.py DATA` does once, in its own process, what the service does with styles when it starts, and prints
the milliseconds and how many styles there are: discovery, which imports the packs with code, and a look at those
without. Python's start and the imports of the service itself are not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

import msgspec

from benchmarks.report import Figure
from benchmarks.server import environment_with, say
from benchmarks.style_kit_packs import MODEL, install_code, install_data, make_data
from likeness.packs import BUILTIN_PACKS, load_catalogue
from likeness.safe import open_safe
from likeness.settings import Settings
from likeness.style_packs import Shelf

PACKS: Final = 20
BARE: Final = "none"
MOST_ADDED_MS: Final = 50.0


class House(msgspec.Struct, frozen=True):
    """An installation with so many packs: its data folder, and a folder of installed distributions."""

    data: Path
    site: Path
    packs: int


def start(data: Path) -> int:
    """The process of one start."""
    settings = Settings(data=data)
    safe = open_safe(settings)
    began = time.perf_counter()
    shelf = Shelf(safe, settings, load_catalogue(), MODEL)
    shelf.look()
    milliseconds = 1000 * (time.perf_counter() - began)
    print(json.dumps([milliseconds, len(shelf.catalogue.styles)]))
    for problem in shelf.catalogue.problems:
        print(problem.sentence, file=sys.stderr)
    return 0


def measure_start(starts: int) -> list[Figure]:
    """Each kind of pack beside none, by turns, each start in a process of its own; medians of the differences."""
    with tempfile.TemporaryDirectory(prefix="likeness-styles-") as name:
        folder = Path(name)
        say(f"making {3 * PACKS} packs, and starting with each kind once")
        houses = _houses(folder)
        first = {kind: _start(house, folder) for kind, house in houses.items()}
        bare = houses.pop(BARE)
        pairs = {kind: _by_turns(bare, house, folder, starts) for kind, house in houses.items()}
    without = [without for pair in pairs.values() for without, _ in pair]
    added = {kind: median(that - without for without, that in pair) for kind, pair in pairs.items()}
    return [
        Figure("start, styles without any pack installed", median(without), "ms", "lower"),
        *(Figure(f"start, {PACKS} packs {kind} add", added[kind], "ms", "lower", MOST_ADDED_MS) for kind in added),
        *(Figure(f"first start with {PACKS} new packs {kind}", first[kind], "ms", "lower") for kind in added),
    ]


def _by_turns(bare: House, house: House, folder: Path, starts: int) -> list[tuple[float, float]]:
    """Milliseconds without packs and with them, so many times."""
    say(f"{starts} starts with and without {house.packs} packs")
    taken = []
    for turn in range(starts):
        if turn % 2:
            without, that = _start(bare, folder), _start(house, folder)
        else:
            that, without = _start(house, folder), _start(bare, folder)
        taken.append((without, that))
    return taken


def _houses(folder: Path) -> dict[str, House]:
    names = [f"made-{index}" for index in range(PACKS)]
    empty, site = folder / "empty", folder / "site"
    for path in (empty, site):
        path.mkdir()
    for name in names:
        install_code(name, folder / "code" / name, site)
    install_data(folder / "none", iter(()))
    for kind, lora in (("data", False), ("lora", True)):
        install_data(folder / kind, (make_data(name, folder / f"{kind}-packs" / name, lora=lora) for name in names))
    return {
        BARE: House(folder / "none", empty, 0),
        "of data": House(folder / "data", empty, PACKS),
        "of data with a LoRA each": House(folder / "lora", empty, PACKS),
        "with code": House(folder / "none", site, PACKS),
    }


def _start(house: House, folder: Path) -> float:
    """Milliseconds; ends the program unless all packs are offered."""
    path = os.pathsep.join(filter(None, [str(house.site), os.environ.get("PYTHONPATH")]))
    environment = environment_with(XDG_CACHE_HOME=str(folder / "cache"), PYTHONPATH=path)
    command = [sys.executable, __file__, str(house.data)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    milliseconds, styles = json.loads(done.stdout)
    if styles != len(BUILTIN_PACKS) + house.packs:
        raise SystemExit(f"A start has {styles} styles instead of {len(BUILTIN_PACKS) + house.packs}.")
    return float(milliseconds)


if __name__ == "__main__":
    sys.exit(start(Path(sys.argv[1])))
