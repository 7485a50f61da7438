"""How does a fleet grow, and what does the database bear?

1. The database path alone, on PostgreSQL: uploads are accepted (generation, thirty avatars, keys, deadlines, slot, job
   and event in one transaction) and workers write what workers write, the avatars in five transactions, without photos,
   networks or objects: generations a second, beside DBOS with empty workflows.
2. Generations a second of one worker and of four, each with an engine whose step takes a fixed time.

Everything runs on this machine: a PostgreSQL server of its own with fsync on, an S3 server in this process.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

import sqlalchemy as sa

from benchmarks.report import Figure, publish
from benchmarks.server import say
from likeness.database import Database, clock
from likeness.errors import PhotoResult
from likeness.records import generations, quota
from likeness.records.generations import NewGeneration, NewKey, NewPhoto
from likeness.settings import Settings
from likeness.worker import jobs
from likeness.worker.jobs import JobClient
from tests.faults.fleets import photos_of_a_person, running_fleet
from tests.faults.load import Users
from tests.fleet import own_postgres
from tests.postgres import find_binaries

AVATARS: Final = 30
NULL_WORKER: Final = Path(__file__).parent / "null_worker.py"
ACCEPTERS: Final = 2  # threads
PATIENCE_S: Final = 300.0
STEPS: Final = 4
SPARE_S: Final = 60.0  # what the uploads take, which two cores accept two of a second


class Uploads:
    """What the API writes of an upload, from threads; `bare` puts empty jobs into the queue alone."""

    def __init__(self, settings: Settings, bare: bool) -> None:
        self._settings = settings
        self._database = Database(settings.database_url)
        self._client = JobClient(settings)
        self._accept: Callable[[sa.Connection], None] = self._enqueue if bare else self._accept_all

    def run(self, count: int) -> None:
        """Accept so many."""
        threads = [threading.Thread(target=self._some, args=(count // ACCEPTERS,)) for _ in range(ACCEPTERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self) -> None:
        """Give all connections back."""
        self._client.close()
        self._database.close()

    def _some(self, count: int) -> None:
        for _ in range(count):
            self._database.write(self._accept)

    def _enqueue(self, connection: sa.Connection) -> None:
        self._client.enqueue(connection, secrets.token_hex(12), 1.0)

    def _accept_all(self, connection: sa.Connection) -> None:
        name, owner, now = secrets.token_hex(12), secrets.token_hex(16), clock(connection)
        slot = quota.reserve(connection, owner, 1, 60.0)
        quota.use(connection, slot, name)
        new = NewGeneration(
            id=name,
            owner=owner,
            tier="plus",
            seed=1,
            styles=("comic", "sketch", "neon", "watercolour", "oil"),
            photo_results=[PhotoResult(index, accepted=True) for index in range(5)],
            looks=[("comic", "look")] * AVATARS,
            consent="1",
            photos=[NewPhoto(f"photos/{name}/{index}", "0" * 64, 1.0) for index in range(5)],
            keys=[NewKey("photo", "hour-1", bytes(60)), NewKey("avatar", "hour-1", bytes(60))],
            slot=slot,
            photos_until=now + 3600,
            avatars_until=now + 90000,
        )
        generations.accept(connection, new, self._settings)
        self._client.enqueue(connection, name, now)


@contextmanager
def null_workers(settings: Settings, count: int, bare: bool) -> Iterator[None]:
    """So many processes that draw nothing."""
    environment = os.environ | {"LIKENESS_DATABASE": settings.database, "LIKENESS_KEYS": settings.keys}
    environment |= {"LIKENESS_GENERATIONS_AT_ONCE": "16"}
    command = [sys.executable, str(NULL_WORKER), *(["bare"] if bare else [])]
    processes = [subprocess.Popen(command, env=environment) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def measure_path(count: int, workers: int, bare: bool) -> float:
    """Generations a second from the first acceptance to the last end, accepted while they are drawn."""
    binaries = find_binaries()
    if binaries is None:
        sys.exit("No PostgreSQL server is installed. Install one (Debian: apt-get install postgresql).")
    with own_postgres(binaries) as postgres:
        settings = Settings(database=postgres.create(), keys="elsewhere")
        database = Database(settings.database_url)
        database.migrate()
        jobs.migrate(settings)
        uploads = Uploads(settings, bare)
        with null_workers(settings, workers, bare):
            uploads.run(workers * 20)  # until all are started and warm
            _wait(database, workers * 20, PATIENCE_S)
            began = time.perf_counter()
            uploads.run(count)
            _wait(database, workers * 20 + count, PATIENCE_S)
            passed = time.perf_counter() - began
        uploads.close()
        database.close()
    return count / passed


def _wait(database: Database, count: int, patience_s: float) -> None:
    end = time.monotonic() + patience_s
    query = sa.text("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'")
    while database.read(lambda connection: connection.execute(query).scalar_one()) < count:
        if time.monotonic() > end:
            sys.exit("The workers did not come to an end. Their errors are above.")
        time.sleep(0.05)


def measure_growth(folder: Path, workers: int, seconds: float, step_ms: float) -> float:
    """Generations a second of so many workers with more to do than they can."""
    with running_fleet(folder, nodes=1, workers=workers, step_ms=step_ms, avatars=AVATARS, steps=STEPS) as fleet:
        # Enough to last: each takes a worker STEPS steps.
        count = int(workers * (seconds + SPARE_S) * 1000 / (STEPS * step_ms))
        users = Users(fleet, photos_of_a_person(), count, threads=4).start()
        fleet.until(lambda: not users.busy, PATIENCE_S)
        first = fleet.one("SELECT count(*) FROM avatars WHERE state <> 'pending'")
        began = time.perf_counter()
        time.sleep(seconds)
        last = fleet.one("SELECT count(*) FROM avatars WHERE state <> 'pending'")
        passed = time.perf_counter() - began
    return float(last - first) / AVATARS / passed


def main() -> int:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=1000, help="of the database path (default 1000)")
    parser.add_argument("--null-workers", type=int, default=2, help="processes that draw nothing (default 2)")
    parser.add_argument("--step-ms", type=float, default=2000, help="time of a simulated step (default 2000)")
    parser.add_argument("--seconds", type=float, default=80, help="to watch each fleet for (default 80)")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    say("the database path")
    path = measure_path(arguments.generations, arguments.null_workers, bare=False)
    say("DBOS alone")
    bare = measure_path(arguments.generations, arguments.null_workers, bare=True)
    with tempfile.TemporaryDirectory(prefix="likeness-fleet-") as name:
        speeds = {}
        for workers in (1, 4):
            say(f"{workers} workers")
            speeds[workers] = measure_growth(Path(name) / str(workers), workers, arguments.seconds, arguments.step_ms)
    figures = [
        Figure("generations accepted and completed, database path", path, "/s", "higher", 20),
        Figure("empty workflows, bare DBOS", bare, "/s", "higher"),
        Figure("generations of 1 worker", speeds[1], "/s", "higher"),
        Figure("generations of 4 workers", speeds[4], "/s", "higher"),
        Figure("4 workers over 1", speeds[4] / speeds[1], "x", "higher", 3.8),
    ]
    settings = {
        "generations": str(arguments.generations),
        "null workers": str(arguments.null_workers),
        "step": f"{arguments.step_ms:g} ms",
        "watched for": f"{arguments.seconds:g} s",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }
    return publish("fleet", figures, settings, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
