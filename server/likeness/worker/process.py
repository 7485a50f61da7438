"""A worker's life: lease, engines, loop, queue; a beat every few seconds; a graceful end that hands its work back."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import sqlalchemy as sa

from likeness.database import UnavailableError
from likeness.packs import load_catalogue, open_model_pack
from likeness.provenance import Marker, open_marker
from likeness.records import work, workers
from likeness.retention import Sweeper
from likeness.safe import Safe, data_folder, open_safe
from likeness.settings import Settings
from likeness.style_packs import Shelf
from likeness.worker.artist import Artist, Easel
from likeness.worker.jobs import JobRunner, abandoned, holders
from likeness.worker.lease import Lease, WorkerError
from likeness.worker.loop import RenderLoop
from likeness_engines import BackendOptions, load_engines

logger = logging.getLogger(__name__)
# Below the server's: what users wait for at the other end of a request goes before the next step.
NICENESS: Final = 5
LOCK_WAIT_S: Final = 0.1


def run_worker(settings: Settings, stop: threading.Event) -> None:
    """Draw generations until `stop` is set; raises WorkerError when this worker must not go on."""
    os.nice(NICENESS)
    with _alone(settings, stop) as is_dead:
        if stop.is_set():
            return
        safe = open_safe(settings)
        safe.objects.check()
        worker = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"
        safe.database.write(workers.register, worker, _place(settings), is_dead)
        sweeper = Sweeper(safe, settings)
        sweeper.start()
        try:
            _draw(safe, settings, worker, stop)
        finally:
            safe.database.write(workers.end, worker)
            sweeper.stop()
            safe.close()


def _draw(safe: Safe, settings: Settings, worker: str, stop: threading.Event) -> None:
    pack = open_model_pack(Path(settings.pack) if settings.pack else None)
    cache = Path(settings.engine_cache) if settings.engine_cache else None
    engines = load_engines(pack, settings.backend, BackendOptions(settings.threads or None, cache))
    loop = RenderLoop(engines, lambda claims: safe.database.read(work.still_claimed, claims))
    shelf = Shelf(safe, settings, load_catalogue(settings.hook_s), pack.about)
    artist = Artist(safe, settings, Easel(engines, shelf, loop, _marker(settings, safe)), worker)
    jobs = JobRunner(settings, worker, artist.draw)
    lease = Lease(safe, worker, settings.lease_s)
    shelf.start()
    loop.start()
    jobs.start()
    logger.info("Worker %s draws.", worker)
    try:
        while not stop.is_set():
            try:
                lease.beat(loop.stats)
                _check_alive(safe, settings, worker, loop)
                _take_over(safe, settings, lease, jobs)
            except UnavailableError:
                logger.warning("The database does not answer; trying again.")
            stop.wait(lease.every_s)
    finally:
        loop.stop()
        jobs.stop()
        shelf.stop()


def _marker(settings: Settings, safe: Safe) -> Marker:
    marker = open_marker(settings.c2pa_certificate, settings.c2pa_key, safe.key_store)
    for notice in marker.notices():
        logger.warning(notice)
    return marker


def _check_alive(safe: Safe, settings: Settings, worker: str, loop: RenderLoop) -> None:
    """Raise WorkerError without a loop to draw; a loop that hangs cannot be stopped, and takes the process along."""
    if not loop.alive:
        raise WorkerError("The render loop failed; see the log above. Start another worker.")
    if loop.busy_s > settings.step_most_s:
        logger.error("A step has taken %.0f s: this worker hangs, and ends. Its work goes to others.", loop.busy_s)
        try:
            safe.database.write(workers.end, worker)
        finally:
            os._exit(1)


def _take_over(safe: Safe, settings: Settings, lease: Lease, jobs: JobRunner) -> None:
    """Put back into the queue what dead workers left, and end what no job is left for."""
    lease.bury_silent()
    jobs.hand_on(safe.database.read(_dead_holders))
    for generation in safe.database.read(abandoned):
        # Its photos would wait for it until their last deadline.
        logger.warning("The job of generation %s ended without it.", generation)
        safe.database.write(work.give_up, generation, settings)


def _dead_holders(connection: sa.Connection) -> list[str]:
    return sorted(holders(connection) - workers.living(connection))


@contextmanager
def _alone(settings: Settings, stop: threading.Event) -> Iterator[Callable[[str], bool]]:
    """With SQLite, hold the worker lock, which the kernel frees with its holder; answers which earlier workers of this
    place are dead: then all.
    """
    if not settings.database_url.startswith("sqlite"):
        yield _has_no_process
        return
    with (data_folder(settings) / "worker.lock").open("w") as file:
        while not _lock(file) and not stop.wait(LOCK_WAIT_S):
            pass
        yield lambda _: True


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_no_process(worker: str) -> bool:
    """Whether a worker of this place has ended: it has our own process id, or one that no process has."""
    pid = int(worker.split("-")[-2])
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _place(settings: Settings) -> str:
    """Where workers can tell of each other whether they live: the data folder, or with PostgreSQL all processes that
    see each other, of one machine since its start and one container.
    """
    if not settings.database_url.startswith("sqlite"):
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return hashlib.sha256(f"{boot} {Path('/proc/self/ns/pid').readlink()}".encode()).hexdigest()[:32]
        except OSError:
            return secrets.token_hex(16)  # not Linux: then by leases alone
    file = data_folder(settings) / "place"
    if not file.exists():
        file.write_text(secrets.token_hex(8))
    return file.read_text()
