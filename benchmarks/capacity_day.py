"""Not a benchmark: the discrete events of a fleet's day, for `capacity.py`.

A worker that has room takes whose turn is first (`goes_at`); of several with room it is the one that happens to ask,
as with a queue that workers poll. Up to `at_once` generations share a worker's batch, all that are in turn alike; Lite
ones that are not due yet get the rows that are left over. An event is an arrival, an end, or a Lite one's falling due.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterable, Sequence

from benchmarks.capacity_work import Work
from benchmarks.capacity_worker import Generation, Worker


class Fleet:
    """Workers and their queue; `opened` says from when on how many workers take generations. Others finish theirs."""

    def __init__(self, work: Work, opened: Sequence[tuple[float, int]], wait_most_s: float, seed: int = 1) -> None:
        self.most_waiting = 0
        self.busy_from: list[float] = []
        self.busy_until: list[float] = []
        self._work, self._at_once = work, work.at_once
        self._shares = [[work.shares(n, m) for m in range(work.at_once + 1 - n)] for n in range(work.at_once + 1)]
        self._full_s, self._wait_most_s = work.full_s, wait_most_s
        self._workers = [Worker(number) for number in range(max(count for _, count in opened))]
        self._room: list[Worker] = []
        self._plus: deque[Generation] = deque()
        self._lite: deque[Generation] = deque()
        # (when, worker, its version), or (when, -1, how many workers are open from then on)
        self._events = [(at, -1, count) for at, count in opened]
        heapq.heapify(self._events)
        self._open = self._drawing = 0
        self._random = random.Random(seed).random

    def run(self, coming: Iterable[Generation], until: float) -> None:
        """Everything until then; what is not drawn by then has no `ended`. They come in order, none later."""
        for generation in coming:
            self._pass(generation.at)
            self._arrive(generation)
        self._pass(until)

    @property
    def _waiting(self) -> int:
        return len(self._plus) + len(self._lite)

    def _pass(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            now, number, version = heapq.heappop(self._events)
            if number < 0:
                self._resize(now, version)
            elif version == self._workers[number].version:
                self._turn(self._workers[number], now)

    def _arrive(self, generation: Generation) -> None:
        """Those being drawn count whole in the estimated wait, which is more than the server's own counts."""
        if (self._waiting + self._drawing) * self._full_s > self._wait_most_s * self._open:
            generation.refused = True
            return
        (self._plus if generation.plus else self._lite).append(generation)
        if self._room:
            self._turn(self._room[int(self._random() * len(self._room))], generation.at)
        self.most_waiting = max(self.most_waiting, self._waiting)

    def _resize(self, now: float, count: int) -> None:
        """Open or close the workers of the highest numbers."""
        before, self._open = self._open, count
        for worker in self._workers[min(before, count) : max(before, count)]:
            self._turn(worker, now)

    def _turn(self, worker: Worker, now: float) -> None:
        """Bring a worker up to now, and let it take what it has room for."""
        busy = bool(len(worker))
        worker.advance(now)
        self._drawing -= worker.drop_ended()
        is_open = worker.number < self._open
        while is_open and len(worker) < self._at_once and self._waiting:
            worker.take(self._next())
            self._drawing += 1
        if bool(len(worker)) != busy:
            (self.busy_until if busy else self.busy_from).append(now)
        self._mark_room(worker, is_open and len(worker) < self._at_once)
        worker.version += 1
        if len(worker):
            after = worker.plan(self._shares[len(worker.in_turn)][len(worker.giving_way)])
            heapq.heappush(self._events, (after, worker.number, worker.version))

    def _next(self) -> Generation:
        plus, lite = self._plus, self._lite
        return plus.popleft() if not lite or (plus and plus[0].due <= lite[0].due) else lite.popleft()

    def _mark_room(self, worker: Worker, has_room: bool) -> None:
        if has_room and worker.place < 0:
            worker.place = len(self._room)
            self._room.append(worker)
        elif not has_room and worker.place >= 0:
            last = self._room.pop()
            if last is not worker:
                self._room[worker.place], last.place = last, worker.place
            worker.place = -1
