"""Objects and the rows that account for them, both ways.

What nothing accounts for stays so: ids are random and come once, a deadline is set before its object is stored, and the
fence of a claim, which is in the names of its avatars, only rises. So it may be deleted whatever else goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeVar, cast

import msgspec
import sqlalchemy as sa

from likeness.database import clock, tables
from likeness.records import audit, deadlines, gallery, generations, keys, style_packs, variants
from likeness.records.generations import RUNNING

Folder = Literal["uploads", "photos", "avatars", "gallery", "styles"]
CHUNK: Final = 500
# Which deadlines account for everything below their subject, for as long as they are open.
_OPEN: Final[dict[Folder, tuple[deadlines.Kind, ...]]] = {
    "uploads": ("upload", "refused"),
    "photos": ("upload", "refused", "photos"),
}
_BELOW: Final = re.compile(
    r"(uploads|photos|avatars|gallery|styles)/([0-9a-f]{24})/\d+(?:-([\w.]+(?:-[\w.]+)?))?", re.ASCII
)
# What `Objects.check` and `Objects.clock` store for a moment.
_FLEETING: Final = re.compile(r"(?:check|clock)-[0-9a-f]{16}", re.ASCII)
_ended = tables.generations
T = TypeVar("T")


class Stored(msgspec.Struct, frozen=True):
    """An object of ours by its name: `folder/subject/index-detail`. Without a folder it was meant for a moment."""

    name: str
    age_s: float = 0.0
    folder: Folder | None = None
    subject: str = ""
    detail: str = ""  # a piece, a fence, or a variant


def parse(name: str, age_s: float = 0.0) -> Stored | None:
    """What an object is; None for a name that is none of ours."""
    if _FLEETING.fullmatch(name):
        return Stored(name, age_s)
    match = _BELOW.fullmatch(name)
    return None if match is None else Stored(name, age_s, cast(Folder, match[1]), match[2], match[3] or "")


def chunks(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many as one query may name, then the next."""
    return (things[start : start + CHUNK] for start in range(0, len(things), CHUNK))


def unaccounted(connection: sa.Connection, found: Sequence[Stored]) -> list[Stored]:
    """Those that no row names and no open deadline accounts for."""
    return [each for chunk in chunks(found) for each in _unaccounted(connection, chunk)]


def named(connection: sa.Connection, purpose: variants.Purpose, subjects: Sequence[str]) -> set[str]:
    """The objects that rows name of the avatars of these generations, or of these saved avatars, with variants."""
    kept = tables.variants
    names = set[str]()
    for chunk in chunks(subjects):
        of_it = (tables.avatars.c.generation if purpose == "avatar" else tables.gallery.c.id).in_(chunk)
        original = tables.avatars.c.object if purpose == "avatar" else tables.gallery.c.object
        names.update(connection.execute(sa.select(original).where(of_it, original.is_not(None))).scalars())
        made = sa.select(kept.c.object).where(kept.c.purpose == purpose, kept.c.subject.in_(chunk))
        names.update(connection.execute(made).scalars())
    return names


def subjects(connection: sa.Connection, purpose: variants.Purpose, after: str, older_than_s: float) -> list[str]:
    """The next generations, or saved avatars, whose objects have to be there: none that is drawn or goes just now."""
    before = clock(connection) - older_than_s
    if purpose == "gallery":
        which = sa.select(tables.gallery.c.id).where(tables.gallery.c.saved_at <= before)
    else:
        live = _ended.c.state.in_(("done", "failed")), _ended.c.avatars_until > clock(connection)
        which = sa.select(_ended.c.id).where(*live, _ended.c.ended_at <= before)
    identity = next(iter(which.selected_columns))
    return list(connection.execute(which.where(identity > after).order_by(identity).limit(CHUNK)).scalars())


def lose(connection: sa.Connection, lost: Stored) -> bool:
    """Let go of the row whose object the store has lost; False when it has gone, or its deletion has begun."""
    forget = _lose_avatar if lost.folder == "avatars" else _lose_saved
    if not forget(connection, lost):
        return False
    audit.note(connection, "lost", lost.name)
    return True


