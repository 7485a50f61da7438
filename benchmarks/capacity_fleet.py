"""Not a benchmark: how many workers a day needs, fixed and scaled by the hour, for `capacity.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from benchmarks.capacity_day import Fleet
from benchmarks.capacity_demand import DAY_S, HOUR_S, WARM_S, Demand
from benchmarks.capacity_waits import Day
from benchmarks.capacity_work import Work
from benchmarks.capacity_worker import Generation

# How finely a slice's users are searched, and by how much the square-root staffing of the hours grows.
HALVINGS, MARGIN = 5, 0.25
_ENDS_S: Final = WARM_S + DAY_S


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a fleet; targets are of the worst hour's p95 wait, `refused` a share of the day's."""

    demand: Demand
    work: Work
    plus_s: float
    lite_s: float
    wait_most_s: float
    refused: float = 0.001

    def day(self, users: float, opened: Sequence[tuple[float, int]]) -> Day:
        """Simulate a day, warm-up before it."""
        at, plus = self.demand.arrivals(users)
        coming = [Generation(*each) for each in zip(at.tolist(), plus.tolist(), strict=True)]
        fleet = Fleet(self.work, opened, self.wait_most_s, self.demand.seed)
        fleet.run(coming, _ENDS_S)
        return Day.of(fleet, coming)

    def holds(self, day: Day) -> bool:
        """Whether a day kept all targets."""
        waits_kept = day.worst_p95(plus=True) <= self.plus_s and day.worst_p95(plus=False) <= self.lite_s
        return waits_kept and day.refused <= self.refused

    def load(self, users: float) -> float:
        """Workers that the busiest minute would keep busy."""
        return self.demand.peak(users) * self.work.full_s


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`day` and `scaled` are simulated days of a slice, a `slices`-th of the fleet; `opened` are its hours'.

    `by_halves` are the workers that slices half as large ask for, None where the whole fleet was simulated.
    """

    users: float
    workers: int
    slices: float
    day: Day
    scaled: Day
    opened: list[tuple[float, int]]
    by_halves: int | None


def answer(question: Question, users: float, slice_users: float) -> Answer:
    """The smallest fleet for so many users; of more than `slice_users`, a slice is simulated."""
    sliced = users > slice_users
    carried, workers = _slice(question, slice_users) if sliced else (users, least_workers(question, users))
    opened, by_halves = scale(question, carried, workers), None
    if sliced:
        half = _slice(question, slice_users / 2)
        by_halves = math.ceil(half[1] * users / half[0])
    return Answer(
        users=users,
        workers=math.ceil(workers * users / carried),
        slices=users / carried,
        day=question.day(carried, [(0.0, workers)]),
        scaled=question.day(carried, opened),
        opened=opened,
        by_halves=by_halves,
    )


def _slice(question: Question, users: float) -> tuple[float, int]:
    """A fleet that is just large enough for so many users, and how many it could carry."""
    workers = least_workers(question, users)
    return most_users(question, workers, users), workers


def least_workers(question: Question, users: float) -> int:
    """The smallest fleet that keeps the targets, by bisection."""

    def enough(workers: int) -> bool:
        return question.holds(question.day(users, [(0.0, workers)]))

    fewest, workers = 0, max(1, math.ceil(question.load(users)))
    while not enough(workers):
        fewest, workers = workers, math.ceil(1.25 * workers) + 1
    while workers - fewest > 1:
        middle = (fewest + workers) // 2
        fewest, workers = (fewest, middle) if enough(middle) else (middle, workers)
    return workers


def most_users(question: Question, workers: int, users: float) -> float:
    """How many users this fleet carries, which is enough for `users` and one fewer is not."""
    more = users * workers / max(1, workers - 1)
    for _ in range(HALVINGS):
        middle = (users + more) / 2
        enough = question.holds(question.day(middle, [(0.0, workers)]))
        users, more = (middle, more) if enough else (users, middle)
    return users


def scale(question: Question, users: float, workers: int) -> list[tuple[float, int]]:
    """(from when, how many workers): each hour's share of the fleet and a margin that grows with its square root, the
    smallest that keeps the targets.
    """
    shares, margin = question.demand.hourly() * workers, 0.0
    while True:
        counts = np.minimum(workers, np.ceil(np.round(shares + margin * np.sqrt(shares), 9))).astype(int).tolist()
        opened = [(hour * HOUR_S, max(1, count)) for hour, count in enumerate(counts)]
        if min(counts) == workers or question.holds(question.day(users, opened)):
            return opened
        margin += MARGIN


def paid_hours(opened: Sequence[tuple[float, int]], work: Work, start_s: float) -> float:
    """Worker hours of a day: a worker is started so long before it is needed, and one that goes finishes a full batch.

    The hour before the day is the day's last one, so that starts and ends even out.
    """
    counts = np.array([count for _, count in opened])
    changes = np.diff(counts)
    rises, falls = changes[changes > 0].sum(), -changes[changes < 0].sum()
    return float(counts[1:].sum() + (rises * start_s + falls * work.at_once * work.full_s) / HOUR_S)
