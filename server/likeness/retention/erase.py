"""Erasing, always in this order: the key's row, the write-ahead log, the objects, then receipt, event and deadline.

Killed at any point, it is begun again by the sweeper, since the deadline is met last; done twice, the second finds
nothing to do. After the first two steps the objects are noise, whatever becomes of the rest.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from likeness.database import clock, tables
from likeness.errors import LikenessError
from likeness.records import deadlines, gallery, generations, keys, receipts
from likeness.records.events import add_event
from likeness.safe import Purpose, Safe
from likeness.settings import Settings
from likeness.vault import Deletion, Receipt


class StillReadableError(LikenessError):
    """A deleted key is still in the write-ahead log: another connection holds it; the sweeper tries again."""

    code = "still_readable"


def erase_upload(safe: Safe, generation: str) -> None:
    """Delete what an upload that was never accepted left: originals, whose key was in memory alone, and crops."""
    for prefix in ("uploads", "photos"):
        _delete(safe, list(safe.objects.names(f"{prefix}/{generation}/")))
    safe.database.write(deadlines.drop, "upload", generation)


def erase_photos(safe: Safe, generation: str, settings: Settings) -> None:
    """Make a generation's photos unreadable and delete them; one that is still running fails for it."""
    key = safe.database.write(_take_photo_key, generation, settings)
    _forget(safe, key)
    objects = safe.database.read(_photos, generation)
    _delete(safe, (name for name, _ in objects))
    safe.database.write(_photos_gone, safe, generation, [digest for _, digest in objects], key)


def erase_avatars(safe: Safe, generation: str) -> None:
    """Make a generation's unsaved avatars unreadable and delete them; saved ones live on in the gallery."""
    key = safe.database.write(_take_key, generation, "avatar")
    _forget(safe, key)
    objects = safe.database.read(_avatars, generation)
    _delete(safe, (name for name, _ in objects))
    safe.database.write(_avatars_gone, safe, generation, [digest for _, digest in objects], key)


def erase_discarded(safe: Safe, generation: str, owner: str, rows: Sequence[generations.AvatarRow]) -> None:
    """Delete discarded avatars' objects; their key goes with the other avatars' of the generation."""
    _delete(safe, (row.object for row in rows if row.object))
    digests = [row.digest for row in rows if row.digest]
    if digests:
        safe.database.write(sign_deletion, safe, generation, owner, what="discarded avatars", digests=digests, key="")


def erase_account(safe: Safe, owner: str, settings: Settings) -> str:
    """Erase everything of an owner but the day's quota; answers the signed receipt, the only thing left."""
    for generation in safe.database.write(_cancel_all, owner, settings):
        erase_photos(safe, generation, settings)
        erase_avatars(safe, generation)
    key = safe.database.write(_take_key, owner, "gallery")
    _forget(safe, key)
    saved = safe.database.read(gallery.everything, owner)
    _delete(safe, (each.object for each in saved))
    deletions = safe.database.write(_account_gone, owner)
    if saved:
        moment = _moment(safe.now())
        deletions.append(Deletion("gallery", moment, [each.digest for each in saved], key))
    return safe.signer.sign(Receipt("account", deletions=deletions))


def sign_deletion(
    connection: sa.Connection, safe: Safe, generation: str, owner: str, *, what: str, digests: list[str], key: str
) -> None:
    """Add a deletion to a generation's receipt, and sign all of it anew. `key` is the destroyed key's id, or empty."""
    deletions = receipts.deletions_of(connection, generation)
    deletions.append(Deletion(what, _moment(clock(connection)), digests, key))
    jws = safe.signer.sign(Receipt(generation, deletions=deletions))
    receipts.put(connection, generation, owner, deletions, jws)


def _take_photo_key(connection: sa.Connection, generation: str, settings: Settings) -> str:
    found = generations.get(connection, generation)
    if found is not None:
        generations.end(connection, found, "failed", "too_late", settings)
    return _take_key(connection, generation, "photo")


def _take_key(connection: sa.Connection, subject: str, purpose: Purpose) -> str:
    """Delete a key's row; answers the key's public id, or nothing if it was deleted before."""
    kept = keys.get(connection, subject, purpose)
    keys.delete(connection, subject, purpose)
    return "" if kept is None else hashlib.sha256(kept.wrapped).hexdigest()[:16]


