"""The promise, checked over the whole store and database: what should be gone and is not, and what went too late.

Only reads, but for the small objects with which the store is tried and its clock read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from likeness.database import clock, tables
from likeness.records import audit, stored
from likeness.records.stored import Stored
from likeness.retention.reconcile import Walk
from likeness.safe import Safe
from likeness.vault import StorageError
from likeness.vault.keyring import HOUR_S, KEPT

Kind = Literal["deadline", "key", "stray_key", "epoch", "orphan", "lost", "store", "late"]
# So late is late; the photos of plus users go at once.
TOLERANCE_S: Final = 60.0
PLUS_S: Final = 5.0
# Epoch keys, and what the reconciler sees to, wait for housekeeping.
EPOCH_S: Final = 300.0
ORPHAN_S: Final = 600.0
DAY_S: Final = 86400.0
_THINGS: Final[dict[str, str]] = {
    "upload": "the upload {}",
    "refused": "the refused upload {}",
    "photos": "the photos of {}",
    "avatars": "the unsaved avatars of {}",
    "object": "the object {}",
    "story": "the story {}",
    "account": "an account",  # its subject says whose: no finding does
    "tombstone": "the last of {}",
}
_REMEDY: Final = "See that a server runs and what its log says, or run `likeness purge`."
_RECONCILED: Final = "Servers see to it every few minutes: see that one runs, reaches the store, and what its log says."
_generations = tables.generations


class Finding(msgspec.Struct, frozen=True):
    """One thing that is late, or should not be there: since how long, and a sentence that ends with the remedy."""

    kind: Kind
    subject: str
    late_s: float
    sentence: str


class Check(msgspec.Struct, frozen=True):
    """What was looked through, how much there is of it, how much of that is late, and the worst of it."""

    what: str
    looked_at: int
    late: int
    worst_s: float


class Promise(msgspec.Struct, frozen=True):
    """Kept when nothing was found. `foreign` objects have names that are none of ours, and are left alone."""

    checks: list[Check]
    findings: list[Finding]
    foreign: int


def check_promise(safe: Safe, *, days: float) -> Promise:
    """Check all that is there now, and the audit of the last so many days."""
    walk = Walk(safe, ORPHAN_S)
    store, orphans, lost = _compare(safe, walk)
    found = {
        "open deadlines": safe.database.read(_deadlines),
        "stored keys": safe.database.read(_keys),
        "epoch keys": _epochs(safe),
        "object store": (1, store),
        "objects": (walk.looked_at, orphans),
        "objects that rows name": (walk.named, lost),
        f"deletions of {days:g} days": safe.database.read(_deletions, days),
    }
    checks = [
        Check(what, count, len(late), max((each.late_s for each in late), default=0.0))
        for what, (count, late) in found.items()
    ]
    return Promise(checks, [each for _, late in found.values() for each in late], walk.foreign)


def span(seconds: float) -> str:
    """A duration as people say it."""
    for unit, length in (("days", DAY_S), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _deadlines(connection: sa.Connection) -> tuple[int, list[Finding]]:
    table = tables.deadlines
    now, open_ = clock(connection), table.c.done_at.is_(None)
    count = connection.execute(sa.select(sa.func.count()).select_from(table).where(open_)).scalar_one()
    chosen = sa.select(table.c.kind, table.c.subject, table.c.due_at).where(open_, table.c.due_at < now - PLUS_S)
    rows = connection.execute(chosen.order_by(table.c.due_at)).all()
    allowed = _allowed(connection, [subject for kind, subject, _ in rows if kind == "photos"])
    late = [(kind, subject, now - due) for kind, subject, due in rows if now - due > allowed(kind, subject)]
    return count, [_overdue(*each) for each in late]


def _overdue(kind: str, subject: str, late_s: float) -> Finding:
    sentence = f"The deletion of {_thing(kind, subject)} is {span(late_s)} late, and not done. {_REMEDY}"
    return Finding("deadline", "" if kind == "account" else subject, late_s, sentence)


def _keys(connection: sa.Connection) -> tuple[int, list[Finding]]:
    count = connection.execute(sa.select(sa.func.count()).select_from(tables.keys)).scalar_one()
    photos, avatars = _open_keys(connection, "photo", "photos"), _open_keys(connection, "avatar", "avatars")
    strays = [_stray(subject, purpose) for subject, purpose in stored.stray_keys(connection)]
    return count, photos + avatars + strays


def _open_keys(connection: sa.Connection, purpose: str, what: Literal["photos", "avatars"]) -> list[Finding]:
    """Keys of a purpose whose generation's deadline has passed."""
    until, now = _generations.c[f"{what}_until"], clock(connection)
    of_it = sa.and_(tables.keys.c.subject == _generations.c.id, tables.keys.c.purpose == purpose)
    chosen = sa.select(_generations.c.id, until).join(tables.keys, of_it).where(until < now - PLUS_S)
    rows = connection.execute(chosen.order_by(until)).all()
    allowed = _allowed(connection, [generation for generation, _ in rows] if what == "photos" else [])
    return [
        Finding(
            "key",
            generation,
            now - due,
            f"The {what} of {generation} can still be opened, {span(now - due)} after their deadline. {_REMEDY}",
        )
        for generation, due in rows
        if now - due > allowed(what, generation)
    ]


