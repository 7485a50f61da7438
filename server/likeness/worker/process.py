"""A worker's life: lease, engines, loop, queue; a beat every few seconds; a graceful end that hands its work back."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from likeness.errors import LikenessError
from likeness.packs import load_catalogue, open_model_pack
from likeness.records import work, workers
from likeness.retention import Sweeper
from likeness.safe import Safe, data_folder, open_safe
from likeness.settings import Settings
from likeness.worker.artist import Artist
from likeness.worker.jobs import JobRunner
from likeness.worker.loop import RenderLoop
from likeness_engines import load_engines

logger = logging.getLogger(__name__)
# Below the server's: what users wait for at the other end of a request goes before the next step.
NICENESS: Final = 5
STEP_WAIT_S: Final = 1.0


class WorkerError(LikenessError):
    """The worker cannot go on: declared dead, or its render loop failed."""

    code = "worker_failed"


def run_worker(settings: Settings, stop: threading.Event) -> None:
    """Draw generations until `stop` is set; raises WorkerError when this worker must not go on."""
    os.nice(NICENESS)
    with _alone(settings, stop) as alone:
        safe = open_safe(settings)
        worker = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"
        safe.database.write(workers.register, worker, _place(settings), alone)
        sweeper = Sweeper(safe, settings)
        sweeper.start()
        try:
            _draw(safe, settings, worker, stop)
        finally:
            safe.database.write(workers.end, worker)
            sweeper.stop()
            safe.database.close()


def _draw(safe: Safe, settings: Settings, worker: str, stop: threading.Event) -> None:
    catalogue = load_catalogue()
    engines = load_engines(
        open_model_pack(Path(settings.pack) if settings.pack else None), settings.backend, settings.threads or None
    )
    loop = RenderLoop(engines, lambda claims: safe.database.read(work.still_claimed, claims))
    artist = Artist(safe, settings, engines, catalogue, loop, worker)
    jobs = JobRunner(settings, worker, artist.draw)
    loop.start()
    jobs.start()
    logger.info("Worker %s draws.", worker)
    try:
        _beat(safe, settings, worker, stop, loop, jobs)
    finally:
        loop.stop()
        jobs.stop()


def _beat(
    safe: Safe, settings: Settings, worker: str, stop: threading.Event, loop: RenderLoop, jobs: JobRunner
) -> None:
    """Renew the lease and hand on what dead workers left, six times a lease."""
    while True:
        if not safe.database.write(workers.beat, worker, msgspec.structs.asdict(loop.stats)):
            raise WorkerError("This worker gave no sign for too long and was declared dead. Start another.")
        if not loop.alive:
            raise WorkerError("The render loop failed; see the log above. Start another worker.")
        dead = safe.database.write(workers.bury, settings.lease_s)
        if dead:
            jobs.hand_on(dead)
            safe.database.write(workers.released, dead)
        # A job that ended without its generation would leave it, and its photos, for ever.
        for generation in jobs.ended(safe.database.read(work.running)):
            logger.warning("The job of generation %s ended without it.", generation)
            safe.database.write(work.give_up, generation, settings)
        if stop.wait(settings.lease_s / 6):
            return


@contextmanager
def _alone(settings: Settings, stop: threading.Event) -> Iterator[bool]:
    """With SQLite, hold the data folder's worker lock: the kernel frees it with its holder, so earlier ones are dead."""
    if not settings.database_url.startswith("sqlite"):
        yield False
        return
    with (data_folder(settings) / "worker.lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(STEP_WAIT_S / 10):
                    return
        yield True


def _place(settings: Settings) -> str:
    """The data folder's own name, made when it is first used."""
    file = data_folder(settings) / "place"
    if not file.exists():
        file.write_text(secrets.token_hex(8))
    return file.read_text()
