"""Objects and rows compared, both ways: what a crash left between the two goes within minutes, and so does what names
objects that the store has lost.

One walk lists the store and asks the database, some hundred names at a time, then goes through the rows and asks the
store about those it has not listed. Photos' rows are left alone: a worker that misses one fails its attempts, and ends
the generation.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import struct
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from likeness.records import audit, chores, stored
from likeness.records.stored import CHUNK, Stored
from likeness.records.variants import Purpose
from likeness.safe import Safe
from likeness.settings import Settings
from likeness.vault import StorageError
from likeness.vault.objects import ObjectEntry

CHORE: Final = "reconcile"
EVERY_S: Final = 180.0
# What was stored within this time is left alone, by the store's clock: with EVERY_S it makes eight minutes.
ORPHAN_S: Final = 300.0
# More than these, and more than half of what rows name, is no loss: it is another store.
LOST_MOST: Final = 100
MARKS: Final = "deployment"
_BITS: Final = 1 << 26


class Reconciled(msgspec.Struct, frozen=True):
    """What one walk did: objects deleted that no row named, rows let go whose object was lost, objects looked at."""

    orphans: int
    lost: int
    looked_at: int


def reconcile(safe: Safe, settings: Settings) -> Reconciled:
    """Compare, and put right, unless another process does or has done lately. Raises StorageError, then nothing is
    deleted, when the store is not this deployment's own.
    """
    if not safe.database.write(chores.take, CHORE, EVERY_S):
        return Reconciled(0, 0, 0)
    if settings.objects:  # else it lies in the data folder, which is nobody else's
        claim_store(safe)
    walk = Walk(safe, ORPHAN_S)
    orphans = sum(_delete(safe, batch) for batch in walk.orphans())
    lost = sum(safe.database.write(stored.lose, each) for each in walk.lost())
    if safe.database.write(stored.drop_stray_keys):
        safe.database.forget_deleted()
    return Reconciled(orphans, lost, walk.looked_at)


def claim_store(safe: Safe) -> None:
    """Mark the store as this deployment's, by its keys; raises StorageError when it has another one's mark too."""
    mine = f"{MARKS}/{hashlib.sha256(safe.keyring.secret('store')).hexdigest()[:16]}"
    marks = set(safe.objects.names(f"{MARKS}/"))
    if marks - {mine}:
        raise StorageError(
            f"The store of objects has the mark of another deployment, {min(marks - {mine})}: nothing in it is deleted"
            " for want of a row. Give each deployment a place of its own, such as s3://bucket/path; if the other one is"
            " gone, delete its mark."
        )
    if not marks:
        safe.objects.put(mine, b"")


class Walk:
    """One look through everything older than so many seconds; changes nothing."""

    def __init__(self, safe: Safe, older_than_s: float) -> None:
        self.looked_at = 0
        self.foreign = 0  # names that are none of ours
        self.named = 0  # objects that rows name
        self._safe = safe
        self._older_than_s = older_than_s
        self._seen = _Seen()

    def orphans(self) -> Iterator[list[Stored]]:
        """Objects that nothing accounts for, some at a time."""
        now = self._safe.objects.clock()
        for entries in _batches(self._safe.objects.entries()):
            ours = [each for entry in entries if (each := self._look_at(entry, now))]
            old = [each for each in ours if each.age_s >= self._older_than_s]
            if found := self._safe.database.read(stored.unaccounted, old):
                yield found

    def lost(self) -> list[Stored]:
        """Rows' objects that are not stored, after `orphans` has listed the store to its end. Raises StorageError when
        most are missing.
        """
        lost: list[Stored] = []
        for name in itertools.chain(self._missing("avatar"), self._missing("gallery")):
            each = stored.parse(name)
            assert each is not None
            lost.append(each)
        if len(lost) > max(LOST_MOST, self.named / 2):
            raise StorageError(
                f"Of {self.named} objects that rows name, {len(lost)} are not in the store: this is another store, or"
                " an empty one. Check the setting `objects`, or bring the store back."
            )
        return lost

    def _look_at(self, entry: ObjectEntry, now: float) -> Stored | None:
        self.looked_at += 1
        self._seen.add(entry.name)
        found = stored.parse(entry.name, now - entry.stored_at)
        self.foreign += found is None and not entry.name.startswith(f"{MARKS}/")
        return found

    def _missing(self, purpose: Purpose) -> Iterator[str]:
        after = ""
        while subjects := self._safe.database.read(stored.subjects, purpose, after, self._older_than_s):
            after = subjects[-1]
            names = self._safe.database.read(stored.named, purpose, subjects)
            self.named += len(names)
            # What was stored during the walk was not listed either: asking the store itself decides.
            yield from self._safe.objects.missing([name for name in names if name not in self._seen])


class _Seen:
    """Names that were listed, in 8 MiB for however many: of what was not, it takes a few for seen, each time others."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)
        self._salt = secrets.token_bytes(16)

    def add(self, name: str) -> None:
        for bit in self._of(name):
            self._bits[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, name: str) -> bool:
        return all(self._bits[bit >> 3] >> (bit & 7) & 1 for bit in self._of(name))

    def _of(self, name: str) -> list[int]:
        digest = hashlib.blake2b(name.encode(), digest_size=16, key=self._salt).digest()
        return [number % _BITS for number in struct.unpack("<4I", digest)]


def _delete(safe: Safe, batch: list[Stored]) -> int:
    """Delete what is still unaccounted for, and note what this process was the one to delete."""
    orphans = [each.name for each in safe.database.read(stored.unaccounted, batch)]
    gone = set(safe.objects.missing(orphans))
    deleted = [name for name in orphans if name not in gone]
    safe.objects.delete_many(deleted)
    for name in deleted:
        safe.database.write(audit.note, "object", name, objects=1)
    return len(deleted)


def _batches(entries: Iterable[ObjectEntry]) -> Iterator[list[ObjectEntry]]:
    """A subject's names come one after the other, so that a batch asks for few subjects."""
    entries = iter(entries)
    while batch := list(itertools.islice(entries, CHUNK)):
        yield batch