def _forget(safe: Safe, key: str) -> None:
    if key and not safe.database.forget_deleted():
        raise StillReadableError("The write-ahead log could not be emptied: another process holds it. Trying again.")


def _delete(safe: Safe, names: Iterable[str]) -> None:
    for name in names:
        safe.objects.delete(name)


def _photos(connection: sa.Connection, generation: str) -> list[tuple[str, str]]:
    chosen = sa.select(tables.photos.c.object, tables.photos.c.digest)
    return list(connection.execute(chosen.where(tables.photos.c.generation == generation)).tuples())


def _avatars(connection: sa.Connection, generation: str) -> list[tuple[str, str]]:
    of_it = tables.avatars.c.generation == generation, tables.avatars.c.object.is_not(None)
    chosen = sa.select(tables.avatars.c.object, tables.avatars.c.digest).where(*of_it)
    return [(str(name), str(digest)) for name, digest in connection.execute(chosen)]


def _photos_gone(connection: sa.Connection, safe: Safe, generation: str, digests: list[str], key: str) -> None:
    found = generations.get(connection, generation)
    if found is None or not deadlines.meet(connection, "photos", generation):
        return
    connection.execute(sa.delete(tables.photos).where(tables.photos.c.generation == generation))
    _mark(connection, generation, {"photos_deleted_at": clock(connection)})
    sign_deletion(connection, safe, generation, found.owner, what="photos", digests=digests, key=key)
    add_event(connection, generation, "photos_deleted")


def _avatars_gone(connection: sa.Connection, safe: Safe, generation: str, digests: list[str], key: str) -> None:
    found = generations.get(connection, generation)
    if found is None or not deadlines.meet(connection, "avatars", generation):
        return
    rows = tables.avatars.c.generation == generation
    unsaved = sa.update(tables.avatars).where(rows, tables.avatars.c.state.in_(("ready", "pending")))
    connection.execute(unsaved.values(state="expired"))
    connection.execute(sa.update(tables.avatars).where(rows).values(object=None))
    expired = found.state != "cancelled"
    _mark(connection, generation, {"avatars_deleted_at": clock(connection)})
    if expired:
        _mark(connection, generation, {"state": "expired"})
    if digests:
        sign_deletion(connection, safe, generation, found.owner, what="avatars", digests=digests, key=key)
    if expired:
        add_event(connection, generation, "expired")


def _mark(connection: sa.Connection, generation: str, values: dict[str, object]) -> None:
    connection.execute(sa.update(tables.generations).where(tables.generations.c.id == generation).values(values))


def _cancel_all(connection: sa.Connection, owner: str, settings: Settings) -> list[str]:
    mine = sa.select(tables.generations.c.id).where(tables.generations.c.owner == owner)
    found = list(connection.execute(mine).scalars())
    for each in found:
        generation = generations.get(connection, each)
        if generation is not None and generation.avatars_deleted_at is None:
            generations.cancel(connection, generation, settings)
    return found


def _account_gone(connection: sa.Connection, owner: str) -> list[Deletion]:
    """Delete all rows of an owner but the quota's; answers what its receipts said."""
    mine = connection.execute(sa.select(tables.generations.c.id).where(tables.generations.c.owner == owner))
    deletions: list[Deletion] = []
    for generation in mine.scalars().all():
        deletions += receipts.deletions_of(connection, generation)
        forget_generation(connection, generation)
    for story in (
        connection.execute(sa.select(tables.stories.c.id).where(tables.stories.c.owner == owner)).scalars().all()
    ):
        gallery.delete_story(connection, story)
    for table in (tables.gallery, tables.pictures, tables.idempotency):
        connection.execute(sa.delete(table).where(table.c.owner == owner))
    return deletions


def forget_generation(connection: sa.Connection, generation: str) -> None:
    """Delete the last trace of a generation, its tombstone."""
    for table in (tables.avatars, tables.photos, tables.events, tables.receipts):
        connection.execute(sa.delete(table).where(table.c.generation == generation))
    connection.execute(sa.delete(tables.keys).where(tables.keys.c.subject == generation))
    connection.execute(sa.delete(tables.deadlines).where(tables.deadlines.c.subject == generation))
    connection.execute(sa.delete(tables.generations).where(tables.generations.c.id == generation))


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")
