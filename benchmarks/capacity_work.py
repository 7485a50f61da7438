"""Not a benchmark: what a generation takes of a worker whose batch it shares, for `capacity.py`."""

from __future__ import annotations

import msgspec
import numpy as np


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A generation: `avatars` renders of `rows` each, and `steps`; `step_s` is seconds of a step by the batch's rows.

    `encode_s` is a generation's, `decode_s` an avatar's; `serving` is how many times as long all of it takes served.
    """

    step_s: dict[int, float]
    steps: int
    rows: int
    avatars: int
    at_once: int
    encode_s: float = 0.0
    decode_s: float = 0.0
    serving: float = 1.0

    @property
    def room(self) -> int:
        """The most rows of a batch: what was measured."""
        return max(self.step_s)

    @property
    def full_s(self) -> float:
        """Seconds of a worker that a generation takes when the batch is as full as generations make it."""
        return self._seconds(min(self.room, self.at_once * self.avatars * self.rows))

    def shares(self, in_turn: int, giving_way: int) -> tuple[float, float]:
        """Generations a second that each gets done of those in turn, and of those that give way to them."""
        wanted = self.avatars * self.rows
        first = min(self.room, in_turn * wanted)
        rest = min(self.room - first, giving_way * wanted)
        if not first + rest:
            return 0.0, 0.0
        a_row = 1 / self._seconds(first + rest) / (first + rest)
        return first * a_row / max(1, in_turn), rest * a_row / max(1, giving_way)

    def _seconds(self, rows: int) -> float:
        sizes = sorted(self.step_s)
        step_s = float(np.interp(rows, sizes, [self.step_s[size] for size in sizes]))
        drawing_s = self.avatars * self.rows * self.steps * step_s / rows
        return self.serving * (drawing_s + self.encode_s + self.avatars * self.decode_s)
