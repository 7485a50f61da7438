"""Not a benchmark: a worker that takes jobs and writes what a worker writes, and draws nothing. `fleet.py` starts it.

`null_worker.py bare` writes nothing either: what is left is DBOS.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

from likeness.database import Database
from likeness.records import work, workers
from likeness.records.work import Drawn
from likeness.settings import Settings, read_settings
from likeness.worker.jobs import JobRunner

TRANSACTIONS: Final = 5  # in which the thirty avatars are stored


def draw_nothing(database: Database, settings: Settings, worker: str) -> Callable[[str], None]:
    """Everything that a worker writes of a generation, with digests that are none."""

    def draw(generation: str) -> None:
        claim = database.write(work.claim, generation, worker, settings)
        if claim is None:
            return
        database.write(work.begin, claim)
        indexes = sorted(claim.pending)
        for turn in range(TRANSACTIONS):
            drawn = [
                Drawn(index, "comic", "look", "ready", f"avatars/{generation}/{index}-{claim.fence}", "0" * 64)
                for index in indexes[turn::TRANSACTIONS]
            ]
            database.write(work.store, claim, drawn)
        database.write(work.finish, claim, settings)

    return draw


def main(bare: bool) -> int:
    """Work until SIGTERM."""
    settings = read_settings()
    database = Database(settings.database_url)
    worker = f"null-{os.getpid()}-{secrets.token_hex(4)}"
    database.write(workers.register, worker, worker, lambda _: False)
    runner = JobRunner(settings, worker, (lambda _: None) if bare else draw_nothing(database, settings, worker))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    runner.start()
    stop.wait()
    runner.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] == ["bare"]))
