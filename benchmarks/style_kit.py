"""What does a style cost: to make, to install while a server runs, to start with, and to draw when it has a LoRA?

Everything is compared with the same thing without packs, by turns in one run. `likeness styles` runs as a user runs
it, the server is a real one on loopback, packs are those of `likeness styles new`, and LoRAs have random weights of the
bank's full rank, which take as long as trained ones. A start is what the service does with styles when it starts,
packs' imports included. Three minutes on free cores; `--installs 3 --starts 5 --turns 2` takes one.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks.report import Figure, publish
from benchmarks.server import LIKENESS, environment_with, say
from benchmarks.style_kit_draw import measure_drawing
from benchmarks.style_kit_hot import measure_hot
from benchmarks.style_kit_start import measure_start

REPEATS = 3
KINDS = (("data", ()), ("code", ("--code",)))


def measure_kit() -> list[Figure]:
    """`new`, then `check` of what it made; both as commands, from start to end."""
    say("making packs and checking them")
    figures, refused = [], 0
    with tempfile.TemporaryDirectory(prefix="likeness-styles-") as folder:
        for kind, options in KINDS:
            made_s: list[float] = []
            checked_s: list[float] = []
            for index in range(REPEATS):
                name = f"{kind}-{index}"
                seconds, code = _run(folder, "new", name, *options)
                made_s.append(seconds)
                if code:
                    raise SystemExit(f"likeness styles new ended with {code}.")
                seconds, code = _run(folder, "check", name)
                checked_s.append(seconds)
                refused += code != 0
            figures += [
                Figure(f"likeness styles new, a pack of {kind}", median(made_s), "s", "lower"),
                Figure(f"likeness styles check, a pack of {kind}", median(checked_s), "s", "lower"),
            ]
    return [*figures, Figure("packs of `new` that `check` refuses", refused, f"of {len(KINDS) * REPEATS}", "lower", 0)]


def _run(folder: str, *words: str) -> tuple[float, int]:
    """Seconds and exit code."""
    command = [*LIKENESS, "styles", *words]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment_with(), capture_output=True, check=False)
    return time.perf_counter() - began, done.returncode


def main() -> int:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--installs", type=int, default=10, metavar="N", help="into a running server (default 10)")
    parser.add_argument("--starts", type=int, default=12, metavar="N", help="turns with and without packs (default 12)")
    parser.add_argument("--turns", type=int, default=5, metavar="N", help="of thirty renders each way (default 5)")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    # An end by `kill` or `timeout` cleans up like any other.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    figures = [
        *measure_kit(),
        *measure_hot(arguments.threads, arguments.installs),
        *measure_start(arguments.starts),
        *measure_drawing(arguments.threads, arguments.turns),
    ]
    settings = {name: str(getattr(arguments, name)) for name in ("threads", "installs", "starts", "turns")}
    return publish("style_kit", figures, settings, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
