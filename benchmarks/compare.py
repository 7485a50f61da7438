"""Compare two reports of one benchmark: `compare.py OLD.json NEW.json` exits 1 when a figure got 10% worse."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.report import Figure, Report

TOLERANCE = 0.10


def worsening(old: Figure, new: Figure) -> float:
    """By which share of the old value the new one is worse; negative when it is better."""
    if old.value == 0:
        return 0.0 if new.value == 0 else float("inf") * (1 if (new.value > 0) == (new.better == "lower") else -1)
    change = (new.value - old.value) / abs(old.value)
    return change if new.better == "lower" else -change


def compare(old: Report, new: Report) -> list[str]:
    """Print both reports side by side; returns the names of the figures that regressed or vanished."""
    before = {figure.name: figure for figure in old.figures}
    table = Table("figure", "old", "new", "change", title=new.benchmark)
    regressed = [name for name in before if name not in {figure.name for figure in new.figures}]
    for figure in new.figures:
        if figure.name not in before:
            table.add_row(figure.name, "", f"{figure.value:.4g} {figure.unit}", "new")
            continue
        worse = worsening(before[figure.name], figure)
        if worse > TOLERANCE:
            regressed.append(figure.name)
        verdict = f"{abs(worse):.1%} {'worse' if worse > 0 else 'better'}"
        table.add_row(figure.name, f"{before[figure.name].value:.4g}", f"{figure.value:.4g} {figure.unit}", verdict)
    Console().print(table)
    return regressed


def read(path: Path) -> Report:
    """Read one report; a file that is missing or no report ends the program with one sentence."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise SystemExit(f"{path} is not a benchmark's JSON: {error}") from error


def main() -> int:
    """Parse, compare, and turn regressions into the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    old, new = read(arguments.old), read(arguments.new)
    if old.benchmark != new.benchmark:
        raise SystemExit(
            f"{arguments.old} measures {old.benchmark}, {arguments.new} {new.benchmark}: compare like with like"
        )
    regressed = compare(old, new)
    for name in regressed:
        print(f"regressed: {name}", file=sys.stderr)
    return 1 if regressed else 0


if __name__ == "__main__":
    sys.exit(main())
