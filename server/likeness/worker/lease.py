"""A worker's lease: its own beats, and the right to declare others dead.

A worker that was cut off from the database itself knows nothing of the others: they were too, and will beat again. So
only an observer that has beaten without a gap for a whole lease may declare anyone dead.
"""

from __future__ import annotations

import math
import time
from typing import Final

import msgspec

from likeness.database import UnavailableError
from likeness.errors import LikenessError
from likeness.records import workers
from likeness.safe import Safe

BEATS: Final = 6  # in a lease


class WorkerError(LikenessError):
    """The worker cannot go on: declared dead, hanging, or its render loop failed."""

    code = "worker_failed"


class Lease:
    """One worker's; `beat` every `every_s`."""

    def __init__(self, safe: Safe, worker: str, lease_s: float) -> None:
        self.every_s = lease_s / BEATS
        self._safe = safe
        self._worker = worker
        self._lease_s = lease_s
        self._unbroken_since = self._last = -math.inf

    def beat(self, stats: msgspec.Struct) -> None:
        """Renew; raises WorkerError once this worker has been declared dead, UnavailableError without a database."""
        try:
            alive = self._safe.database.write(workers.beat, self._worker, msgspec.structs.asdict(stats))
        except UnavailableError:
            self._last = -math.inf
            raise
        if not alive:
            raise WorkerError("This worker gave no sign for too long and was declared dead. Start another.")
        now = time.monotonic()
        if now - self._last > self._lease_s / 2:
            self._unbroken_since = now
        self._last = now

    def bury_silent(self) -> None:
        """Declare those dead that have been silent for longer than a lease, if this worker can know."""
        if time.monotonic() - self._unbroken_since > self._lease_s:
            self._safe.database.write(workers.bury, self._lease_s)
