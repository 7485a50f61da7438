"""Not a benchmark: a generation, and a worker that draws several at once, in the simulation of `capacity.py`."""

from __future__ import annotations

import math
from typing import Final

from likeness.records.queue import LITE_WAITS_S

# Of a generation: what float arithmetic may leave of it at its end.
NOTHING: Final = 1e-8
NEVER: Final = math.nan


class Generation:
    """One generation; `left` of it is still to be drawn, 1 at first. `begun` is when it first got rows."""

    __slots__ = ("at", "begun", "due", "ended", "left", "plus", "refused")

    def __init__(self, at: float, plus: bool, left: float = 1.0) -> None:
        self.at, self.plus, self.left = at, plus, left
        self.due = at if plus else at + LITE_WAITS_S
        self.begun = self.ended = NEVER
        self.refused = False


class Worker:
    """What a worker draws, as of `at`, and how fast; `place` is its index among those with room, -1 without."""

    __slots__ = ("at", "fast", "giving_way", "in_turn", "number", "place", "slow", "version")

    def __init__(self, number: int) -> None:
        self.number, self.at, self.version, self.place = number, 0.0, 0, -1
        self.in_turn: list[Generation] = []
        self.giving_way: list[Generation] = []
        self.fast = self.slow = 0.0

    def __len__(self) -> int:
        return len(self.in_turn) + len(self.giving_way)

    def advance(self, now: float) -> None:
        """Draw until now."""
        passed, self.at = now - self.at, now
        for each in self.in_turn:
            each.left -= passed * self.fast
        for each in self.giving_way:
            each.left -= passed * self.slow

    def take(self, generation: Generation) -> None:
        """Draw one more, from `at` on."""
        (self.in_turn if generation.due <= self.at else self.giving_way).append(generation)

    def drop_ended(self) -> int:
        """Let go of what is drawn, and promote what has fallen due; returns how many ended."""
        before = len(self)
        for each in (*self.in_turn, *self.giving_way):
            if each.left <= NOTHING:
                each.ended = self.at
        kept = [each for each in self.giving_way if each.left > NOTHING]
        self.in_turn = [each for each in self.in_turn if each.left > NOTHING]
        self.in_turn += [each for each in kept if each.due <= self.at]
        self.giving_way = [each for each in kept if each.due > self.at]
        return before - len(self)

    def plan(self, shares: tuple[float, float]) -> float:
        """Go on at these speeds; returns when something happens next."""
        self.fast, self.slow = shares
        soonest = math.inf
        for each in self.in_turn:
            if each.begun != each.begun:  # not a number: not begun
                each.begun = self.at
            soonest = min(soonest, self.at + each.left / self.fast)
        for each in self.giving_way:
            soonest = min(soonest, each.due)
            if self.slow:
                if each.begun != each.begun:
                    each.begun = self.at
                soonest = min(soonest, self.at + each.left / self.slow)
        return soonest