def _stray(subject: str, purpose: str) -> Finding:
    whose = "" if purpose == "gallery" else subject  # the other is an owner
    sentence = f"A stored {purpose} key{f' of {whose}' if whose else ''} belongs to nothing that is left. {_RECONCILED}"
    return Finding("stray_key", whose, 0.0, sentence)


def _epochs(safe: Safe) -> tuple[int, list[Finding]]:
    """Epoch keys of hours that are over: with a backup of the database they open what is past its deadline."""
    now, epochs = safe.now(), safe.keyring.epochs()
    over = {epoch: now - (int(epoch.removeprefix("hour-")) + 1) * HOUR_S for epoch in epochs if epoch != KEPT}
    return len(epochs), [
        Finding(
            "epoch",
            epoch,
            late_s,
            f"The key {epoch} was to be destroyed {span(late_s)} ago, when its hour was over. {_REMEDY}",
        )
        for epoch, late_s in over.items()
        if late_s > EPOCH_S
    ]


def _compare(safe: Safe, walk: Walk) -> tuple[list[Finding], list[Finding], list[Finding]]:
    """What is wrong with the store itself, objects without row, rows without object."""
    store, orphans, lost = list[Finding](), list[Finding](), list[Finding]()
    try:
        safe.objects.check()
    except StorageError as error:
        store.append(_unusable(error))
    try:
        orphans += [_orphan(each) for batch in walk.orphans() for each in batch]
        lost += [_lost(each) for each in walk.lost()]
    except StorageError as error:
        store.append(_unusable(error))
    return store, orphans, lost


def _unusable(error: StorageError) -> Finding:
    return Finding("store", "", 0.0, str(error))


def _orphan(found: Stored) -> Finding:
    sentence = f"The object {found.name} is {span(found.age_s)} old, and no row accounts for it. {_RECONCILED}"
    return Finding("orphan", found.name, found.age_s, sentence)


def _lost(found: Stored) -> Finding:
    return Finding("lost", found.name, 0.0, f"A row names the object {found.name}, which is not stored. {_RECONCILED}")


def _deletions(connection: sa.Connection, days: float) -> tuple[int, list[Finding]]:
    entries = audit.since(connection, clock(connection) - days * DAY_S)
    timed = [(each.kind, each.subject, each.at - each.due_at) for each in entries if each.due_at is not None]
    allowed = _allowed(connection, [subject for kind, subject, late_s in timed if kind == "photos" and late_s > PLUS_S])
    return len(entries), [_belated(*each) for each in timed if each[2] > allowed(each[0], each[1])]


def _belated(kind: str, subject: str, late_s: float) -> Finding:
    done = f"The deletion of {_thing(kind, subject)} is done, but was {span(late_s)} late."
    return Finding("late", subject, late_s, f"{done} Look for what held it up in the log of that time.")


def _thing(kind: str, subject: str) -> str:
    return _THINGS.get(kind, f"{kind} {{}}").format(subject)


def _allowed(connection: sa.Connection, generations: Sequence[str]) -> Callable[[str, str], float]:
    """How late a deletion of a kind may be, of a subject that is among these generations when it has photos."""
    plus = set[str]()
    for chunk in stored.chunks(generations):
        chosen = sa.select(_generations.c.id).where(_generations.c.id.in_(chunk), _generations.c.tier == "plus")
        plus.update(connection.execute(chosen).scalars())
    return lambda kind, subject: PLUS_S if kind == "photos" and subject in plus else TOLERANCE_S
