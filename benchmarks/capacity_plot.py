"""Not a benchmark: the picture of `capacity.py`, an SVG of arrivals, busy workers and waits by the server's clock."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.capacity_demand import DAY_S, HOUR_S
from benchmarks.capacity_fleet import Answer, Question
from benchmarks.capacity_waits import Day

BIN_S: Final = 900.0
_BINS: Final = round(DAY_S / BIN_S)
_WIDE, _HIGH, _LEFT, _TOP, _GAP_X, _GAP_Y = 480, 170, 76, 84, 120, 62
BLUE, ORANGE, GREY, RED = "#2563a8", "#c2570c", "#8a8f98", "#b4232a"
SOLID, DASHED, DOTTED = "none", "5 3", "2 3"
# Letters of a note's line, a column.
_LETTERS: Final = 85
# The log axis begins here: most waits are nought.
_LEAST_S: Final = 1.0
Floats = NDArray[np.float64]
Scale = Callable[[float], float]


class Panel:
    """One set of axes; hours go along 0 to 24, `scale` turns a value into 0 at the bottom to 1 at the top."""

    def __init__(self, left: float, top: float, title: str, scale: Scale, ticks: Sequence[tuple[float, str]]) -> None:
        self.left, self.top, self._scale = left, top, scale
        bottom = top + _HIGH
        self.parts = [f'<text x="{left}" y="{top - 12}" class="title">{title}</text>']
        for value, label in ticks:
            y = self.y(value)
            self.parts.append(f'<path d="M{left} {y:.1f}h{_WIDE}" class="grid"/>')
            self.parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        for hour in range(0, 25, 4):
            x = left + _WIDE * hour / 24
            self.parts.append(f'<path d="M{x} {bottom}v4" class="tick"/>')
            self.parts.append(f'<text x="{x}" y="{bottom + 19}" text-anchor="middle">{hour % 24:02}:00</text>')

    def y(self, value: float) -> float:
        return self.top + _HIGH * (1 - min(1.0, max(0.0, self._scale(value))))

    def line(self, values: Sequence[float] | Floats, colour: str, *, dashes: str = SOLID, filled: bool = False) -> None:
        """Steps, a value for each bin of the day; a gap where it is not a number."""
        wide, path, gap = _WIDE / len(values), "", True
        for index, value in enumerate(values):
            if not math.isnan(value):
                path += f"{'M' if gap else 'L'}{self.left + wide * index:.1f} {self.y(value):.1f}h{wide:.1f}"
            gap = math.isnan(value)
        if filled:
            bottom = self.top + _HIGH
            area = f"{path}L{self.left + _WIDE} {bottom}H{self.left}z"
            self.parts.append(f'<path d="{area}" fill="{colour}" fill-opacity=".18"/>')
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dashes}"/>'
        )

    def key(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """(words, colour, dashes), at the right of the title."""
        x = self.left + _WIDE
        for words, colour, dashes in reversed(entries):
            x -= 6.4 * len(words) + 34
            stroke = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"'
            self.parts.append(f'<path d="M{x:.0f} {self.top - 16}h20" {stroke}/>')
            self.parts.append(f'<text x="{x + 25:.0f}" y="{self.top - 12}">{words}</text>')


def draw(question: Question, answers: Sequence[Answer], unit: str, notes: Sequence[str], path: Path) -> None:
    """Write the SVG: a column for each answer, the notes beneath."""
    columns = [_column(question, each, unit, _LEFT + (_WIDE + _GAP_X) * n) for n, each in enumerate(answers)]
    wide = _LEFT + (_WIDE + _GAP_X) * len(answers) - _GAP_X + 48
    below = _TOP + 3 * (_HIGH + _GAP_Y) + 6
    lines = [line for note in notes for line in textwrap.wrap(note, _LETTERS * len(answers))]
    foot = [f'<text x="{_LEFT}" y="{below + 18 * n}">{_safe(line)}</text>' for n, line in enumerate(lines)]
    high = below + 18 * len(lines)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">'
        "<style>text{font:12px system-ui,sans-serif;fill:#30343b}.title{font-weight:600}.head{font-size:17px}"
        ".grid{stroke:#e3e5e8}.tick{stroke:#8a8f98}</style>"
        f'<rect width="{wide}" height="{high}" fill="#fff"/>'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *(part for column in columns for part in column), *foot, "</svg>"]) + "\n")


def _column(question: Question, found: Answer, unit: str, left: float) -> list[str]:
    clock = (np.arange(_BINS) - question.demand.starts_h * HOUR_S / BIN_S).astype(int) % _BINS
    day, scaled = found.day, found.scaled
    came = found.slices * day.arrivals_by(BIN_S)[clock] * 60 / BIN_S
    arrivals = _linear(left, 0, "arrivals a minute", float(came.max()))
    arrivals.line(came, GREY, filled=True)
    counts = np.repeat([found.slices * count for _, count in found.opened[1:]], round(HOUR_S / BIN_S))[clock]
    busy = _linear(left, 1, unit, float(found.workers))
    busy.line(found.slices * day.busy_by(BIN_S)[clock], BLUE, filled=True)
    busy.line([found.workers] * _BINS, BLUE, dashes=DASHED)
    busy.line(counts, ORANGE)
    busy.key([("busy", BLUE, SOLID), ("fixed", BLUE, DASHED), ("scaled each hour", ORANGE, SOLID)])
    waits = _waits(question, left)
    for each, dashes in ((scaled, DASHED), (day, SOLID)):
        for plus, colour in ((False, ORANGE), (True, BLUE)):
            waits.line(_shown(each, plus=plus)[clock], colour, dashes=dashes)
    waits.key([("Plus", BLUE, SOLID), ("Lite", ORANGE, SOLID), ("scaled", GREY, DASHED), ("target", RED, DOTTED)])
    title = f"{found.users:,.0f} users a day: {found.workers:,} {unit}"
    head = f'<text x="{left}" y="34" class="title head">{title}</text>'
    return [head, *arrivals.parts, *busy.parts, *waits.parts]


def _shown(day: Day, *, plus: bool) -> Floats:
    return np.maximum(_LEAST_S, day.p95_by(BIN_S, plus=plus))


def _waits(question: Question, left: float) -> Panel:
    most = math.log10(max(question.plus_s, question.lite_s, 100.0)) + 0.2
    ticks = [(10.0**power, f"{'≤ ' * (not power)}{10**power:,} s") for power in range(math.ceil(most))]
    panel = Panel(left, _row(2), "p95 wait", lambda seconds: math.log10(max(seconds, _LEAST_S)) / most, ticks)
    for target in (question.plus_s, question.lite_s):
        y = panel.y(target)
        panel.parts.append(f'<path d="M{left} {y:.1f}h{_WIDE}" stroke="{RED}" stroke-dasharray="{DOTTED}"/>')
        panel.parts.append(f'<text x="{left + _WIDE + 5}" y="{y + 4:.1f}" style="fill:{RED}">{target:g} s</text>')
    return panel


def _linear(left: float, row: int, title: str, highest: float) -> Panel:
    step = 10.0 ** math.floor(math.log10(highest))
    step = next(part for part in (step / 5, step / 2, step, 2 * step) if highest / part <= 5.5)
    count = math.ceil(highest / step - 1e-9)
    ticks = [(step * n, f"{step * n:,.10g}") for n in range(count + 1)]
    return Panel(left, _row(row), title, lambda value: value / (step * count) / 1.04, ticks)


def _row(row: int) -> float:
    return _TOP + row * (_HIGH + _GAP_Y)


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
