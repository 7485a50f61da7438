"""Erasing, always in this order: the key's row, the write-ahead log, the objects, then receipt, event and deadline.

Killed at any point, it is begun again by the sweeper, since the deadline is met last; done twice, the second finds
nothing to do. After the first two steps the objects are noise, whatever becomes of the rest: `destroy_key` is these
two alone, for which no store of objects has to answer.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import Literal

import sqlalchemy as sa

from likeness.database import clock, tables
from likeness.errors import LikenessError
from likeness.records import audit, deadlines, gallery, generations, keys, outbox, receipts, variants
from likeness.records.events import add_event
from likeness.safe import Purpose, Safe
from likeness.settings import Settings
from likeness.vault import Deletion, Receipt
from likeness.worker import jobs

Keyed = Literal["photos", "avatars"]


class StillReadableError(LikenessError):
    """A deleted key is still in the write-ahead log: another connection holds it; the sweeper tries again."""

    code = "still_readable"


def erase_upload(safe: Safe, generation: str) -> None:
    """Delete what an upload that was never accepted left: originals, whose key was in memory alone, and crops."""
    safe.database.write(deadlines.refuse_upload, generation)
    count = _delete_all(safe, "uploads", generation) + _delete_all(safe, "photos", generation)
    safe.database.write(_upload_gone, generation, count)


def destroy_key(safe: Safe, kind: Keyed, generation: str, settings: Settings) -> None:
    """Make a generation's photos, or its unsaved avatars, unreadable; one that still needs its photos fails for it."""
    if kind == "photos":
        safe.database.write(_take_photo_key, generation, settings)
    else:
        safe.database.write(_take_key, generation, "avatar", "avatars")
    _forget(safe)


def erase_photos(safe: Safe, generation: str, settings: Settings) -> None:
    """Make a generation's photos unreadable and delete them; one that is still running fails for it."""
    destroy_key(safe, "photos", generation, settings)
    digests = safe.database.read(_photo_digests, generation)
    _delete_all(safe, "photos", generation)
    safe.database.write(_photos_gone, safe, generation, digests, settings)


def erase_avatars(safe: Safe, generation: str, settings: Settings) -> None:
    """Make a generation's unsaved avatars unreadable and delete them; saved ones live on in the gallery."""
    destroy_key(safe, "avatars", generation, settings)
    digests = safe.database.read(_avatar_digests, generation)
    _delete_all(safe, "avatars", generation)
    safe.database.write(_avatars_gone, safe, generation, digests, settings)


def erase_discarded(safe: Safe, generation: str, owner: str, rows: Sequence[generations.AvatarRow]) -> None:
    """Delete discarded avatars' objects; their key goes with the other avatars' of the generation."""
    made = safe.database.write(variants.take, "avatar", generation, [row.index for row in rows])
    gone = [(row.object, row.digest) for row in rows if row.object] + [(each.object, each.digest) for each in made]
    safe.objects.delete_many([name for name, _ in gone])
    digests = [digest for _, digest in gone if digest]
    if digests:
        safe.database.write(_discarded_gone, safe, generation, owner, digests)


def erase_object(safe: Safe, name: str) -> None:
    """Delete one object that is in no row any more, or never came to be in one."""
    safe.objects.delete(name)
    safe.database.write(_object_gone, name)


def erase_account(safe: Safe, owner: str, settings: Settings) -> str:
    """Erase everything of an owner but the day's quota; answers the signed receipt, the only thing left."""
    deletions: list[Deletion] = []
    while found := safe.database.write(_cancel_all, owner, settings):
        for generation in found:
            erase_photos(safe, generation, settings)
            erase_avatars(safe, generation, settings)
        deletions += safe.database.write(_forget_all, found)
    safe.database.write(_take_key, owner, "gallery", "account")
    _forget(safe)
    saved = [(each.object, each.digest) for each in safe.database.read(gallery.everything, owner)]
    saved += [(each.object, each.digest) for each in safe.database.read(variants.of_owner, owner)]
    safe.objects.delete_many([name for name, _ in saved])
    key = safe.database.write(_account_gone, owner, len(saved))
    if saved:
        deletions.append(Deletion("gallery", _moment(safe.now()), [digest for _, digest in saved], key))
    return safe.signer.sign(Receipt("account", deletions=deletions))


