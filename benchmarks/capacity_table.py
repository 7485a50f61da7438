"""Not a benchmark: the rows of `capacity.py`'s table for one number of users."""

from __future__ import annotations

import math

from benchmarks.capacity_fleet import Answer, Question, paid_hours
from benchmarks.report import Figure


def figures_of(question: Question, found: Answer, unit: str, price: float, start_s: float) -> list[Figure]:
    """The fleet, the waits, the costs: of a fixed fleet, and of one that is scaled each hour."""
    who, day = f"{found.users:,.0f} users", found.day
    figures = [Figure(f"{who}: {unit}", found.workers, "", "lower")]
    if found.by_halves:
        figures.append(Figure(f"{who}: {unit}, by slices half as large", found.by_halves, "", "lower"))
    figures += [
        Figure(f"{who}: {unit}, square-root estimate", square_root_estimate(question, found.users), "", "lower"),
        *_waits(question, found, who),
        Figure(f"{who}: refused", 100 * day.refused, "%", "lower", 100 * question.refused),
        Figure(f"{who}: most in the queue", found.slices * day.most_waiting, "", "lower"),
    ]
    hours = {"fixed": 24.0 * found.workers, "scaled": found.slices * paid_hours(found.opened, question.work, start_s)}
    for how, simulated in (("fixed", day), ("scaled", found.scaled)):
        cost, drawn = price * hours[how], found.slices * simulated.drawn * question.work.avatars
        figures += [
            Figure(f"{who}: {unit[:-1]} hours a day, {how}", hours[how], "h", "lower"),
            Figure(f"{who}: price of a day, {how}", cost, "$", "lower"),
            Figure(f"{who}: price of 1000 avatars, {how}", 1000 * cost / drawn, "$", "lower"),
        ]
    return figures


def _waits(question: Question, found: Answer, who: str) -> list[Figure]:
    figures = []
    for plus, tier, target in ((True, "Plus", question.plus_s), (False, "Lite", question.lite_s)):
        if plus not in found.day.plus:
            continue
        for day, how in ((found.day, "fixed"), (found.scaled, "scaled")):
            name = f"{who}: {tier} wait, worst hour's p95, {how}"
            figures.append(Figure(name, day.worst_p95(plus=plus), "s", "lower", target))
        figures.append(Figure(f"{who}: {tier} accepted to done, p95", found.day.done_p95(plus=plus), "s", "lower"))
    return figures


def square_root_estimate(question: Question, users: float) -> int:
    """Workers so that 95% wait for no longer than Plus may, were all of them Plus and the busiest minute without end.

    Of M/M/c in the limit of many (Halfin and Whitt, Operations Research 29, 1981): with load a and c = a + b sqrt(a),
    P(wait > T) = exp(-(c - a) T / S) phi(b) / (phi(b) + b Phi(b)).
    """
    load, full_s = question.load(users), question.work.full_s
    workers = math.floor(load) + 1
    while True:
        spare = workers - load
        b = spare / math.sqrt(load)
        density, below = math.exp(-b * b / 2) / math.sqrt(2 * math.pi), 0.5 * (1 + math.erf(b / math.sqrt(2)))
        if density / (density + b * below) * math.exp(-spare * question.plus_s / full_s) <= 0.05:
            return workers
        workers += 1
