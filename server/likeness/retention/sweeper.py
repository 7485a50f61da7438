"""The sweeper: looks every second for deadlines that are due. Any number of processes may run one."""

from __future__ import annotations

import logging
import threading
from typing import Final

from likeness.records import deadlines, gallery, idempotency, quota, workers
from likeness.records.deadlines import Due
from likeness.retention.erase import (
    erase_account,
    erase_avatars,
    erase_object,
    erase_photos,
    erase_upload,
    forget_generation,
)
from likeness.safe import Safe
from likeness.settings import Settings

EVERY_S: Final = 1.0
HOUSEKEEPING: Final = 60  # sweeps between two
HALF_WRITTEN_S: Final = 3600.0  # age at which a half-written object is nobody's: no upload may take so long
logger = logging.getLogger(__name__)


def sweep(safe: Safe, settings: Settings) -> int:
    """Erase everything that is due; answers how much was. What fails is tried again by the next sweep."""
    done, tried = 0, set[Due]()
    while found := [due for due in safe.database.read(deadlines.due) if due not in tried]:
        tried.update(found)
        done += sum(_erase(safe, settings, due) for due in found)
    return done


def tidy(safe: Safe) -> None:
    """Destroy the epoch keys of past hours, and drop rows that no longer count."""
    safe.keyring.destroy_epochs_before(safe.now())
    for drop in (quota.drop_old, idempotency.drop_old, workers.drop_old):
        safe.database.write(drop)
    safe.objects.sweep(HALF_WRITTEN_S)


class Sweeper:
    """A thread that sweeps, the first time at once."""

    def __init__(self, safe: Safe, settings: Settings) -> None:
        self._safe = safe
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin to sweep."""
        self._thread.start()

    def stop(self) -> None:
        """Let the sweep under way end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        turn = 0
        while True:
            try:
                sweep(self._safe, self._settings)
                if turn % HOUSEKEEPING == 0:
                    tidy(self._safe)
            except Exception:  # whatever it was, the next sweep must come
                logger.exception("A sweep failed; the next one follows.")
            turn += 1
            if self._stop.wait(EVERY_S):
                return


def _erase(safe: Safe, settings: Settings, due: Due) -> bool:
    try:
        match due.kind:
            case "photos":
                erase_photos(safe, due.subject, settings)
            case "avatars":
                erase_avatars(safe, due.subject)
            case "upload" | "refused":
                erase_upload(safe, due.subject)
            case "object":
                erase_object(safe, due.subject)
            case "account":
                erase_account(safe, due.subject, settings)
            case "story":
                safe.database.write(gallery.delete_story, due.subject)
            case "tombstone":
                safe.database.write(forget_generation, due.subject)
    except Exception as error:  # whatever it is, it must not keep the others from being erased
        logger.warning("Could not erase %s of %s yet: %s", due.kind, due.subject, type(error).__name__)
        return False
    return True