def sign_deletion(
    connection: sa.Connection, safe: Safe, generation: str, owner: str, *, what: str, digests: list[str], key: str
) -> None:
    """Add a deletion to a generation's receipt, and sign all of it anew. `key` is the destroyed key's id, or empty.

    Whoever calls this has locked the generation, or is making it: of two deletions at once neither is left out.
    """
    deletions = receipts.deletions_of(connection, generation)
    deletions.append(Deletion(what, _moment(clock(connection)), digests, key))
    jws = safe.signer.sign(Receipt(generation, deletions=deletions))
    receipts.put(connection, generation, owner, deletions, jws)


def _take_photo_key(connection: sa.Connection, generation: str, settings: Settings) -> None:
    found = generations.lock(connection, generation)
    if found is not None:
        generations.end(connection, found, "failed", "too_late", settings)
    _take_key(connection, generation, "photo", "photos")


def _take_key(connection: sa.Connection, subject: str, purpose: Purpose, kind: deadlines.Kind) -> None:
    """Delete a key's row, and keep its public id with the deadline: who signs the receipt may be another process."""
    kept = keys.take(connection, subject, purpose)
    deadlines.note_key(connection, kind, subject, hashlib.sha256(kept.wrapped).hexdigest()[:16] if kept else "")


def _forget(safe: Safe) -> None:
    """Whoever deleted the row: nobody signs before the log is empty."""
    if not safe.database.forget_deleted():
        raise StillReadableError("The write-ahead log could not be emptied: another process holds it. Trying again.")


def _delete_all(safe: Safe, prefix: str, generation: str) -> int:
    """Delete by listing, not by rows: a process that died between object and row left some in no row."""
    names = list(safe.objects.names(f"{prefix}/{generation}/"))
    safe.objects.delete_many(names)
    return len(names)


def _photo_digests(connection: sa.Connection, generation: str) -> list[str]:
    chosen = sa.select(tables.photos.c.digest).where(tables.photos.c.generation == generation)
    return list(connection.execute(chosen.order_by(tables.photos.c.index)).scalars())


def _avatar_digests(connection: sa.Connection, generation: str) -> list[str]:
    of_it = tables.avatars.c.generation == generation, tables.avatars.c.object.is_not(None)
    chosen = sa.select(tables.avatars.c.digest).where(*of_it).order_by(tables.avatars.c.index)
    made = [each.digest for each in variants.of_generation(connection, generation)]
    return [str(digest) for digest in connection.execute(chosen).scalars()] + made


def _upload_gone(connection: sa.Connection, upload: str, count: int) -> None:
    if deadlines.drop(connection, "refused", upload):
        audit.note(connection, "upload", upload, objects=count)


def _object_gone(connection: sa.Connection, name: str) -> None:
    deadlines.drop(connection, "object", name)
    audit.note(connection, "object", name, objects=1)


def _discarded_gone(connection: sa.Connection, safe: Safe, generation: str, owner: str, digests: list[str]) -> None:
    generations.lock(connection, generation)
    sign_deletion(connection, safe, generation, owner, what="discarded avatars", digests=digests, key="")
    audit.note(connection, "discarded", generation, objects=len(digests))


def _photos_gone(
    connection: sa.Connection, safe: Safe, generation: str, digests: list[str], settings: Settings
) -> None:
    found = generations.lock(connection, generation)
    met = deadlines.meet(connection, "photos", generation)
    if met is None or found is None:
        return
    connection.execute(sa.delete(tables.photos).where(tables.photos.c.generation == generation))
    _mark(connection, generation, {"photos_deleted_at": clock(connection)})
    key = deadlines.noted_key(connection, "photos", generation)
    sign_deletion(connection, safe, generation, found.owner, what="photos", digests=digests, key=key)
    audit.note(connection, "photos", generation, due_at=met.due_at, objects=len(digests))
    add_event(connection, generation, "photos_deleted")
    outbox.tell(connection, settings, "photos.deleted", generation)


