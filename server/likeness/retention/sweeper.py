"""The sweeper: looks every second for deadlines that are due. Any number of processes may run one.

It has two threads: one destroys keys, for which the database and nothing else has to answer, and so keeps the promise;
the other deletes what has become noise, waits for slow stores, and tidies up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from likeness.records import audit, deadlines, gallery, idempotency, outbox, quota, workers
from likeness.records.deadlines import Due
from likeness.retention.erase import (
    destroy_key,
    erase_account,
    erase_avatars,
    erase_object,
    erase_photos,
    erase_upload,
    forget_generation,
)
from likeness.retention.reconcile import reconcile
from likeness.safe import Safe
from likeness.settings import Settings

EVERY_S: Final = 1.0
HOUSEKEEPING: Final = 60  # sweeps between two
HALF_WRITTEN_S: Final = 3600.0  # age at which a half-written object is nobody's: no upload may take so long
# After so long another process tries what this one has taken: it may have died. Shorter than a Plus subscriber's photos
# may be late, and no harm where a store is slow: whoever comes second finds it done.
TAKEN_S: Final = 3.0
logger = logging.getLogger(__name__)


def sweep(safe: Safe, settings: Settings) -> int:
    """Erase everything that is due; answers how much was. What fails is tried again by a later sweep."""
    destroy_due_keys(safe, settings)
    return erase_due(safe, settings)


def destroy_due_keys(safe: Safe, settings: Settings) -> None:
    """Make everything unreadable whose time is over."""
    tried = set[Due]()
    while found := [due for due in safe.database.read(deadlines.due_keys) if due not in tried]:
        tried.update(found)
        for due in found:
            assert due.kind in deadlines.KEYED
            _try(due, destroy_key, safe, due.kind, due.subject, settings)


def erase_due(safe: Safe, settings: Settings) -> int:
    """Delete what is due and no other process has taken; answers how much was deleted."""
    done, failed = 0, list[Due]()
    while taken := safe.database.write(deadlines.take_due, TAKEN_S):
        unmet = [due for due in taken if not _try(due, _erase, safe, settings, due)]
        done += len(taken) - len(unmet)
        failed += unmet
    if failed:
        safe.database.write(deadlines.give_back, failed)
    return done


def tidy(safe: Safe, settings: Settings) -> None:
    """Destroy the epoch keys of past hours, drop rows that no longer count, and compare the store with the rows."""
    for epoch in safe.keyring.destroy_epochs_before(safe.now()):
        safe.database.write(audit.note, "epoch", epoch)
    for drop in (quota.drop_old, idempotency.drop_old, workers.drop_old, outbox.drop_old):
        safe.database.write(drop)
    safe.objects.sweep(HALF_WRITTEN_S)
    reconcile(safe, settings)


class Sweeper:
    """Sweeps until it is stopped, the first time at once."""

    def __init__(self, safe: Safe, settings: Settings) -> None:
        self._safe = safe
        self._settings = settings
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=work.__name__, daemon=True)
            for work in (self._destroy, self._delete)
        ]

    def start(self) -> None:
        """Begin to sweep."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the sweep under way end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[[int], None]) -> None:
        turn = 0
        while True:
            try:
                work(turn)
            except Exception:  # whatever it was, the next sweep must come
                logger.exception("A sweep failed; the next one follows.")
            turn += 1
            if self._stop.wait(EVERY_S):
                return

    def _destroy(self, _turn: int) -> None:
        destroy_due_keys(self._safe, self._settings)

    def _delete(self, turn: int) -> None:
        erase_due(self._safe, self._settings)
        if turn % HOUSEKEEPING == 0:
            tidy(self._safe, self._settings)


def _try(due: Due, work: Callable[..., None], *args: object) -> bool:
    try:
        work(*args)
    except Exception as error:  # whatever it is, it must not keep the others from being erased
        # Without the subject: a store that does not answer fails them all, each second. The audit names what is late.
        logger.warning("Could not erase %s yet: %s", due.kind, type(error).__name__)
        return False
    return True


def _erase(safe: Safe, settings: Settings, due: Due) -> None:
    match due.kind:
        case "photos":
            erase_photos(safe, due.subject, settings)
        case "avatars":
            erase_avatars(safe, due.subject, settings)
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
