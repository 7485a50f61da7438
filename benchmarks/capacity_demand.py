"""Not a benchmark: who comes when, for `capacity.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S
# The day that counts begins an hour into the simulation, which begins with an empty fleet.
WARM_S: Final = HOUR_S
# An assumption, not a measurement: few before six, more all day, most at eight in the evening.
EVENING: Final = (20, 12, 8, 6, 5, 6, 10, 18, 28, 36, 41, 45, 50, 50, 48, 49, 52, 58, 66, 76, 84, 82, 66, 40)


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """`curve` is how many come at each full hour, in any unit, in the users' own time; in between it is a line.

    `zones` are (hours ahead of the server's clock, share of all users);
    `generating` is the share of a day's users who generate, once each, and `plus` the share of those who are Plus.
    """

    curve: Sequence[float] = EVENING
    zones: Sequence[tuple[float, float]] = ((0.0, 1.0),)
    generating: float = 1.0
    plus: float = 0.2
    seed: int = 1

    @property
    def starts_h(self) -> int:
        """The full hour, by the server's clock, at which the fewest come: there the day begins."""
        return int(np.argmin(self._minutes()[::60]))

    def rates(self) -> NDArray[np.float64]:
        """Share of a day's users that come in each minute of the simulation, warm-up first."""
        minutes = self._minutes()
        day = np.roll(minutes / minutes.sum(), -60 * self.starts_h)
        return np.concatenate([day[-round(WARM_S / 60) :], day])

    def hourly(self) -> NDArray[np.float64]:
        """The busiest minute of each hour of the simulation, as a share of the busiest of all."""
        highest = self.rates().reshape(-1, 60).max(axis=1)
        return np.asarray(highest / highest.max())

    def peak(self, users: float) -> float:
        """Generations a second in the busiest minute."""
        return float(users * self.generating * self.rates().max() / 60)

    def arrivals(self, users: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Poisson arrivals: when, in seconds of the simulation, ascending, and which are Plus.

        More users are the same ones and some others, so that fleets are compared on the same luck.
        """
        rates = self.rates()
        count = round(users * self.generating * float(rates.sum()))
        times, tiers = (np.random.default_rng([self.seed, which]).random(count) for which in range(2))
        until = np.concatenate([[0.0], np.cumsum(rates)]) / rates.sum()
        at = np.interp(times, until, 60.0 * np.arange(len(until)))
        order = np.argsort(at)
        return at[order], tiers[order] < self.plus

    def _minutes(self) -> NDArray[np.float64]:
        hours, total = np.arange(1440) / 60, sum(share for _, share in self.zones)
        of_zones = (
            share / total * np.interp((hours + ahead) % 24, np.arange(25), [*self.curve, self.curve[0]])
            for ahead, share in self.zones
        )
        return np.asarray(sum(of_zones, np.zeros(1440)))