def _avatars_gone(
    connection: sa.Connection, safe: Safe, generation: str, digests: list[str], settings: Settings
) -> None:
    found = generations.lock(connection, generation)
    met = deadlines.meet(connection, "avatars", generation)
    if met is None or found is None:
        return
    rows = tables.avatars.c.generation == generation
    unsaved = sa.update(tables.avatars).where(rows, tables.avatars.c.state.in_(("ready", "pending")))
    connection.execute(unsaved.values(state="expired"))
    connection.execute(sa.update(tables.avatars).where(rows).values(object=None))
    variants.take(connection, "avatar", generation)
    _mark(connection, generation, {"avatars_deleted_at": clock(connection)})
    if digests:
        key = deadlines.noted_key(connection, "avatars", generation)
        sign_deletion(connection, safe, generation, found.owner, what="avatars", digests=digests, key=key)
    audit.note(connection, "avatars", generation, due_at=met.due_at, objects=len(digests))
    if found.state != "cancelled":
        _mark(connection, generation, {"state": "expired"})
        add_event(connection, generation, "expired")
        outbox.tell(connection, settings, "generation.expired", generation)


def _mark(connection: sa.Connection, generation: str, values: dict[str, object]) -> None:
    connection.execute(sa.update(tables.generations).where(tables.generations.c.id == generation).values(values))


def _cancel_all(connection: sa.Connection, owner: str, settings: Settings) -> list[str]:
    """Cancel what there is, and let the sweeper go on with the account should this process die."""
    deadlines.set_deadline(connection, "account", owner, clock(connection))
    mine = sa.select(tables.generations.c.id).where(tables.generations.c.owner == owner)
    found = connection.execute(mine.order_by(tables.generations.c.id))
    cancelled = list(found.scalars())
    for generation in cancelled:
        generations.cancel(connection, generation, settings)
    return cancelled


def _forget_all(connection: sa.Connection, erased: list[str]) -> list[Deletion]:
    """Forget erased generations; answers what their receipts said."""
    deletions: list[Deletion] = []
    for generation in erased:
        deletions += receipts.deletions_of(connection, generation)
        forget_generation(connection, generation)
    return deletions


def _account_gone(connection: sa.Connection, owner: str, count: int) -> str:
    """Delete all rows of an owner but the quota's; answers the destroyed key's id."""
    key = deadlines.noted_key(connection, "account", owner)
    mine = sa.select(tables.stories.c.id).where(tables.stories.c.owner == owner)
    for story in list(connection.execute(mine).scalars()):
        gallery.delete_story(connection, story)
    for each in variants.of_owner(connection, owner):
        variants.take(connection, "gallery", each.subject)
    for table in (tables.gallery, tables.pictures, tables.idempotency):
        connection.execute(sa.delete(table).where(table.c.owner == owner))
    connection.execute(sa.delete(tables.keys).where(tables.keys.c.subject == owner))
    if deadlines.drop(connection, "account", owner):
        audit.note(connection, "account", "", objects=count)
    return key


def forget_generation(connection: sa.Connection, generation: str) -> None:
    """Delete the last trace of a generation, its tombstone."""
    for table in (tables.avatars, tables.photos, tables.events, tables.receipts):
        connection.execute(sa.delete(table).where(table.c.generation == generation))
    variants.take(connection, "avatar", generation)
    outbox.forget(connection, generation)
    connection.execute(sa.delete(tables.keys).where(tables.keys.c.subject == generation))
    connection.execute(sa.delete(tables.deadlines).where(tables.deadlines.c.subject == generation))
    connection.execute(sa.delete(tables.generations).where(tables.generations.c.id == generation))
    jobs.forget(connection, generation)


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")
