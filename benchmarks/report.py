"""How every benchmark reports: one table for people, one JSON for `compare.py`."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, frozen=True):
    """One measured number; `goal` is the bound it should keep, None where there is none."""

    name: str
    value: float
    unit: str
    better: Literal["lower", "higher"]
    goal: float | None = None

    @property
    def met(self) -> bool:
        if self.goal is None:
            return True
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


class Report(msgspec.Struct, frozen=True):
    """What one benchmark measured, where, and with which settings."""

    benchmark: str
    machine: str
    settings: dict[str, str]
    figures: list[Figure]


def publish(benchmark: str, figures: list[Figure], settings: dict[str, str], out: Path | None = None) -> int:
    """Print the table, write `<benchmark>.json` (or `out`); returns 1 when a goal is missed."""
    report = Report(benchmark, f"{platform.machine()}, Python {platform.python_version()}", settings, figures)
    table = Table(title=benchmark, caption=", ".join(f"{name} {value}" for name, value in settings.items()))
    for heading in ("figure", "value", "goal", ""):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for figure in figures:
        sign = "≤" if figure.better == "lower" else "≥"
        goal = "" if figure.goal is None else f"{sign} {figure.goal:g} {figure.unit}"
        verdict = "" if figure.goal is None else ("met" if figure.met else "missed")
        table.add_row(figure.name, f"{figure.value:.4g} {figure.unit}", goal, verdict)
    Console().print(table)
    path = out or Path("out") / f"{benchmark}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    return 0 if all(figure.met for figure in figures) else 1