def stray_keys(connection: sa.Connection) -> list[tuple[str, str]]:
    """Subject and purpose of keys that belong to no generation, and to nobody who has any or has saved an avatar."""
    chosen = sa.select(tables.keys.c.subject, tables.keys.c.purpose).where(_stray())
    return [(subject, purpose) for subject, purpose in connection.execute(chosen)]


def drop_stray_keys(connection: sa.Connection) -> int:
    """Delete keys that open nothing any more; where there were any, follow with `Database.forget_deleted`."""
    return connection.execute(sa.delete(tables.keys).where(_stray())).rowcount


def _unaccounted(connection: sa.Connection, found: Sequence[Stored]) -> list[Stored]:
    below: dict[Folder, list[str]] = {}
    for each in found:
        if each.folder is not None and each.subject not in below.setdefault(each.folder, []):
            below[each.folder].append(each.subject)
    names = _open(connection, ("object",), [each.name for each in found])
    names |= named(connection, "avatar", below.get("avatars", []))
    names |= named(connection, "gallery", below.get("gallery", []))
    if "styles" in below:
        names |= {each.object for each in style_packs.offered(connection)}
    fences = _fences(connection, below.get("avatars", []))
    open_ = {folder: _open(connection, kinds, below.get(folder, [])) for folder, kinds in _OPEN.items()}

    def accounted(each: Stored) -> bool:
        if each.folder in ("uploads", "photos"):
            return each.subject in open_[each.folder]
        # A worker stores an avatar, then writes its row, however long that takes: only its fence says that it is over.
        return each.name in names or (each.folder == "avatars" and each.detail == fences.get(each.subject))

    return [each for each in found if not accounted(each)]


def _open(connection: sa.Connection, kinds: Sequence[deadlines.Kind], subjects: Sequence[str]) -> set[str]:
    table = tables.deadlines
    which = table.c.kind.in_(kinds), table.c.subject.in_(subjects), table.c.done_at.is_(None)
    return set(connection.execute(sa.select(table.c.subject).where(*which)).scalars())


def _fences(connection: sa.Connection, subjects: Sequence[str]) -> dict[str, str]:
    """The fences of those generations that are being drawn."""
    table = tables.generations
    running = sa.select(table.c.id, table.c.fence).where(table.c.id.in_(subjects), table.c.state.in_(RUNNING))
    return {generation: str(fence) for generation, fence in connection.execute(running)}


def _lose_avatar(connection: sa.Connection, lost: Stored) -> bool:
    found = generations.lock(connection, lost.subject)
    if found is None or found.avatars_gone:
        return False
    if keys.get(connection, lost.subject, "avatar") is None:
        return False  # its deletion has begun: the objects go before the rows
    table = tables.avatars
    row = sa.update(table).where(table.c.generation == lost.subject, table.c.object == lost.name)
    state = sa.case((table.c.state == "ready", "failed"), else_=table.c.state)  # a saved one has its copy
    index = connection.execute(row.values(object=None, state=state).returning(table.c.index)).scalar()
    if index is None:
        return _drop_variant(connection, "avatar", lost)
    for made in variants.take(connection, "avatar", lost.subject, [index]):
        deadlines.set_deadline(connection, "object", made.object, clock(connection))
    return True


def _lose_saved(connection: sa.Connection, lost: Stored) -> bool:
    table = tables.gallery
    row = connection.execute(sa.select(table).where(table.c.id == lost.subject).with_for_update()).first()
    if row is None or keys.get(connection, row.owner, "gallery") is None:
        return False
    if row.object != lost.name:
        return _drop_variant(connection, "gallery", lost)
    gallery.delete(connection, gallery.Saved(**row._mapping))
    return True


def _drop_variant(connection: sa.Connection, purpose: variants.Purpose, lost: Stored) -> bool:
    """A variant is made anew when it is asked for."""
    table = tables.variants
    which = table.c.purpose == purpose, table.c.subject == lost.subject, table.c.object == lost.name
    return connection.execute(sa.delete(table).where(*which)).rowcount == 1


def _stray() -> sa.ColumnElement[bool]:
    belongs = (tables.generations.c.id, tables.generations.c.owner, tables.gallery.c.owner)
    return sa.and_(*(~sa.exists().where(column == tables.keys.c.subject) for column in belongs))
