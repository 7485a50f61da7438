"""Not a benchmark: what users of a simulated day got, and how busy its workers were, for `capacity.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.capacity_day import Fleet
from benchmarks.capacity_demand import DAY_S, HOUR_S, WARM_S
from benchmarks.capacity_worker import Generation

Floats = NDArray[np.float64]


def p95(values: Floats) -> float:
    """By nearest rank; of none, not a number."""
    return float(np.percentile(values, 95, method="inverted_cdf")) if len(values) else float("nan")


class Day(NamedTuple):
    """The generations that came after the warm-up; `at` counts from there, in seconds, and waits and ends from `at`.

    Who was refused has neither; who still waited when the day ended has waited until then.
    """

    at: Floats
    plus: NDArray[np.bool_]
    wait_s: Floats
    done_s: Floats
    refusals: NDArray[np.bool_]
    busy: tuple[Floats, Floats]
    most_waiting: int

    @classmethod
    def of(cls, fleet: Fleet, coming: Sequence[Generation]) -> Day:
        """Everything of a fleet that has run through."""
        counted = [each for each in coming if each.at >= WARM_S]
        at, begun, ended = (np.array([getattr(each, name) for each in counted]) for name in ("at", "begun", "ended"))
        plus, refused = (np.array([getattr(each, name) for each in counted], bool) for name in ("plus", "refused"))
        ends = WARM_S + DAY_S
        waits = np.where(np.isnan(begun), ends, begun) - at
        spans = fleet.busy_from, fleet.busy_until + [ends] * (len(fleet.busy_from) - len(fleet.busy_until))
        return cls(
            at - WARM_S,
            plus,
            np.where(refused, np.nan, waits),
            ended - at,
            refused,
            (np.array(spans[0]) - WARM_S, np.array(spans[1]) - WARM_S),
            fleet.most_waiting,
        )

    @property
    def refused(self) -> float:
        """Share of all that came."""
        return float(self.refusals.mean()) if len(self.refusals) else 0.0

    @property
    def drawn(self) -> int:
        """Generations that came and ended within the day."""
        return int(np.isfinite(self.done_s).sum())

    def p95_by(self, bin_s: float, *, plus: bool) -> Floats:
        """The p95 of a tier's waits, by when they came; not a number where nobody did."""
        mine = (self.plus == plus) & ~self.refusals
        bins = (self.at[mine] // bin_s).astype(int)
        return np.array([p95(self.wait_s[mine][bins == number]) for number in range(round(DAY_S / bin_s))])

    def worst_p95(self, *, plus: bool) -> float:
        """The p95 of the hour in which it was the longest."""
        return float(np.nanmax([*self.p95_by(HOUR_S, plus=plus), 0.0]))

    def done_p95(self, *, plus: bool) -> float:
        """The p95 over the day of the seconds from accepted to the last avatar."""
        return p95(self.done_s[(self.plus == plus) & np.isfinite(self.done_s)])

    def busy_by(self, bin_s: float) -> Floats:
        """How many workers drew, on average over each bin."""
        edges = np.arange(0, DAY_S + bin_s / 2, bin_s)
        until = [_seconds_since(starts, edges) for starts in self.busy]
        return np.asarray(np.diff(until[0] - until[1]) / bin_s)

    def arrivals_by(self, bin_s: float) -> Floats:
        """How many came in each bin."""
        return np.histogram(self.at, np.arange(0, DAY_S + bin_s / 2, bin_s))[0].astype(float)


def _seconds_since(moments: Floats, until: Floats) -> Floats:
    """For each `until`, the sum over all moments before it of the seconds since."""
    ordered = np.sort(moments)
    passed = np.searchsorted(ordered, until)
    return np.asarray(passed * until - np.concatenate([[0.0], np.cumsum(ordered)])[passed])
