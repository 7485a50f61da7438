"""The long form of the fault tests, under an hour: `make faults` prints what was promised and what was held."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Figure, publish
from tests.faults import figures


def main() -> int:
    """Run and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--pause", type=float, default=4.0, metavar="SECONDS", help="between two kills (default 4)")
    parser.add_argument("--crashes", type=int, default=500)
    parser.add_argument(
        "--requests", type=int, default=1000, help="uploads at once, replays, reconnects (default 1000)"
    )
    parser.add_argument("--jobs", type=int, default=100, help="long jobs (default 100)")
    parser.add_argument("--cancels", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("kills", "crashes", "quota", "takeover", "clients", "cancels"))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    parts: dict[str, Callable[[Path], list[Figure]]] = {
        "quota": lambda folder: figures.quota_figures(folder, given.requests),
        "clients": lambda folder: figures.client_figures(folder, given.requests),
        "cancels": lambda folder: figures.cancel_figures(folder, given.cancels),
        "takeover": lambda folder: figures.takeover_figures(folder, given.jobs),
        "crashes": lambda folder: figures.crash_figures(folder, given.crashes),
        "kills": lambda folder: figures.kill_figures(folder, given.uploads, given.kills, given.pause, given.seed),
    }
    found = []
    with tempfile.TemporaryDirectory(prefix="likeness-faults-") as name:
        for part, measure in parts.items():
            if given.only in (None, part):
                new = measure(Path(name) / part)
                for figure in new:
                    print(f"{part}: {figure.name}: {figure.value:g} {figure.unit}", file=sys.stderr, flush=True)
                found += new
    settings = {name: str(getattr(given, name)) for name in ("uploads", "kills", "crashes", "requests", "jobs", "seed")}
    return publish("faults", found, settings, given.out)


if __name__ == "__main__":
    sys.exit(main())
